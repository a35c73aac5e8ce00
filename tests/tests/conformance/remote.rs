//! Postgres, Redis and Valkey: one server for the run, and a place of its own in it for each case.
//!
//! The servers end with the process, which their watchdogs see to.

use std::any::Any;
use std::sync::Arc;

use extensions_runtime::conformance::{Fixture, Part};
use extensions_runtime::job::JobId;
use extensions_runtime::queue::{QueueBackend, connect};
use tests::raw::{self, Raw};
use tests::servers::{Persistence, Postgres, Proxy, Redis, Server};
use tokio::sync::OnceCell;

use crate::{PATIENCE, Step};

/// A place in a server, which is reached through a proxy.
struct Remote {
    proxy: Proxy,
    url: String,
    backend: Arc<dyn QueueBackend>,
    raw: Raw,
}

impl Remote {
    async fn new(server: &Server) -> Self {
        let proxy = Proxy::before(server.port()).await;
        let url = server.fresh_url_at(proxy.port());
        // What has to be made at first takes longer than calls may.
        drop(connect(&url).await.expect("the store can be made"));
        let url = format!("{url}&timeout={}ms", PATIENCE.as_millis());
        let backend = connect(&url).await.expect("the store opens");
        let raw = Raw::of(&url);
        Self { proxy, url, backend, raw }
    }
}

impl Fixture for Remote {
    fn backend(&self) -> Arc<dyn QueueBackend> {
        Arc::clone(&self.backend)
    }

    fn reopen(&self) -> Step<'_, Arc<dyn QueueBackend>> {
        Box::pin(async { connect(&self.url).await.expect("the store opens again") })
    }

    fn can_spoil(&self) -> bool {
        true
    }

    fn spoil(&self, job: JobId, part: Part, garbage: Vec<u8>) -> Step<'_, ()> {
        let part = match part {
            Part::Payload => raw::Part::Payload,
            Part::Meta => raw::Part::Meta,
            Part::Errors => raw::Part::Errors,
        };
        Box::pin(self.raw.spoil(job, part, garbage))
    }

    fn can_obstruct(&self) -> bool {
        true
    }

    fn obstruct(&self) -> Box<dyn Any + Send> {
        self.proxy.refuse();
        Box::new(Refusing(self.proxy.clone()))
    }
}

/// Keeps the store out of reach until it is dropped.
struct Refusing(Proxy);

impl Drop for Refusing {
    fn drop(&mut self) {
        self.0.heal();
    }
}

pub(crate) async fn postgres() -> Box<dyn Fixture> {
    static SERVER: OnceCell<Server> = OnceCell::const_new();
    Box::new(Remote::new(SERVER.get_or_init(Postgres::start).await).await)
}

pub(crate) async fn redis() -> Box<dyn Fixture> {
    static SERVER: OnceCell<Server> = OnceCell::const_new();
    Box::new(Remote::new(SERVER.get_or_init(|| Redis::start(Persistence::Always)).await).await)
}

pub(crate) async fn valkey() -> Box<dyn Fixture> {
    static SERVER: OnceCell<Server> = OnceCell::const_new();
    let server = SERVER.get_or_init(|| async {
        Redis::valkey(Persistence::Always).await.expect("asked only where Valkey is installed")
    });
    Box::new(Remote::new(server.await).await)
}
