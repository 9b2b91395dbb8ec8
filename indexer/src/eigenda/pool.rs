//! Threads of their own for commitments.

use std::num::NonZeroUsize;
use std::sync::Arc;

use rayon::{ThreadPool, ThreadPoolBuilder};
use tokio::sync::{Semaphore, oneshot};

use super::EigenDaError;

/// A few threads that commitments are made on, one blob at a time: one blob already uses all of them, and its
/// scalars are its memory. Following a chain goes on beside it. Clones share the threads.
#[derive(Debug, Clone)]
pub struct Pool {
    threads: Arc<ThreadPool>,
    turn: Arc<Semaphore>,
}

impl Pool {
    /// A pool of so many threads.
    pub fn new(threads: NonZeroUsize) -> Result<Self, EigenDaError> {
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads.get())
            .thread_name(|index| format!("kzg-{index}"))
            .panic_handler(|_payload| tracing::error!("the work on a commitment panicked"))
            .build()
            .map_err(|source| EigenDaError::Threads { threads: threads.get(), source })?;
        Ok(Self { threads: Arc::new(pool), turn: Arc::new(Semaphore::new(1)) })
    }

    /// Runs `work` on the pool when its turn comes. Work begun goes on when the caller has stopped waiting, and keeps
    /// its turn until it ends.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, EigenDaError> {
        let Ok(turn) = Arc::clone(&self.turn).acquire_owned().await else { return Err(EigenDaError::Lost) };
        let (done, result) = oneshot::channel();
        self.threads.spawn(move || {
            let _turn = turn;
            if done.send(work()).is_err() {
                tracing::debug!("nobody waits for this commitment any more");
            }
        });
        let Ok(result) = result.await else { return Err(EigenDaError::Lost) };
        Ok(result)
    }
}
