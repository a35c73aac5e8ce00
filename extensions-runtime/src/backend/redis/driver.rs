//! The thread that reads the connections and ends the calls, so that they can be polled anywhere.

use std::future::Future;
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

    /// Runs a step to its end there, whether or not anyone waits for it. Begun in the order of the calls.
    pub(super) fn spawn(&self, step: impl Future<Output = ()> + Send + 'static) {
        drop(self.handle.spawn(step));
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }
}
