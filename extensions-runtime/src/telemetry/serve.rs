//! The HTTP endpoint for probes and scrapers. It holds out against whoever may reach it: slow, silent, many, or talking nonsense.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use hyper::body::Incoming;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::BoxFuture;

/// How many connections are served at once; more wait in the system's queue.
const MOST_CONNECTIONS: usize = 64;
/// How long a client may take for its request's head.
const HEAD: Duration = Duration::from_secs(3);
/// How long a connection may last: one request, its answer, and the client's reading of it.
const WHOLE: Duration = Duration::from_secs(10);
/// The most of a request's head that is read, in bytes.
const LONGEST_HEAD: usize = 16 * 1024;
/// How long nothing is accepted after the system refused it: out of file descriptors, above all.
const AFTER_REFUSAL: Duration = Duration::from_millis(100);

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const JSON: &str = "application/json";

/// What a probe answers: well, or the reasons why not.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Health {
    reasons: Vec<String>,
}

impl Health {
    /// All is well.
    #[must_use]
    pub const fn well() -> Self {
        Self { reasons: Vec::new() }
    }

    /// Not well, for a reason in words.
    #[must_use]
    pub fn unwell(reason: impl Into<String>) -> Self {
        Self { reasons: vec![reason.into()] }
    }

    /// One more reason, where something is not as it must be.
    #[must_use]
    pub fn unless(mut self, is_well: bool, reason: impl Into<String>) -> Self {
        if !is_well {
            self.reasons.push(reason.into());
        }
        self
    }

    /// Whether all is well.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.reasons.is_empty()
    }

    /// Why not.
    #[must_use]
    pub fn reasons(&self) -> &[String] {
        &self.reasons
    }
}

type Probe = Box<dyn Fn() -> Health + Send + Sync>;
type Scrape = Box<dyn Fn() -> BoxFuture<'static, String> + Send + Sync>;

/// What [`serve`] answers with.
///
/// | path | answer |
/// |---|---|
/// | `/live` | 200 or 503: whether the process is to be left alone, or to be replaced |
/// | `/ready` | 200 or 503: whether it does its work |
/// | `/metrics` | its figures, as Prometheus text |
///
/// The body of the probes is `{"status":"ok","reasons":[]}`, or `{"status":"unavailable","reasons":["…"]}`. Other paths are 404,
/// other methods than GET and HEAD 405.
#[must_use = "they are served by `serve(address, endpoints).await`"]
pub struct Endpoints {
    live: Probe,
    ready: Probe,
    metrics: Option<Scrape>,
}

impl Default for Endpoints {
    fn default() -> Self {
        Self::new()
    }
}

impl Endpoints {
    /// Live and ready as long as the process answers, and without metrics.
    pub fn new() -> Self {
        Self { live: Box::new(Health::well), ready: Box::new(Health::well), metrics: None }
    }

    /// What `/live` answers. It must not block.
    pub fn live(mut self, probe: impl Fn() -> Health + Send + Sync + 'static) -> Self {
        self.live = Box::new(probe);
        self
    }

    /// What `/ready` answers. It must not block.
    pub fn ready(mut self, probe: impl Fn() -> Health + Send + Sync + 'static) -> Self {
        self.ready = Box::new(probe);
        self
    }

    /// What `/metrics` answers: the text of [`Prometheus`](super::Prometheus), most likely.
    pub fn metrics<F>(mut self, text: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = String> + Send + 'static,
    {
        self.metrics = Some(Box::new(move || Box::pin(text())));
        self
    }

    async fn answer(&self, method: &Method, path: &str) -> Response<String> {
        if ![Method::GET, Method::HEAD].contains(method) {
            let mut refused = response(StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET or HEAD\n".to_owned());
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        match (path, &self.metrics) {
            ("/live", _) => health(&(self.live)()),
            ("/ready", _) => health(&(self.ready)()),
            ("/metrics", Some(text)) => response(StatusCode::OK, TEXT, text().await),
            _ => response(StatusCode::NOT_FOUND, TEXT, "/live, /ready or /metrics\n".to_owned()),
        }
    }
}

impl fmt::Debug for Endpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoints").field("metrics", &self.metrics.is_some()).finish_non_exhaustive()
    }
}

fn health(health: &Health) -> Response<String> {
    let (code, status) = match health.is_well() {
        true => (StatusCode::OK, "ok"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
    };
    let body = serde_json::json!({ "status": status, "reasons": health.reasons() });
    response(code, JSON, format!("{body}\n"))
}

fn response(status: StatusCode, kind: &'static str, body: String) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The endpoint while it is served. Dropped, it ends.
#[derive(Debug)]
#[must_use = "dropped, it ends"]
pub struct Server {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Where it listens: with the port that the system chose, if it was asked for port 0.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Serves probes and metrics over HTTP/1.1, in tasks of the current runtime, until the [`Server`] is dropped.
///
/// There is neither TLS nor a password: give it an address that only those reach who may read it, such as `127.0.0.1:9464`.
/// At most 64 connections are served at once, each for one request, 3 s for its head and 10 s in all.
///
/// # Errors
///
/// Those of binding the address.
pub async fn serve(address: SocketAddr, endpoints: Endpoints) -> io::Result<Server> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    Ok(Server { address, accepting: tokio::spawn(accept(listener, Arc::new(endpoints))) })
}

async fn accept(listener: TcpListener, endpoints: Arc<Endpoints>) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    // Its connections end with it.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                let endpoints = Arc::clone(&endpoints);
                connections.spawn(async move {
                    let _place = place;
                    connection(stream, &endpoints).await;
                });
            }
            Err(error) => {
                tracing::debug!(%error, "no connection could be accepted; trying again");
                tokio::time::sleep(AFTER_REFUSAL).await;
            }
        }
    }
}

/// Serves one connection. That it breaks, takes too long or brings nonsense concerns nobody else.
async fn connection(stream: TcpStream, endpoints: &Endpoints) {
    let answer = service_fn(|request: Request<Incoming>| async move {
        Ok::<_, Infallible>(endpoints.answer(request.method(), request.uri().path()).await)
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(LONGEST_HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), answer);
    let _ = tokio::time::timeout(WHOLE, serving).await;
}
