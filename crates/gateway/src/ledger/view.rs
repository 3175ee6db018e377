//! The ledger as the rest of the gateway sees it: the port [`LogView`] over [`Query`], off the async threads.

use std::ops::Range;

use async_trait::async_trait;

use super::{Ledger, Query, QueryError};
use crate::ports::{LogEntry, LogError, LogFile, LogView};

/// The largest file that is served in one piece: 64 MiB, four full entry tiles.
const FILE_BYTES_MAX: u64 = 64 << 20;

impl From<QueryError> for LogError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::NoCheckpoint => LogError::Absent("checkpoint".to_owned()),
            QueryError::NotFound { index, .. } => LogError::Absent(format!("leaf {index}")),
            other => LogError::Unavailable(other.to_string()),
        }
    }
}

impl Ledger {
    /// Reads files on a thread that may block.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(Query) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        let query = self.query();
        let answer = tokio::task::spawn_blocking(move || question(query)).await;
        answer.unwrap_or_else(|error| Err(LogError::Unavailable(error.to_string())))
    }
}

#[async_trait]
impl LogView for Ledger {
    async fn checkpoint(&self) -> Result<String, LogError> {
        self.ask(|query| Ok(query.checkpoint_text()?)).await
    }

    fn verifier_key(&self) -> String {
        Ledger::verifier_key(self).to_string()
    }

    async fn file(&self, path: &str) -> Result<Option<LogFile>, LogError> {
        let path = path.to_owned();
        self.ask(move |query| {
            let Some(file) = query.open_file(&path)? else { return Ok(None) };
            if file.length > FILE_BYTES_MAX {
                return Err(LogError::Unavailable(format!("`{path}` is too long to be served in one piece")));
            }
            let (content_type, immutable) = (file.content_type, path.starts_with("tile/"));
            let bytes = file.read().map_err(|error| LogError::Unavailable(error.to_string()))?;
            Ok(Some(LogFile { content_type, immutable, bytes }))
        })
        .await
    }

    async fn entries(&self, range: Range<u64>) -> Result<Vec<LogEntry>, LogError> {
        self.ask(move |query| {
            let entries = query.entries(range)?.into_iter();
            Ok(entries
                .map(|entry| LogEntry { index: entry.index, leaf: String::from_utf8_lossy(&entry.leaf).into_owned() })
                .collect())
        })
        .await
    }

    async fn size(&self) -> Result<u64, LogError> {
        self.ask(|query| Ok(query.size()?)).await
    }

    async fn prove(&self, index: u64) -> Result<String, LogError> {
        self.ask(move |query| Ok(query.prove(index)?)).await
    }

    async fn growth(&self, old: u64) -> Result<String, LogError> {
        self.ask(move |query| Ok(query.growth(old)?)).await
    }

    async fn flush(&self) -> Result<(), LogError> {
        Ledger::flush(self).await.map(|_| ()).map_err(|failure| LogError::Unavailable(failure.to_string()))
    }

    fn health(&self) -> Result<(), LogError> {
        Ledger::health(self).check().map_err(|failure| LogError::Unavailable(failure.to_string()))
    }
}
