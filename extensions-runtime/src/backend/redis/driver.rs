//! Where calls are made, and what ends those that nobody awaits any more.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::runtime::Handle;

use crate::backend::homes::{Homes, Thread};

/// The queue's thread ends with the driver.
#[derive(Debug)]
pub(super) struct Driver {
    homes: Homes,
    _thread: Thread,
}

impl Driver {
    /// To be awaited where the queue is opened.
    pub(super) async fn start() -> std::io::Result<Self> {
        let thread = Thread::start("extensions-redis")?;
        Ok(Self { homes: Homes::of(&thread).await, _thread: thread })
    }

    pub(super) const fn homes(&self) -> &Homes {
        &self.homes
    }

    /// Makes and runs a step where it is awaited, from anywhere, as if in the runtime for calls from here; and to its end there if that is
    /// dropped.
    pub(super) async fn run<F>(&self, make: impl FnOnce() -> F) -> F::Output
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let home = self.homes.here().await.clone();
        let step = {
            let _at_home = home.enter();
            Box::pin(make())
        };
        Run { home, step: Some(step) }.await
    }
}

/// A step that was begun and always comes to its end.
#[derive(Debug)]
struct Run<F: Future<Output: Send> + Send + 'static> {
    home: Handle,
    step: Option<Pin<Box<F>>>,
}

impl<F: Future<Output: Send> + Send + 'static> Future for Run<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        let Some(step) = &mut this.step else { return Poll::Pending };
        let _at_home = this.home.enter();
        let output = ready!(step.as_mut().poll(cx));
        this.step = None;
        Poll::Ready(output)
    }
}

impl<F: Future<Output: Send> + Send + 'static> Drop for Run<F> {
    fn drop(&mut self) {
        if let Some(step) = self.step.take() {
            drop(self.home.spawn(step));
        }
    }
}
