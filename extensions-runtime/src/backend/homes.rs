//! Where the calls of a queue with connections run.

use std::future::{Future, poll_fn};
use std::iter;
use std::net::{Ipv4Addr, UdpSocket};
use std::panic::catch_unwind;
use std::ptr;
use std::task::{Context, Poll, RawWakerVTable};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, RuntimeFlavor};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// A thread of the queue's own, with a runtime; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Thread {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
}

impl Thread {
    pub(super) fn start(name: &str) -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            let _ = runtime.block_on(stopped);
            runtime.shutdown_background();
        })?;
        Ok(Self { handle, stop: Some(stop) })
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }
}

/// The runtime that opened the queue, for calls of its tasks: an answer that another thread reads wakes two threads, not one. And the
/// queue's own thread for all others, and for what must go on whatever becomes of that runtime.
#[derive(Debug, Clone)]
pub(super) struct Homes {
    thread: Handle,
    opener: Option<Handle>,
    /// By which tasks are woken, of whatever runtime.
    wakes_task: Option<&'static RawWakerVTable>,
}

impl Homes {
    /// To be awaited where the queue is opened.
    pub(super) async fn of(thread: &Thread) -> Self {
        let opener = Handle::try_current().ok().filter(runs_by_itself);
        let wakes_task = thread.handle.spawn(poll_fn(|cx| Poll::Ready(cx.waker().vtable()))).await.ok();
        Self { thread: thread.handle.clone(), opener, wakes_task }
    }

    /// The runtime for a call from here. The runtime that opened the queue is one only for what its tasks poll themselves: whoever else
    /// polls on one of its threads may keep that thread until the call ends, and with it what the runtime has to do on it.
    pub(super) async fn here(&self) -> &Handle {
        let is_opener = poll_fn(|cx| Poll::Ready(self.is_polled_by_task(cx) && !self.is_thread())).await;
        self.opener.as_ref().filter(|_| is_opener).unwrap_or(&self.thread)
    }

    /// Whether it is a task that polls, and nobody in between.
    pub(super) fn is_polled_by_task(&self, cx: &Context<'_>) -> bool {
        self.wakes_task.is_some_and(|wakes_task| ptr::eq(wakes_task, cx.waker().vtable()))
    }

    /// Whether this is a context other than that of the runtime that opened the queue.
    pub(super) fn is_thread(&self) -> bool {
        !self.opener.as_ref().is_some_and(is_current)
    }

    pub(super) const fn thread(&self) -> &Handle {
        &self.thread
    }

    /// The thread first.
    pub(super) fn all(&self) -> impl Iterator<Item = &Handle> {
        iter::once(&self.thread).chain(&self.opener)
    }

    /// Runs a step to its end on the queue's thread.
    pub(super) fn spawn(&self, step: impl Future<Output = ()> + Send + 'static) {
        drop(self.thread.spawn(step));
    }

    /// Runs what lasts as long as the queue where that was opened; anew on the thread once that runtime is gone.
    pub(super) fn keep<F>(&self, step: impl Fn() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let opener = self.opener.clone();
        self.spawn(async move {
            // Ended together with this.
            let mut there = JoinSet::new();
            if let Some(opener) = opener {
                there.spawn_on(step(), &opener);
            }
            if !matches!(there.join_next().await, Some(Ok(()))) {
                step().await;
            }
        });
    }
}

fn is_current(runtime: &Handle) -> bool {
    Handle::try_current().is_ok_and(|current| current.id() == runtime.id())
}

/// Whether a runtime, the current one, goes on when nobody awaits anything in it, and knows sockets and time.
fn runs_by_itself(runtime: &Handle) -> bool {
    // What is missing it says by a panic only.
    let is_able = || {
        drop(tokio::time::sleep(Duration::ZERO));
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_nonblocking(true)?;
        tokio::net::UdpSocket::from_std(socket)
    };
    runtime.runtime_flavor() == RuntimeFlavor::MultiThread
        && catch_unwind(is_able).is_ok_and(|able| able.is_ok())
}
