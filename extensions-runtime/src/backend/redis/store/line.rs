//! A connection over plain TCP: whoever calls writes to it, without a detour over the driver, which reads the answers.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redis::{Cmd, ConnectionInfo, RedisResult, Value};
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;

use super::resp::Inbox;

pub(super) type Answer = oneshot::Receiver<RedisResult<Value>>;

/// How much is read at a time.
const CHUNK: usize = 1 << 16;

/// Ends when nobody holds it any more.
#[derive(Debug)]
pub(super) struct Line {
    wire: Arc<Wire>,
    driven: AbortHandle,
}

#[derive(Debug)]
struct Wire {
    stream: TcpStream,
    calls: Mutex<Calls>,
    /// That something is left to be written.
    left: Notify,
}

#[derive(Debug, Default)]
struct Calls {
    /// What did not fit into the system's buffer, of which so much was written since.
    unsent: Vec<u8>,
    sent: usize,
    /// Those that wait for answers, in their order.
    open: VecDeque<oneshot::Sender<RedisResult<Value>>>,
    over: bool,
}

impl Line {
    /// To be called on the driver.
    pub(super) async fn open(place: (&str, u16), server: &ConnectionInfo) -> RedisResult<Self> {
        let stream = TcpStream::connect(place).await?;
        stream.set_nodelay(true)?;
        let wire = Arc::new(Wire { stream, calls: Mutex::default(), left: Notify::new() });
        let driven = tokio::spawn(drive(Arc::clone(&wire))).abort_handle();
        let line = Self { wire, driven };
        let settings = server.redis_settings();
        if let Some(password) = settings.password() {
            line.ask(redis::cmd("AUTH").arg(settings.username()).arg(password)).await?;
        }
        if settings.db() != 0 {
            line.ask(redis::cmd("SELECT").arg(settings.db())).await?;
        }
        Ok(line)
    }

    async fn ask(&self, cmd: &Cmd) -> RedisResult<Value> {
        answered(self.send(cmd)).await
    }

    /// Sends a call; at once, where there is room.
    pub(super) fn send(&self, cmd: &Cmd) -> Answer {
        let call = cmd.get_packed_command();
        let (reply, answer) = oneshot::channel();
        let mut calls = self.wire.calls();
        if calls.over {
            return answer;
        }
        calls.open.push_back(reply);
        // An error comes up again where the driver writes.
        let written =
            if calls.unsent.is_empty() { self.wire.stream.try_write(&call).unwrap_or(0) } else { 0 };
        if written < call.len() {
            calls.unsent.extend_from_slice(&call[written..]);
            self.wire.left.notify_one();
        }
        answer
    }
}

/// What came of a call; an error where the connection ended before.
pub(super) async fn answered(answer: Answer) -> RedisResult<Value> {
    let lost = || Err(io::Error::from(io::ErrorKind::BrokenPipe).into());
    answer.await.unwrap_or_else(|_| lost()).and_then(Value::extract_error)
}

impl Drop for Line {
    fn drop(&mut self) {
        self.driven.abort();
    }
}

/// Reads answers, and writes what is left, until the connection ends.
async fn drive(wire: Arc<Wire>) {
    let why = tokio::select! {
        end = wire.read() => end.err(),
        end = wire.write_rest() => end.err(),
    };
    tracing::debug!(?why, "a connection to the server ended");
    let mut calls = wire.calls();
    calls.over = true;
    calls.open.clear();
}

impl Wire {
    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn read(&self) -> RedisResult<()> {
        let (mut inbox, mut chunk) = (Inbox::default(), vec![0; CHUNK]);
        loop {
            self.stream.readable().await?;
            match self.stream.try_read(&mut chunk) {
                Ok(0) => return Ok(()),
                Ok(read) => inbox.add(&chunk[..read]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error.into()),
            }
            while let Some(answer) = inbox.next()? {
                let Some(call) = self.calls().open.pop_front() else { return Ok(()) };
                let _ = call.send(Ok(answer));
            }
        }
    }

    async fn write_rest(&self) -> RedisResult<()> {
        loop {
            self.left.notified().await;
            while self.write_some()? {
                self.stream.writable().await?;
            }
        }
    }

    /// Whether something is left.
    fn write_some(&self) -> io::Result<bool> {
        let mut calls = self.calls();
        match self.stream.try_write(&calls.unsent[calls.sent..]) {
            Ok(written) => calls.sent += written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        if calls.sent == calls.unsent.len() {
            calls.sent = 0;
            calls.unsent.clear();
        }
        Ok(!calls.unsent.is_empty())
    }
}
