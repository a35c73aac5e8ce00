//! The connection that all calls share: opened again by itself, with jittered pauses.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClient, SentinelServerType};
use redis::{AsyncConnectionConfig, Client, Cmd, ConnectionAddr, PushInfo, RedisResult, Value};
use tokio::sync::Mutex;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::super::config::{Config, Topology};
use super::super::error::Failure;
use super::line::{Answer, Line};
use super::script::Script;
use crate::backend::homes::Homes;
use crate::queue::Link;

/// A call ends with the connection that it was sent on, or is sent again on the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// Doing it twice is the same as doing it once.
    Yes,
    /// The caller has to know that it may have been done.
    No,
}

enum Server {
    Single(Client),
    Sentinel(Mutex<SentinelClient>),
    Cluster(Box<(ClusterClient, Client)>),
}

#[derive(Clone)]
enum Open {
    Plain(Arc<Line>),
    /// Over TLS.
    Library(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Open {
    async fn to(client: &Client, homes: &Homes) -> RedisResult<Self> {
        let server = client.get_connection_info();
        Ok(match server.addr() {
            ConnectionAddr::Tcp(host, port) => Self::Plain(Line::open((host, *port), server, homes).await?),
            _ => Self::Library(client.get_multiplexed_async_connection_with_config(&settings()).await?),
        })
    }

    async fn send(&mut self, cmd: &Cmd) -> RedisResult<Value> {
        match self {
            Self::Plain(line) => line.send(cmd).get().await,
            Self::Library(open) => open.req_packed_command(cmd).await.and_then(Value::extract_error),
            Self::Cluster(open) => open.req_packed_command(cmd).await.and_then(Value::extract_error),
        }
    }
}

/// Without a time-out of the library's, which would count for every call.
fn settings() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None)
}

/// A call of a script that was begun: sent already where that took no waiting.
#[derive(Debug)]
pub(super) struct Begun {
    deadline: Instant,
    sent: Option<Sent>,
}

/// A call on its way over a connection with that number.
type Sent = (u64, Answer);

#[derive(Default)]
struct Slot {
    open: Option<(u64, Open)>,
    failures: u32,
    not_before: Option<Instant>,
    failure: Option<Failure>,
}

pub(super) struct Connection {
    server: Server,
    base_key: String,
    timeout: Duration,
    pub(super) homes: Homes,
    pub(super) link: Link,
    slot: Mutex<Slot>,
    /// Connections up to this number are of no more use.
    broken: AtomicU64,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("link", &self.link).finish_non_exhaustive()
    }
}

impl Connection {
    pub(super) fn new(config: &Config, homes: Homes) -> Result<Self, Failure> {
        if config.nodes.iter().any(|node| node.starts_with("rediss:")) {
            // The application may have chosen another provider; that is as good.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let nodes = || config.nodes.iter().map(String::as_str);
        let first = Client::open(config.nodes[0].as_str())?;
        let server = match config.topology {
            Topology::Single => Server::Single(first),
            Topology::Cluster => Server::Cluster(Box::new((ClusterClient::new(nodes())?, first))),
            Topology::Sentinel => {
                let (nodes, service) = (nodes().collect(), config.service.clone());
                Server::Sentinel(Mutex::new(SentinelClient::build(
                    nodes,
                    service,
                    None,
                    SentinelServerType::Master,
                )?))
            }
        };
        Ok(Self {
            server,
            base_key: config.base_key(),
            timeout: config.timeout,
            homes,
            link: Link::new(config.place()),
            slot: Mutex::default(),
            broken: AtomicU64::new(0),
        })
    }

    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    pub(super) fn key(&self, rest: &str) -> String {
        format!("{}:{rest}", self.base_key)
    }

    fn script(&self, name: &str, script: &str, arguments: impl Fn(&mut Cmd)) -> Cmd {
        let mut cmd = redis::cmd(name);
        cmd.arg(script).arg(1).arg(&self.base_key);
        arguments(&mut cmd);
        cmd
    }

    /// Calls a script with the store's one key, by its hash; by its text where the server has forgotten it.
    pub(super) async fn call(
        self: &Arc<Self>,
        script: &'static Script,
        repeat: Repeat,
        arguments: impl Fn(&mut Cmd),
    ) -> Result<Value, Failure> {
        let begun = self.begin(script, &arguments);
        self.finish(begun, script, repeat, arguments).await
    }

    /// Begins such a call, on any thread: it is on its way at once where a connection is open.
    pub(super) fn begin(&self, script: &'static Script, arguments: impl Fn(&mut Cmd)) -> Begun {
        let sent = match self.current() {
            Some((number, Open::Plain(line))) => {
                Some((number, line.send(&self.script("EVALSHA", &script.hash, arguments))))
            }
            _ => None,
        };
        Begun { deadline: self.deadline(), sent }
    }

    /// Does the rest of it, in a context with a runtime.
    pub(super) async fn finish(
        self: &Arc<Self>,
        Begun { deadline, sent }: Begun,
        script: &'static Script,
        repeat: Repeat,
        arguments: impl Fn(&mut Cmd),
    ) -> Result<Value, Failure> {
        let by_hash = || self.script("EVALSHA", &script.hash, &arguments);
        match self.send(sent, by_hash, repeat, deadline).await {
            Err(failure) if failure.lacks_script() => {
                let by_text = || self.script("EVAL", &script.text, &arguments);
                self.send(None, by_text, repeat, deadline).await
            }
            answer => answer,
        }
    }

    pub(super) async fn command(self: &Arc<Self>, cmd: &Cmd) -> Result<Value, Failure> {
        self.send(None, || cmd.clone(), Repeat::Yes, self.deadline()).await
    }

    async fn send(
        self: &Arc<Self>,
        mut sent: Option<Sent>,
        cmd: impl Fn() -> Cmd,
        repeat: Repeat,
        deadline: Instant,
    ) -> Result<Value, Failure> {
        let mut refusals = 0;
        loop {
            let (number, answer) = match sent.take() {
                Some((number, answer)) => (number, timeout_at(deadline, answer.get()).await),
                None => {
                    let (number, mut open) =
                        self.opened(deadline).await.map_err(|why| Failure::Unsent(Box::new(why)))?;
                    (number, timeout_at(deadline, open.send(&cmd())).await)
                }
            };
            let answer = match answer {
                Ok(answer) => answer.map_err(Failure::from),
                Err(_) => Err(Failure::Silent(self.timeout)),
            };
            match answer {
                Err(failure) if failure.ends_connection() => {
                    self.broken.fetch_max(number, Ordering::Relaxed);
                    self.link.lost(&failure.what());
                    if repeat == Repeat::No || Instant::now() >= deadline {
                        return Err(failure);
                    }
                    // Connecting works, so nothing else keeps this from being tried a thousand times a second.
                    if failure.is_of_replica() {
                        refusals += 1;
                        let again = Instant::now() + Link::back_off(refusals);
                        if again >= deadline {
                            return Err(failure);
                        }
                        sleep_until(again).await;
                    }
                }
                answer => {
                    self.link.works();
                    return answer;
                }
            }
        }
    }

    /// What is open, if nobody is about to change that.
    fn current(&self) -> Option<(u64, Open)> {
        let slot = self.slot.try_lock().ok()?;
        slot.open.clone().filter(|(number, _)| *number > self.broken.load(Ordering::Relaxed))
    }

    /// The connection that is open, or a new one; made on the thread, since others may wait for it too.
    async fn opened(self: &Arc<Self>, deadline: Instant) -> Result<(u64, Open), Failure> {
        if let Some(open) = self.current() {
            return Ok(open);
        }
        let this = Arc::clone(self);
        let opening = self.homes.thread().spawn(async move { this.open(deadline).await });
        opening.await.unwrap_or(Err(Failure::Silent(self.timeout)))
    }

    async fn open(&self, deadline: Instant) -> Result<(u64, Open), Failure> {
        let silent = || Failure::Silent(self.timeout);
        let mut slot = timeout_at(deadline, self.slot.lock()).await.map_err(|_| silent())?;
        loop {
            if let Some((number, open)) = &slot.open
                && *number > self.broken.load(Ordering::Relaxed)
            {
                return Ok((*number, open.clone()));
            }
            if let Some(at) = slot.not_before.filter(|at| *at > Instant::now()) {
                if at >= deadline {
                    sleep_until(deadline).await;
                    return Err(slot.failure.take().unwrap_or_else(silent));
                }
                sleep_until(at).await;
            }
            let number =
                slot.open.take().map_or(0, |(number, _)| number).max(self.broken.load(Ordering::Relaxed)) + 1;
            self.broken.fetch_max(number - 1, Ordering::Relaxed);
            let attempt = match timeout_at(deadline, self.connect()).await {
                Ok(attempt) => attempt.map_err(Failure::from),
                Err(_) => Err(silent()),
            };
            match attempt {
                Ok(open) => *slot = Slot { open: Some((number, open)), ..Slot::default() },
                Err(failure) => {
                    self.link.lost(&failure.what());
                    slot.failures += 1;
                    // So that every call tries at least once before its time is over.
                    let pause = Link::back_off(slot.failures).min(self.timeout / 2);
                    slot.not_before = Some(Instant::now() + pause);
                    if !failure.ends_connection() || Instant::now() >= deadline {
                        return Err(failure);
                    }
                    slot.failure = Some(failure);
                }
            }
        }
    }

    /// What is open is not used again.
    pub(super) fn reconnect(&self) {
        if let Ok(slot) = self.slot.try_lock()
            && let Some((number, _)) = &slot.open
        {
            self.broken.fetch_max(*number, Ordering::Relaxed);
        }
    }

    async fn connect(&self) -> RedisResult<Open> {
        match &self.server {
            Server::Single(client) => Open::to(client, &self.homes).await,
            Server::Sentinel(client) => {
                Open::to(&client.lock().await.async_get_client().await?, &self.homes).await
            }
            Server::Cluster(clients) => Ok(Open::Cluster(clients.0.get_async_connection().await?)),
        }
    }

    /// A connection of its own that hears of wake-ups. In a cluster any node hears of all.
    pub(super) async fn subscribe(
        &self,
        channel: &str,
        news: UnboundedSender<PushInfo>,
    ) -> Result<MultiplexedConnection, Failure> {
        let connect = async {
            let client = match &self.server {
                Server::Single(client) => client.clone(),
                Server::Cluster(clients) => clients.1.clone(),
                Server::Sentinel(client) => client.lock().await.async_get_client().await?,
            };
            let info = client.get_connection_info();
            let resp3 = info.redis_settings().clone().set_protocol(redis::ProtocolVersion::RESP3);
            let client = Client::open(info.clone().set_redis_settings(resp3))?;
            let settings = settings().set_push_sender(news);
            let mut open = client.get_multiplexed_async_connection_with_config(&settings).await?;
            open.subscribe(channel).await?;
            Ok(open)
        };
        timeout_at(self.deadline(), connect).await.map_err(|_| Failure::Silent(self.timeout))?
    }

    /// Whether a connection of its own still answers.
    pub(super) async fn answers(&self, open: &mut MultiplexedConnection) -> bool {
        matches!(timeout_at(self.deadline(), open.req_packed_command(&redis::cmd("PING"))).await, Ok(Ok(_)))
    }
}
