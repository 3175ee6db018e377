//! A connection of the gateway's own beside the clients': asks the server about its catalog and its plans.
//!
//! It never carries an action. Its session is read-only and every question has a time limit; it is opened when it is first
//! needed, and opened anew after a failure.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::duplex::Stream;
use super::target::Upstream;
use super::wire::backend::Message;
use super::wire::frame::{Limits, next_frame};
use super::wire::frontend::{self, BindNames, Execute, Parse, Target};
use super::wire::notice::Notice;
use super::wire::{WireError, backend};
use crate::ports::Vault;
use crate::refusal::Refusal;

/// How long the server may think about one question; the gateway waits a little longer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);
/// Largest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// Named statements one connection keeps.
const NAMED_MAX: usize = 64;

/// What a question's connection starts with.
const SETTINGS: &[(&str, &str)] = &[
    ("application_name", "countersign"),
    ("default_transaction_read_only", "on"),
    ("idle_in_transaction_session_timeout", "10s"),
    ("jit", "off"), // the questions are long and their answers short
    ("lock_timeout", "2s"),
    ("statement_timeout", "4s"),
];

/// One question: a statement and its values.
#[derive(Debug, Clone)]
pub(super) struct Question<'a> {
    /// Kept prepared under this name; empty for a question that is asked once.
    pub(super) name: &'static str,
    /// Its text.
    pub(super) sql: &'a str,
    /// The parameters' types, where the text does not tell them.
    pub(super) types: &'a [u32],
    /// The part of a `Bind` after its names.
    pub(super) values: Bytes,
}

/// A row of an answer.
pub(super) type Row = Vec<Option<Bytes>>;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AsideError {
    /// No connection.
    #[error("{}", .0.message)]
    Connect(Refusal),
    /// The connection broke.
    #[error("the upstream closed the connection")]
    Gone,
    /// The server did not answer in time.
    #[error("the upstream did not answer within {} seconds", ANSWER_TIME_MAX.as_secs())]
    TimedOut,
    /// The server answered with an error.
    #[error("{0}")]
    Failed(Box<Notice>),
    /// The answer makes no sense, or is too large.
    #[error("the upstream's answer cannot be read: {0}")]
    Wire(#[from] WireError),
}

/// Such a connection, or none yet.
#[derive(Default)]
pub(super) struct Aside {
    open: Option<Open>,
}

struct Open {
    stream: Box<dyn Stream>,
    input: BytesMut,
    named: HashSet<&'static str>,
}

impl Aside {
    /// Asks. After any failure but an error of the server's the connection is dropped.
    pub(super) async fn ask(
        &mut self,
        target: &Upstream,
        vault: &dyn Vault,
        question: Question<'_>,
    ) -> Result<Vec<Row>, AsideError> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => Open::new(target, vault).await?,
        };
        let answer = match timeout(ANSWER_TIME_MAX, open.ask(question)).await {
            Ok(answer) => answer,
            Err(_) => Err(AsideError::TimedOut),
        };
        if matches!(answer, Ok(_) | Err(AsideError::Failed(_))) {
            self.open = Some(open);
        }
        answer
    }
}

impl Open {
    async fn new(target: &Upstream, vault: &dyn Vault) -> Result<Self, AsideError> {
        let settings: BTreeMap<String, String> =
            SETTINGS.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let connected = target.connect(vault, &settings).await.map_err(AsideError::Connect)?;
        Ok(Self { stream: connected.stream, input: connected.buffered, named: HashSet::new() })
    }

    async fn ask(&mut self, question: Question<'_>) -> Result<Vec<Row>, AsideError> {
        let mut out = BytesMut::new();
        let known = !question.name.is_empty() && self.named.contains(question.name);
        if !known {
            let parse = Parse {
                name: question.name.to_owned(),
                sql: question.sql.to_owned(),
                types: question.types.to_owned(),
            };
            if self.named.len() >= NAMED_MAX {
                return Err(AsideError::Wire(WireError::BadValue("questions")));
            }
            frontend::parse(&mut out, &parse)?;
        }
        frontend::bind(&mut out, BindNames { portal: "", statement: question.name }, &question.values)?;
        frontend::execute(&mut out, &Execute { portal: String::new(), max_rows: 0 })?;
        if question.name.is_empty() {
            frontend::close(&mut out, &Target::Statement(String::new()))?;
        }
        frontend::sync(&mut out);
        self.stream.write_all(&out).await.map_err(|_| AsideError::Gone)?;
        self.stream.flush().await.map_err(|_| AsideError::Gone)?;
        let rows = self.answer().await?;
        if !question.name.is_empty() {
            self.named.insert(question.name);
        }
        Ok(rows)
    }

    async fn answer(&mut self) -> Result<Vec<Row>, AsideError> {
        let (mut rows, mut bytes, mut failed) = (Vec::new(), 0, None);
        loop {
            let Some(frame) = next_frame(&mut self.input, &Limits::BACKEND)? else {
                match self.stream.read_buf(&mut self.input).await {
                    Ok(read) if read > 0 => continue,
                    Ok(_) | Err(_) => return Err(AsideError::Gone),
                }
            };
            bytes += frame.body.len();
            if bytes > ANSWER_BYTES_MAX {
                return Err(AsideError::Wire(WireError::BadValue("answer's size")));
            }
            match backend::Message::decode(frame)? {
                Message::DataRow(row) => rows.push(row),
                Message::Error(notice) => failed = Some(notice),
                Message::ReadyForQuery(_) => break,
                _ => {}
            }
        }
        match failed {
            Some(notice) => Err(AsideError::Failed(Box::new(notice))),
            None => Ok(rows),
        }
    }
}

/// The first column of the only row, as text.
pub(super) fn text(rows: &[Row]) -> Option<&str> {
    let [row] = rows else { return None };
    std::str::from_utf8(row.first()?.as_ref()?).ok()
}

/// A `Bind`'s values, as text.
pub(super) fn values(values: &[&str]) -> Result<Bytes, WireError> {
    let values: Vec<Option<&[u8]>> = values.iter().map(|value| Some(value.as_bytes())).collect();
    frontend::bind_tail(frontend::BindValues { formats: &[], values: &values, result_formats: &[] })
}
