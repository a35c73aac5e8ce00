//! The thread that reads the connections, and ends the calls that nobody awaits any more.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// One thread with a runtime of its own; it ends with the driver.
#[derive(Debug)]
pub(super) struct Driver {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
}

impl Driver {
    pub(super) fn start() -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        thread::Builder::new().name("extensions-redis".to_owned()).spawn(move || {
            let _ = runtime.block_on(stopped);
            runtime.shutdown_background();
        })?;
        Ok(Self { handle, stop: Some(stop) })
    }

    /// Runs a step to its end there.
    pub(super) fn spawn(&self, step: impl Future<Output = ()> + Send + 'static) {
        drop(self.handle.spawn(step));
    }

    /// Runs a step where it is awaited, from anywhere, as if there; and to its end there if that is dropped.
    pub(super) fn run<F>(&self, step: F) -> Run<F>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        Run { handle: self.handle.clone(), step: Some(Box::pin(step)) }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }
}

/// A step that was begun and always comes to its end.
#[derive(Debug)]
pub(super) struct Run<F: Future<Output: Send> + Send + 'static> {
    handle: Handle,
    step: Option<Pin<Box<F>>>,
}

impl<F: Future<Output: Send> + Send + 'static> Future for Run<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        let Some(step) = &mut this.step else { return Poll::Pending };
        let _there = this.handle.enter();
        let output = ready!(step.as_mut().poll(cx));
        this.step = None;
        Poll::Ready(output)
    }
}

impl<F: Future<Output: Send> + Send + 'static> Drop for Run<F> {
    fn drop(&mut self) {
        if let Some(step) = self.step.take() {
            drop(self.handle.spawn(step));
        }
    }
}
