//! Where a run's store is, and what can be done to it.

use std::path::Path;

use tokio::sync::OnceCell;

use crate::servers::{Persistence, Postgres, Proxy, Redis, Server};

/// An engine that keeps jobs for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Engine {
    /// A file.
    Sqlite,
    /// A server.
    Postgres,
    /// A server; Valkey too.
    Redis,
}

impl Engine {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sqlite, Self::Postgres, Self::Redis];
    /// Those with a server.
    pub const SERVERS: [Self; 2] = [Self::Postgres, Self::Redis];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::Redis => "redis",
        }
    }

    /// The engine that a URL names.
    #[must_use]
    pub fn of(url: &str) -> Option<Self> {
        match url.split_once("://")?.0 {
            "sqlite" => Some(Self::Sqlite),
            "postgres" | "postgresql" => Some(Self::Postgres),
            "redis" | "rediss" => Some(Self::Redis),
            _ => None,
        }
    }

    /// Whether it is a server.
    #[must_use]
    pub fn is_server(self) -> bool {
        self != Self::Sqlite
    }
}

/// A run's store.
#[derive(Debug)]
pub struct Site {
    engine: Engine,
    url: String,
    server: Option<Server>,
    proxy: Option<Proxy>,
}

/// How soon a subject gives up on a call to a server, so that short faults outlast it. The harness has more patience.
const TIME_OUT: &str = "timeout=2s";

impl Site {
    /// The store that a URL names.
    #[must_use]
    pub const fn at(engine: Engine, url: String) -> Self {
        Self { engine, url, server: None, proxy: None }
    }

    /// A fresh store in a folder, or a place in a server that others of this process use too.
    pub async fn shared(engine: Engine, folder: &Path) -> Self {
        static POSTGRES: OnceCell<Server> = OnceCell::const_new();
        static REDIS: OnceCell<Server> = OnceCell::const_new();
        let server = match engine {
            Engine::Sqlite => return Self::file(folder),
            Engine::Postgres => POSTGRES.get_or_init(Postgres::start).await,
            Engine::Redis => REDIS.get_or_init(|| Redis::start(Persistence::Always)).await,
        };
        Self::at(engine, server.fresh_url())
    }

    /// A fresh store in a folder, or in a server of its own.
    pub async fn own(engine: Engine, persistence: Persistence, folder: &Path) -> Self {
        let server = match engine {
            Engine::Sqlite => return Self::file(folder),
            Engine::Postgres => Postgres::start().await,
            Engine::Redis => Redis::start(persistence).await,
        };
        let url = server.fresh_url();
        Self { server: Some(server), ..Self::at(engine, url) }
    }

    fn file(folder: &Path) -> Self {
        Self::at(Engine::Sqlite, format!("sqlite://{}", folder.join("jobs.db").display()))
    }

    /// Lets subjects reach the server through a proxy; the harness goes on to reach it directly.
    ///
    /// # Panics
    ///
    /// If it is no server of this site's own.
    pub async fn behind_a_proxy(mut self) -> Self {
        self.proxy = Some(Proxy::before(self.own_server().port()).await);
        self
    }

    /// The engine.
    #[must_use]
    pub const fn engine(&self) -> Engine {
        self.engine
    }

    /// Where the harness finds the store.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where subjects find it.
    #[must_use]
    pub fn subjects_url(&self) -> String {
        let url = match &self.proxy {
            Some(proxy) => self.url.replacen(
                &format!("127.0.0.1:{}", self.own_server().port()),
                &format!("127.0.0.1:{}", proxy.port()),
                1,
            ),
            None => self.url.clone(),
        };
        let hasty = self.engine.is_server() && !url.contains("timeout=");
        if hasty { format!("{url}{}{TIME_OUT}", if url.contains('?') { '&' } else { '?' }) } else { url }
    }

    /// The site's own server.
    ///
    /// # Panics
    ///
    /// If there is none.
    #[must_use]
    pub fn own_server(&self) -> &Server {
        self.server.as_ref().expect("the site has a server of its own")
    }

    /// The same, to kill and start it.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn own_server_mut(&mut self) -> &mut Server {
        self.server.as_mut().expect("the site has a server of its own")
    }

    /// What lies between the subjects and the server.
    ///
    /// # Panics
    ///
    /// If nothing does.
    #[must_use]
    pub fn proxy(&self) -> &Proxy {
        self.proxy.as_ref().expect("the site is behind a proxy")
    }
}
