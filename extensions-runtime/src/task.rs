//! Futures without a runtime: waiting for one on a plain thread, and catching its panics.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future to its end on this thread.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut cx = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// Runs a future on this thread to its end, or drops it when that takes longer.
pub(crate) fn block_on_within<F: Future>(future: F, limit: Duration) -> Option<F::Output> {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut cx = Context::from_waker(&waker);
    let started = Instant::now();
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return Some(output);
        }
        thread::park_timeout(limit.checked_sub(started.elapsed()).filter(|left| !left.is_zero())?);
    }
}

/// A panic's payload.
type Panic = Box<dyn Any + Send>;

/// Runs a future to its end, or to its panic.
pub(crate) async fn catching<F: Future>(future: F) -> Result<F::Output, Panic> {
    let mut future = pin!(future);
    std::future::poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

/// Makes a future and runs it to its end, or to a panic; says once where it is not ready at once.
#[inline]
pub(crate) async fn catching_from<F: Future + Unpin>(
    make: impl FnOnce() -> F,
    is_pending: impl FnOnce(),
) -> Result<F::Output, Panic> {
    let mut future = Some(catch_unwind(AssertUnwindSafe(make))?);
    let mut is_pending = Some(is_pending);
    std::future::poll_fn(|cx| {
        let polled = catch_unwind(AssertUnwindSafe(|| {
            let polled = future.as_mut().map_or(Poll::Pending, |future| Pin::new(future).poll(cx));
            if polled.is_ready() {
                // This may panic too.
                future = None;
            }
            polled
        }));
        match polled {
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Ok(Poll::Pending) => {
                if let Some(is_pending) = is_pending.take() {
                    is_pending();
                }
                Poll::Pending
            }
            Err(panic) => {
                let _ = catch_unwind(AssertUnwindSafe(|| future = None));
                Poll::Ready(Err(panic))
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::{block_on, block_on_within, catching};
    use std::time::Duration;

    #[test]
    fn a_future_that_another_thread_completes_is_awaited() {
        let (send, receive) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || send.send(7));
        assert_eq!(block_on(receive), Ok(7));
    }

    #[test]
    fn a_future_that_takes_too_long_is_dropped() {
        let short = Duration::from_millis(1);
        assert_eq!(block_on_within(std::future::pending::<u8>(), short), None);
        assert_eq!(block_on_within(async { 7 }, short), Some(7));
    }

    #[test]
    fn a_panic_is_caught_with_its_message() {
        let caught = block_on(catching(async { panic!("boom") })).unwrap_err();
        assert_eq!(caught.downcast_ref::<&str>(), Some(&"boom"));
    }
}
