//! One event loop a processor, for connections: whoever wakes a connection's task is then on the same thread mostly, and
//! no other thread has to be woken for it.
//!
//! A connection stays on the lane it was given to, the one with the fewest at that moment, and finds there what is kept for
//! each ([`PerLane`]). One that expects something does not sleep at once ([`Expecting`]). The rest of the gateway (the store,
//! the sequencer) has the runtime it was started in.

mod expecting;

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

pub use self::expecting::Expecting;

/// How often a lane wakes at least. A time limit that ends before all others wakes a lane that is awake already (by a call to
/// the operating system), to make it wait for less long; those of connections are longer than this, so none of them does.
const TICK: Duration = Duration::from_secs(1);
/// Threads of a lane that may wait for files at once.
const BLOCKING_THREADS_MAX: usize = 64;

thread_local! {
    /// Which lane this thread is; none where it is no lane's.
    static NUMBER: Cell<Option<usize>> = const { Cell::new(None) };
}

/// One of something for each lane, and one for all other threads: what one processor alone writes stays in its caches.
#[derive(Debug)]
pub struct PerLane<T> {
    lanes: Vec<T>,
    others: T,
}

impl<T> PerLane<T> {
    /// Makes them.
    pub fn new(mut make: impl FnMut() -> T) -> Self {
        Self { lanes: (0..count()).map(|_| make()).collect(), others: make() }
    }

    /// This thread's.
    pub fn own(&self) -> &T {
        NUMBER.get().and_then(|number| self.lanes.get(number)).unwrap_or(&self.others)
    }
}

/// How many lanes there are.
fn count() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Threads with an event loop each. Dropping them ends their tasks and waits for the threads.
#[derive(Debug)]
pub struct Lanes(Vec<Lane>);

#[derive(Debug)]
struct Lane {
    handle: Handle,
    load: Arc<AtomicUsize>,
    /// Dropped, it ends the thread.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Counts a task as long as it lives.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Lanes {
    /// One lane a processor, on threads with this much stack.
    ///
    /// # Errors
    /// The operating system gives no thread or no event queue.
    pub fn open(name: &str, stack_bytes: usize) -> io::Result<Self> {
        (0..count())
            .map(|number| Lane::open(format!("{name}-{number}"), number, stack_bytes))
            .collect::<io::Result<_>>()
            .map(Self)
    }

    /// Runs a task on the lane that has the fewest. It is made there, so that its sockets can be that lane's.
    pub fn spawn<F: Future<Output = ()> + Send + 'static>(&self, task: impl FnOnce() -> F + Send + 'static) {
        let Some(lane) = self.0.iter().min_by_key(|lane| lane.load.load(Ordering::Relaxed)) else { return };
        lane.load.fetch_add(1, Ordering::Relaxed);
        let counted = Counted(lane.load.clone());
        lane.handle.spawn(async move {
            let _counted = counted;
            task().await;
        });
    }
}

impl Lane {
    fn open(name: String, number: usize, stack_bytes: usize) -> io::Result<Self> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .thread_stack_size(stack_bytes)
            .max_blocking_threads(BLOCKING_THREADS_MAX)
            .build()?;
        let handle = runtime.handle().clone();
        let (stop, mut stopped) = oneshot::channel::<()>();
        let thread = thread::Builder::new().name(name).stack_size(stack_bytes).spawn(move || {
            NUMBER.set(Some(number));
            runtime.block_on(async move {
                tokio::spawn(expecting::look());
                // an error is the sender's end, which is what is waited for
                while tokio::time::timeout(TICK, &mut stopped).await.is_err() {}
            });
        })?;
        Ok(Self { handle, load: Arc::default(), stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // a panic of the loop itself would have ended the gateway's connections already
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn each_lane_has_its_own_and_the_others_share_one() {
        let lanes = Lanes::open("test", 1 << 20).expect("threads");
        let counted = Arc::new(PerLane::new(AtomicUsize::default));
        let (tell, told) = mpsc::channel();
        for _ in 0..count() {
            let (counted, tell) = (counted.clone(), tell.clone());
            lanes.spawn(move || async move {
                counted.own().fetch_add(1, Ordering::Relaxed);
                tell.send(()).expect("somebody listens");
                std::future::pending::<()>().await // the next goes to another lane
            });
        }
        (0..count()).for_each(|_| told.recv().expect("it ran"));
        counted.own().fetch_add(10, Ordering::Relaxed);
        let theirs = counted.clone();
        thread::spawn(move || theirs.own().fetch_add(10, Ordering::Relaxed)).join().expect("it ran");
        assert!(counted.lanes.iter().all(|own| own.load(Ordering::Relaxed) == 1));
        assert_eq!(counted.own().load(Ordering::Relaxed), 20);
    }
}
