//! A connection over plain TCP: whoever calls writes to it, and reads the answer if that comes at once; else one of the tenders does.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use redis::{Cmd, ConnectionInfo, RedisResult, Value};
use tokio::io::Interest;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{Notify, oneshot};
use tokio::task::{AbortHandle, yield_now};

use super::resp::Inbox;
use crate::backend::homes::Homes;

/// For how long a caller's thread waits for its answer: about what it costs to be woken by another thread. A processor that is to be
/// woken so soon also sleeps less deeply.
const LOOK: Duration = Duration::from_micros(100);

/// After a look in vain a call is made without one, and twice as many after each further one, up to so many.
const LONGEST_PAUSE: u32 = 1 << 10;

/// The numbers of the tenders: the one on the queue's thread, and the one where the queue was opened, for calls from there.
const THREAD: usize = 0;
const OPENER: usize = 1;

/// Ends when nobody holds it any more.
#[derive(Debug)]
pub(super) struct Line {
    wire: Arc<Wire>,
    homes: Homes,
    tenders: Vec<AbortHandle>,
}

#[derive(Debug)]
struct Wire {
    stream: TcpStream,
    calls: Mutex<Calls>,
    inbox: Mutex<Inbox>,
    /// That there is something for a tender to read or write.
    wanted: [Notify; 2],
    looks: Looks,
}

#[derive(Debug, Default)]
struct Calls {
    /// What did not fit into the system's buffer, of which so much was written since.
    unsent: Vec<u8>,
    sent: usize,
    /// Those that wait for answers, in their order, each with the number of its tender.
    open: VecDeque<(usize, oneshot::Sender<RedisResult<Value>>)>,
    over: bool,
}

/// A call that was sent, and the line, which is to outlive it.
#[derive(Debug)]
pub(super) struct Answer {
    line: Arc<Line>,
    /// The number of the caller's tender.
    tender: usize,
    reply: oneshot::Receiver<RedisResult<Value>>,
}

impl Line {
    pub(super) async fn open(
        place: (&str, u16),
        server: &ConnectionInfo,
        homes: &Homes,
    ) -> RedisResult<Arc<Self>> {
        let stream = tokio::net::TcpStream::connect(place).await?;
        stream.set_nodelay(true)?;
        let wire = Arc::new(Wire {
            stream: stream.into_std()?,
            calls: Mutex::default(),
            inbox: Mutex::default(),
            wanted: Default::default(),
            looks: Looks::default(),
        });
        let tenders = homes.all().enumerate();
        let tenders = tenders.map(|(own, home)| home.spawn(tend(Arc::clone(&wire), own)).abort_handle());
        let tenders = tenders.collect();
        let line = Arc::new(Self { wire, homes: homes.clone(), tenders });
        let settings = server.redis_settings();
        if let Some(password) = settings.password() {
            line.send(redis::cmd("AUTH").arg(settings.username()).arg(password)).get().await?;
        }
        if settings.db() != 0 {
            line.send(redis::cmd("SELECT").arg(settings.db())).get().await?;
        }
        Ok(line)
    }

    /// Sends a call; at once, where there is room.
    pub(super) fn send(self: &Arc<Self>, cmd: &Cmd) -> Answer {
        let call = cmd.get_packed_command();
        let (reply, answer) = oneshot::channel();
        let tender = if self.homes.is_thread() { THREAD } else { OPENER };
        let answer = Answer { line: Arc::clone(self), tender, reply: answer };
        let mut calls = self.wire.calls();
        if calls.over {
            return answer;
        }
        calls.open.push_back((tender, reply));
        // An error comes up again where answers are read.
        let written = if calls.unsent.is_empty() { (&self.wire.stream).write(&call).unwrap_or(0) } else { 0 };
        if written < call.len() {
            calls.unsent.extend_from_slice(&call[written..]);
            self.wire.wanted[tender].notify_one();
        }
        answer
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.tenders.iter().for_each(AbortHandle::abort);
    }
}

impl Answer {
    /// What came of the call; an error where the connection ended before.
    pub(super) async fn get(mut self) -> RedisResult<Value> {
        let wire = &self.line.wire;
        if wire.is_alone() && wire.looks.is_due() {
            // What else is ready on this thread goes first, if it is a task that polls: then the thread is not kept from that.
            if poll_fn(|cx| Poll::Ready(self.line.homes.is_polled_by_task(cx))).await {
                yield_now().await;
            }
            if wire.is_alone() {
                wire.look();
            }
        }
        let answer = match self.reply.try_recv() {
            Err(TryRecvError::Empty) => {
                wire.wanted[self.tender].notify_one();
                self.reply.await.ok()
            }
            answer => answer.ok(),
        };
        let lost = || Err(io::Error::from(io::ErrorKind::BrokenPipe).into());
        answer.unwrap_or_else(lost).and_then(Value::extract_error)
    }
}

/// Reads answers that their callers do not read, and writes what is left.
async fn tend(wire: Arc<Wire>, own: usize) {
    let wire = Tended(wire);
    loop {
        wire.0.wanted[own].notified().await;
        if let Err(why) = wire.0.tend(own).await {
            return wire.0.end(&why);
        }
    }
}

/// What a tender leaves to the one on the queue's thread, when the runtime that it was in is gone.
struct Tended(Arc<Wire>);

impl Drop for Tended {
    fn drop(&mut self) {
        self.0.calls().open.iter_mut().for_each(|(tender, _)| *tender = THREAD);
        self.0.wanted[THREAD].notify_one();
    }
}

impl Wire {
    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_alone(&self) -> bool {
        self.calls().open.len() == 1
    }

    fn end(&self, why: &io::Error) {
        tracing::debug!(%why, "a connection to the server ended");
        *self.calls() = Calls { over: true, ..Calls::default() };
    }

    /// Reads what comes at once.
    fn look(&self) {
        let came = comes_within(&self.stream, LOOK);
        self.looks.note(came);
        if came
            && let Err(why) = self.read()
            && why.kind() != io::ErrorKind::WouldBlock
        {
            self.end(&why);
        }
    }

    /// Until it is woken for nothing while none of its calls is open: somebody else reads the answers then.
    async fn tend(&self, own: usize) -> io::Result<()> {
        let stream = tokio::net::TcpStream::from_std(self.stream.try_clone()?)?;
        loop {
            let interest = match self.calls().unsent.is_empty() {
                true => Interest::READABLE,
                false => Interest::READABLE | Interest::WRITABLE,
            };
            let ready = tokio::select! {
                ready = stream.ready(interest) => ready?,
                () = self.wanted[own].notified() => continue,
            };
            if ready.is_readable() {
                let mut came = false;
                let read = || {
                    let more = self.read()?;
                    came = true;
                    if more { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
                };
                or_later(stream.try_io(Interest::READABLE, read))?;
                if !came && self.calls().open.iter().all(|(tender, _)| *tender != own) {
                    return Ok(());
                }
            }
            if ready.is_writable() {
                or_later(stream.try_io(Interest::WRITABLE, || self.write()))?;
            }
        }
    }

    /// Whether there may be more at once.
    fn read(&self) -> io::Result<bool> {
        let mut inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        let more = inbox.read(&self.stream)?;
        while let Some(answer) = inbox.next().map_err(io::Error::other)? {
            let Some((_, call)) = self.calls().open.pop_front() else {
                return Err(io::ErrorKind::InvalidData.into());
            };
            let _ = call.send(Ok(answer));
        }
        Ok(more)
    }

    fn write(&self) -> io::Result<()> {
        let mut calls = self.calls();
        while calls.sent < calls.unsent.len() {
            calls.sent += (&self.stream).write(&calls.unsent[calls.sent..])?;
        }
        calls.sent = 0;
        calls.unsent.clear();
        Ok(())
    }
}

fn or_later(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        done => done,
    }
}

/// Whether it is worth while to look.
#[derive(Debug, Default)]
struct Looks {
    /// How many calls have yet to go without.
    pause: AtomicU32,
    last_pause: AtomicU32,
}

impl Looks {
    fn is_due(&self) -> bool {
        let pause = self.pause.load(Ordering::Relaxed);
        self.pause.store(pause.saturating_sub(1), Ordering::Relaxed);
        pause == 0
    }

    fn note(&self, came: bool) {
        let last = self.last_pause.load(Ordering::Relaxed);
        let pause = if came { 0 } else { (2 * last).clamp(1, LONGEST_PAUSE) };
        self.last_pause.store(pause, Ordering::Relaxed);
        self.pause.store(pause, Ordering::Relaxed);
    }
}

#[cfg(target_os = "linux")]
fn comes_within(stream: &TcpStream, time: Duration) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let time = Timespec::try_from(time).ok();
    poll(&mut [PollFd::new(stream, PollFlags::IN)], time.as_ref()).is_ok_and(|ready| ready > 0)
}

/// Elsewhere nothing waits for so short a time.
#[cfg(not(target_os = "linux"))]
fn comes_within(_: &TcpStream, _: Duration) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::homes::Thread;

    /// Answers each call with how many came before it, after a pause.
    fn server(pause: Duration) -> u16 {
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        std::thread::spawn(move || {
            use std::io::Read;
            let (mut caller, mut call) = (server.accept().unwrap().0, [0; 14]);
            for n in 0.. {
                if caller.read_exact(&mut call).is_err() {
                    return;
                }
                std::thread::sleep(pause);
                caller.write_all(format!(":{n}\r\n").as_bytes()).unwrap();
            }
        });
        port
    }

    async fn line(pause: Duration) -> (Arc<Line>, Thread) {
        let server: ConnectionInfo = format!("redis://127.0.0.1:{}", server(pause)).parse().unwrap();
        let redis::ConnectionAddr::Tcp(host, port) = server.addr() else { unreachable!() };
        let thread = Thread::start("test").unwrap();
        (Line::open((host, *port), &server, &Homes::of(&thread).await).await.unwrap(), thread)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn answers_come_whoever_reads_them() {
        for pause in [Duration::ZERO, Duration::from_millis(5)] {
            let (line, _thread) = line(pause).await;
            let ping = redis::cmd("PING");
            for n in 0..20 {
                assert_eq!(line.send(&ping).get().await.unwrap(), Value::Int(n), "{pause:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_call_that_nobody_awaits_keeps_no_other_from_its_answer() {
        let (line, _thread) = line(Duration::ZERO).await;
        let ping = redis::cmd("PING");
        let (_unawaited, dropped) = (line.send(&ping), line.send(&ping));
        drop(dropped);
        assert_eq!(line.send(&ping).get().await.unwrap(), Value::Int(2));
    }
}
