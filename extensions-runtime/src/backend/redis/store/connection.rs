//! The connection that all calls share: opened again by itself, with jittered pauses.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClient, SentinelServerType};
use redis::{AsyncConnectionConfig, Client, Cmd, PushInfo, RedisResult, Value};
use tokio::sync::Mutex;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::super::config::{Config, Topology};
use super::super::error::Failure;
use super::script::Script;
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
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Open {
    async fn send(&mut self, cmd: &Cmd) -> RedisResult<Value> {
        match self {
            Self::Single(open) => open.req_packed_command(cmd).await,
            Self::Cluster(open) => open.req_packed_command(cmd).await,
        }
        .and_then(Value::extract_error)
    }
}

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
    pub(super) fn new(config: &Config) -> Result<Self, Failure> {
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

    /// Calls a script with the store's one key, by its hash; by its text where the server has forgotten it.
    pub(super) async fn call(
        &self,
        script: &'static Script,
        repeat: Repeat,
        arguments: impl Fn(&mut Cmd),
    ) -> Result<Value, Failure> {
        let command = |name, script: &str| {
            let mut cmd = redis::cmd(name);
            cmd.arg(script).arg(1).arg(&self.base_key);
            arguments(&mut cmd);
            cmd
        };
        let deadline = self.deadline();
        match self.send(&command("EVALSHA", &script.hash), repeat, deadline).await {
            Err(failure) if failure.lacks_script() => {
                self.send(&command("EVAL", &script.text), repeat, deadline).await
            }
            answer => answer,
        }
    }

    pub(super) async fn command(&self, cmd: &Cmd) -> Result<Value, Failure> {
        self.send(cmd, Repeat::Yes, self.deadline()).await
    }

    async fn send(&self, cmd: &Cmd, repeat: Repeat, deadline: Instant) -> Result<Value, Failure> {
        let mut refusals = 0;
        loop {
            let (number, mut open) =
                self.opened(deadline).await.map_err(|why| Failure::Unsent(Box::new(why)))?;
            let answer = match timeout_at(deadline, open.send(cmd)).await {
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

    /// The connection that is open, or a new one.
    async fn opened(&self, deadline: Instant) -> Result<(u64, Open), Failure> {
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

    /// Without a time-out of the library's, which would count for every call.
    fn settings() -> AsyncConnectionConfig {
        AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None)
    }

    async fn connect(&self) -> RedisResult<Open> {
        Ok(match &self.server {
            Server::Single(client) => {
                Open::Single(client.get_multiplexed_async_connection_with_config(&Self::settings()).await?)
            }
            Server::Sentinel(client) => {
                Open::Single(client.lock().await.get_async_connection_with_config(&Self::settings()).await?)
            }
            Server::Cluster(clients) => Open::Cluster(clients.0.get_async_connection().await?),
        })
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
            let settings = info.redis_settings().clone().set_protocol(redis::ProtocolVersion::RESP3);
            let client = Client::open(info.clone().set_redis_settings(settings))?;
            let settings = Self::settings().set_push_sender(news);
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
