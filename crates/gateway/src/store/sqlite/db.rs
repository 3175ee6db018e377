//! One writer thread with group commit, one reader thread, and what they do when the disk fails.
//!
//! Jobs that arrive while a commit is syncing are committed together in the next one, each in its own savepoint, so
//! that a job that fails leaves nothing behind and the others are not touched. A commit that fails poisons the writer:
//! after a failed sync nothing can be said about what is on the disk, so nothing more is accepted until a restart.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use tokio::sync::oneshot;

use crate::ports::StoreError;

/// Jobs that may wait for the writer; more wait in their callers.
const QUEUE_MAX: usize = 4_096;
/// Jobs committed together.
const GROUP_MAX: usize = 512;
/// How long SQLite waits for another process's lock before it fails.
const BUSY: Duration = Duration::from_secs(5);
/// What makes each version of the store out of the one before; never changed once released, only added to.
const MIGRATIONS: [&str; 16] = [
    include_str!("schema/1.sql"),
    include_str!("schema/2.sql"),
    include_str!("schema/3.sql"),
    include_str!("schema/4.sql"),
    include_str!("schema/5.sql"),
    include_str!("schema/6.sql"),
    include_str!("schema/7.sql"),
    include_str!("schema/8.sql"),
    include_str!("schema/9.sql"),
    include_str!("schema/10.sql"),
    include_str!("schema/11.sql"),
    include_str!("schema/12.sql"),
    include_str!("schema/13.sql"),
    include_str!("schema/14.sql"),
    include_str!("schema/15.sql"),
    include_str!("schema/16.sql"),
];

/// What a job does inside the transaction. A run that returns an error is rolled back alone.
pub(super) trait Work: Send {
    fn run(&mut self, connection: &Connection) -> Result<(), StoreError>;
    fn finish(self: Box<Self>, committed: Result<(), StoreError>);
}

struct Job<T, F> {
    work: Option<F>,
    result: Option<T>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Work for Job<T, F>
where
    T: Send,
    F: FnOnce(&Connection) -> Result<T, StoreError> + Send,
{
    fn run(&mut self, connection: &Connection) -> Result<(), StoreError> {
        let work = self.work.take().ok_or(StoreError::Unavailable("a job ran twice".to_owned()))?;
        self.result = Some(work(connection)?);
        Ok(())
    }

    fn finish(self: Box<Self>, committed: Result<(), StoreError>) {
        let lost = || StoreError::Unavailable("a job left no result".to_owned());
        let Self { result, reply, .. } = *self;
        let answer = committed.and_then(|()| result.ok_or_else(lost));
        let _ = reply.send(answer); // the caller may have gone; what was committed stays
    }
}

/// A database with its two threads.
#[derive(Clone)]
pub(super) struct Db {
    writer: SyncSender<Box<dyn Work>>,
    reader: SyncSender<Box<dyn Work>>,
    _lock: Arc<std::fs::File>,
}

impl Db {
    /// Opens or creates the database, and takes it for this process alone.
    ///
    /// `prepare` runs in the transaction of the migrations, with the version that was found.
    pub(super) fn open(
        path: &Path,
        prepare: impl FnOnce(&Connection, u32) -> Result<(), StoreError>,
    ) -> Result<Self, StoreError> {
        let lock = take_lock(&path.with_extension("lock"))?;
        let mut connection = connect(path)?;
        migrate(&mut connection, prepare)?;
        let read_only = connect(path)?;
        read_only.pragma_update(None, "query_only", true).map_err(failed)?;
        let writer = spawn("store-writer", connection, write_groups)?;
        let reader = spawn("store-reader", read_only, read_each)?;
        Ok(Self { writer, reader, _lock: Arc::new(lock) })
    }

    /// Runs `work` in a transaction; Ok only after the commit was synced.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        submit(&self.writer, work).await
    }

    /// Runs `work` on the last committed state.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        submit(&self.reader, work).await
    }
}

async fn submit<T: Send + 'static>(
    queue: &SyncSender<Box<dyn Work>>,
    work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let (reply, answer) = oneshot::channel();
    let mut job: Box<dyn Work> = Box::new(Job { work: Some(work), result: None, reply });
    loop {
        match queue.try_send(job) {
            Ok(()) => break,
            Err(std::sync::mpsc::TrySendError::Full(back)) => {
                job = back;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            Err(std::sync::mpsc::TrySendError::Disconnected(_)) => {
                return Err(StoreError::Unavailable("the store has stopped".to_owned()));
            }
        }
    }
    answer.await.unwrap_or_else(|_| Err(StoreError::Unavailable("the store has stopped".to_owned())))
}

fn take_lock(path: &Path) -> Result<std::fs::File, StoreError> {
    let unavailable = |e: std::io::Error| StoreError::Unavailable(format!("`{}`: {e}", path.display()));
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path).map_err(unavailable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(_) => Err(StoreError::Unavailable(format!("another process holds `{}`", path.display()))),
    }
}

fn connect(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(BUSY).map_err(failed)?;
    connection.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
    connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
    connection.pragma_update(None, "foreign_keys", true).map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

fn migrate(
    connection: &mut Connection,
    prepare: impl FnOnce(&Connection, u32) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)?;
    let Some(missing) = MIGRATIONS.get(version as usize..) else {
        let newest = MIGRATIONS.len();
        let detail = format!("the store has version {version}, this program knows {newest}; use a newer one");
        return Err(StoreError::Unavailable(detail));
    };
    let transaction = connection.transaction().map_err(failed)?;
    missing.iter().try_for_each(|script| transaction.execute_batch(script)).map_err(failed)?;
    prepare(&transaction, version)?;
    transaction.pragma_update(None, "user_version", MIGRATIONS.len() as u32).map_err(failed)?;
    transaction.commit().map_err(failed)
}

fn spawn(
    name: &str,
    connection: Connection,
    run: fn(Connection, Receiver<Box<dyn Work>>),
) -> Result<SyncSender<Box<dyn Work>>, StoreError> {
    let (sender, receiver) = sync_channel(QUEUE_MAX);
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || run(connection, receiver))
        .map_err(|e| StoreError::Unavailable(format!("no thread: {e}")))?;
    Ok(sender)
}

fn read_each(connection: Connection, jobs: Receiver<Box<dyn Work>>) {
    for mut job in jobs {
        let done = job.run(&connection);
        job.finish(done);
    }
}

fn write_groups(connection: Connection, jobs: Receiver<Box<dyn Work>>) {
    let mut poisoned: Option<StoreError> = None;
    while let Ok(first) = jobs.recv() {
        let group: Vec<Box<dyn Work>> = std::iter::once(first).chain(jobs.try_iter().take(GROUP_MAX - 1)).collect();
        if let Some(error) = &poisoned {
            group.into_iter().for_each(|job| job.finish(Err(error.clone())));
            continue;
        }
        if let Err(error) = write_group(&connection, group) {
            tracing::error!(%error, "the store failed and refuses everything until a restart");
            poisoned = Some(error);
        }
    }
}

/// Runs a group in one transaction. An error means that the commit itself failed: none of it may be relied on.
fn write_group(connection: &Connection, mut group: Vec<Box<dyn Work>>) -> Result<(), StoreError> {
    let results = run_in_savepoints(connection, &mut group);
    let committed = results.and_then(|results| {
        connection.execute_batch("COMMIT").map_err(failed)?;
        Ok(results)
    });
    match committed {
        Ok(results) => {
            group.into_iter().zip(results).for_each(|(job, result)| job.finish(result));
            Ok(())
        }
        Err(error) => {
            let _ = connection.execute_batch("ROLLBACK"); // it failed already; the writer is closed from here on
            group.into_iter().for_each(|job| job.finish(Err(error.clone())));
            Err(error)
        }
    }
}

fn run_in_savepoints(
    connection: &Connection,
    group: &mut [Box<dyn Work>],
) -> Result<Vec<Result<(), StoreError>>, StoreError> {
    connection.execute_batch("BEGIN IMMEDIATE").map_err(failed)?;
    let mut results = Vec::with_capacity(group.len());
    for job in group {
        connection.execute_batch("SAVEPOINT job").map_err(failed)?;
        let result = job.run(connection);
        if result.is_err() {
            connection.execute_batch("ROLLBACK TO job").map_err(failed)?;
        }
        connection.execute_batch("RELEASE job").map_err(failed)?;
        results.push(result);
    }
    Ok(results)
}

/// SQLite's error in our words.
pub(super) fn failed(error: rusqlite::Error) -> StoreError {
    StoreError::Unavailable(error.to_string())
}
