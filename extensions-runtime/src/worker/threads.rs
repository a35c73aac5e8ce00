//! Threads with a runtime of their own, made when first needed: each does one piece of work at a time, so that work may wait for more of
//! its kind.

use std::future::Future;
use std::io;
use std::sync::{Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};

use crate::BoxFuture;
use crate::task;

/// How many threads are kept for later.
const KEPT: usize = 8;

/// Those that have nothing to do. A thread ends when nobody holds it.
#[derive(Debug, Default)]
pub(super) struct Threads(Mutex<Vec<Thread>>);

#[derive(Debug)]
struct Thread(mpsc::UnboundedSender<BoxFuture<'static, ()>>);

impl Threads {
    /// Runs a future on a thread that does nothing else meanwhile; none if it panicked.
    ///
    /// Dropped, it leaves the work running.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> io::Result<Option<T>> {
        let idle = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let thread = idle.map_or_else(Thread::start, Ok)?;
        let (reply, answer) = oneshot::channel();
        let work = async move {
            if let Ok(done) = task::catching(work).await {
                let _ = reply.send(done);
            }
        };
        let _ = thread.0.send(Box::pin(work));
        let answer = answer.await.ok();
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEPT {
            idle.push(thread);
        }
        Ok(answer)
    }
}

impl Thread {
    fn start() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (sender, mut receiver) = mpsc::unbounded_channel::<BoxFuture<'static, ()>>();
        std::thread::Builder::new().name("extensions-sync".into()).spawn(move || {
            runtime.block_on(async {
                while let Some(work) = receiver.recv().await {
                    work.await;
                }
            });
            // A blocking handler that hangs must not keep the thread as well.
            runtime.shutdown_background();
        })?;
        Ok(Self(sender))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Threads;
    use crate::task::block_on;

    #[test]
    fn work_may_wait_for_work_and_a_panic_ends_nothing_else() {
        let threads = Arc::new(Threads::default());
        let inner = Arc::clone(&threads);
        let nested = async move { inner.run(async { 7 }).await.ok().flatten() };
        assert_eq!(block_on(threads.run(nested)).unwrap(), Some(Some(7)));
        assert_eq!(block_on(threads.run(async { panic!("boom") })).unwrap(), None::<()>);
        assert_eq!(block_on(threads.run(async { 8 })).unwrap(), Some(8));
        assert_eq!(threads.0.lock().unwrap().len(), 2);
    }
}
