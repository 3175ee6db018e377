//! Where the data of a COPY waits, and what is known of it besides its bytes: rows, and how it begins.

use std::sync::Arc;

use bytes::BytesMut;
use countersign_core::action::redact::{Redactor, ShownStream};

use super::Summary;
use super::rows::Rows;
use super::sample::{self, SAMPLE_BYTES_MAX};
use crate::protocols::postgres::describe::{CopyIn, TableColumns};
use crate::spool::{self, Digest, Error, Spools};

/// One stream.
#[derive(Debug)]
pub(in crate::protocols::postgres) struct Spool {
    copy: CopyIn,
    data: spool::Spool,
    rows: Rows,
    head: Vec<u8>,
}

impl Spool {
    /// An empty one, for the data of this COPY.
    ///
    /// # Errors
    /// [`Error::File`].
    pub(in crate::protocols::postgres) async fn open(spools: &Arc<Spools>, copy: CopyIn) -> Result<Self, Error> {
        let rows = Rows::new(&copy);
        Ok(Self { copy, data: spool::Spool::open(spools).await?, rows, head: Vec::new() })
    }

    /// Takes in a chunk.
    ///
    /// # Errors
    /// [`Error`]; the stream is then of no use any more.
    pub(in crate::protocols::postgres) async fn push(&mut self, chunk: &[u8]) -> Result<(), Error> {
        self.data.push(chunk).await?;
        self.rows.push(chunk);
        let room = (SAMPLE_BYTES_MAX - self.head.len()).min(chunk.len());
        self.head.extend_from_slice(&chunk[..room]);
        Ok(())
    }

    /// What it holds so far.
    pub(in crate::protocols::postgres) fn summary(&self) -> Summary {
        let Digest { bytes, sha256 } = self.data.digest();
        Summary { bytes, rows: self.rows.count(), sha256 }
    }

    /// What a card shows of it.
    pub(in crate::protocols::postgres) fn shown(
        &self,
        redactor: &mut Redactor<'_>,
        columns: &TableColumns,
    ) -> ShownStream {
        sample::shown(redactor, (&self.copy, columns), &self.head, &self.summary())
    }

    /// Reads it through once, to see that it is what was approved, and goes back to its beginning.
    ///
    /// # Errors
    /// [`Error::Changed`], [`Error::File`].
    pub(in crate::protocols::postgres) async fn check(&mut self, approved: &Summary) -> Result<(), Error> {
        self.data.check(Digest { bytes: approved.bytes, sha256: approved.sha256 }).await?;
        (self.summary() == *approved).then_some(()).ok_or(Error::Changed)
    }

    /// Reads the next chunk; false at the end.
    ///
    /// # Errors
    /// [`Error::File`].
    pub(in crate::protocols::postgres) async fn next(&mut self, chunk: &mut BytesMut) -> Result<bool, Error> {
        self.data.next(chunk).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocols::postgres::describe::{Effect, NoSession, describe};

    #[tokio::test]
    async fn rows_are_part_of_what_is_approved() {
        let dir = tempfile::tempdir().expect("a folder");
        let spools = Arc::new(Spools::new(dir.path().to_owned(), 100_000));
        let effects = describe("COPY t FROM STDIN", &NoSession).effects;
        let Some(Effect::CopyIn(copy)) = effects.into_iter().next() else { unreachable!() };
        let mut spool = Spool::open(&spools, copy).await.expect("a file");
        spool.push(b"a\nb").await.expect("room");
        let summary = spool.summary();
        assert_eq!((summary.bytes, summary.rows), (3, Some(2)));
        spool.check(&summary).await.expect("the same");
        assert!(matches!(spool.check(&Summary { rows: Some(3), ..summary }).await, Err(Error::Changed)));
    }
}
