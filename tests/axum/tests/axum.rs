//! Issue 3, bridges: programs with axum, over real HTTP.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{FromRef, Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use examples::http::{Answer, send};
use extensions::axum::{Ext, HttpError, RequestId, RequestScope};
use extensions::prelude::*;
use extensions::queue::{JobFilter, Memory, QueueAdmin, QueueErrorKind};
use extensions::testing::FaultyQueue;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tracing_subscriber::layer::SubscriberExt;

#[derive(Debug, Clone, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued, interruptible)]
struct OrderPlaced {
    note: String,
}

/// What a fire inside a request is inside of.
#[derive(ExtensionPoint)]
#[extension_point(output = [Option<String>; 3])]
struct WhereAmI;

#[extension_handler(WhereAmI)]
fn look(_: &mut WhereAmI, cx: &Context) -> [Option<String>; 3] {
    [cx.request(), cx.tenant(), cx.user()].map(|name| name.map(str::to_owned))
}

#[extension_handler(OrderPlaced)]
fn check(order: &mut OrderPlaced) -> HandlerResult<Verdict> {
    match &*order.note {
        "too many" => Ok(Verdict::veto("100 at most")),
        "broken" => Err("the password is hunter2".into()),
        _ => Ok(Verdict::Continue),
    }
}

#[extension_handler(OrderPlaced)]
#[async_handler]
async fn ship() {}

#[derive(Clone)]
struct App {
    ext: Extensions,
}

impl FromRef<App> for Extensions {
    fn from_ref(app: &App) -> Self {
        app.ext.clone()
    }
}

async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn get_at(address: SocketAddr, path: &str, headers: &[&str]) -> Answer {
    send(address, "GET", path, headers, "").await.unwrap()
}

async fn place(Ext(ext): Ext, Json(order): Json<OrderPlaced>) -> Result<impl IntoResponse, HttpError> {
    let fired = ext.fire(order).await?.into_result()?;
    Ok((StatusCode::ACCEPTED, fired.queued().len().to_string()))
}

async fn where_am_i(Ext(ext): Ext) -> Result<Json<[Option<String>; 3]>, HttpError> {
    let fired = ext.fire(WhereAmI).await?;
    Ok(Json(fired.outputs().next().ok_or("nobody looked")?.clone()))
}

async fn instance() -> (Extensions, FaultyQueue) {
    let queue = FaultyQueue::new(Memory::new());
    (Extensions::builder().discover().queue(queue.clone()).build().await.unwrap(), queue)
}

fn header(name: &'static str) -> impl Fn(&axum::http::request::Parts) -> Option<String> {
    move |parts| Some(parts.headers.get(name)?.to_str().ok()?.to_owned())
}

fn scoped(ext: &Extensions) -> RequestScope {
    RequestScope::new(ext.clone()).tenant(header("x-tenant")).user(header("x-user"))
}

/// A shop, and what its handlers of requests are inside of.
async fn shop() -> (SocketAddr, Extensions, FaultyQueue) {
    let (ext, queue) = instance().await;
    let routes = Router::new().route("/orders", post(place)).route("/where", get(where_am_i));
    let router = routes.layer(scoped(&ext)).with_state(App { ext: ext.clone() });
    (serve(router).await, ext, queue)
}

async fn order(address: SocketAddr, note: &str) -> Answer {
    send(address, "POST", "/orders", &[], &json!({ "note": note }).to_string()).await.unwrap()
}

fn body(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).unwrap_or_else(|_| panic!("{answer:?}"))
}

#[tokio::test]
async fn the_instance_comes_from_the_routers_state_or_a_part_of_it() {
    let (address, ext, _) = shop().await;
    let answer = order(address, "one").await;
    assert_eq!((answer.status, &*answer.body), (202, "1"));
    let bare = serve(Router::new().route("/orders", post(place)).with_state(ext)).await;
    assert_eq!(order(bare, "one").await.status, 202);
}

#[tokio::test]
async fn a_veto_is_422_with_who_and_why() {
    let (address, ..) = shop().await;
    let answer = order(address, "too many").await;
    assert_eq!((answer.status, answer.header("content-type")), (422, Some("application/problem+json")));
    let expected = json!({
        "title": "Unprocessable Entity", "status": 422, "detail": "100 at most",
        "point": "OrderPlaced", "vetoed_by": "check",
    });
    assert_eq!(body(&answer), expected);
}

#[tokio::test]
async fn a_payload_that_is_too_large_is_413() {
    let (address, ext, _) = shop().await;
    // Axum takes bodies of up to 2 MiB, a job payloads of up to 1 MiB.
    let answer = order(address, &"x".repeat(1_100_000)).await;
    assert_eq!((answer.status, &body(&answer)["limit"]), (413, &json!(1 << 20)), "{answer:?}");
    assert!(ext.queue().unwrap().stats().await.unwrap().iter().all(|queue| queue.unfinished() == 0));
}

#[tokio::test]
async fn a_queue_that_is_away_is_503_with_retry_after_and_one_that_cannot_is_500() {
    let (address, _, queue) = shop().await;
    queue.fail_next_pushes(1, QueueErrorKind::Unavailable);
    let answer = order(address, "one").await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")));
    assert_eq!(body(&answer), json!({ "title": "Service Unavailable", "status": 503 }));
    queue.fail_next_pushes(1, QueueErrorKind::Corrupt);
    let answer = order(address, "one").await;
    assert_eq!((answer.status, answer.header("retry-after")), (500, None));
}

#[tokio::test]
async fn a_guard_that_could_not_be_asked_is_503_and_not_named() {
    let (address, ext, _) = shop().await;
    let muted = ext.mute_named("check");
    let answer = order(address, "one").await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")));
    assert_eq!(body(&answer), json!({ "title": "Service Unavailable", "status": 503 }));
    drop(muted);
    let _silence = ext.silence();
    assert_eq!(order(address, "one").await.status, 503);
}

/// Lines of a log.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn an_error_of_a_handler_is_500_without_internals_and_logged_once_with_the_requests_id() {
    let lines = Lines::default();
    let written = lines.clone();
    let log = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(move || written.clone());
    let _log = tracing::subscriber::set_default(tracing_subscriber::registry().with(log));
    let (address, ..) = shop().await;
    let broken = json!({ "note": "broken" }).to_string();
    let answer = send(address, "POST", "/orders", &["x-request-id: r-1"], &broken).await.unwrap();
    assert_eq!((answer.status, answer.header("x-request-id")), (500, Some("r-1")));
    assert_eq!(body(&answer), json!({ "title": "Internal Server Error", "status": 500 }));
    let log = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let told: Vec<_> = log.lines().filter(|line| line.contains("hunter2")).collect();
    assert_eq!(told.len(), 1, "{log}");
    assert!(told[0].contains("ERROR") && told[0].contains("r-1") && told[0].contains("`check`"), "{log}");
}

#[tokio::test]
async fn the_request_its_tenant_and_its_user_are_the_scopes_of_its_fires_and_their_jobs() {
    let queue = Memory::new();
    let ext = Extensions::builder().discover().queue(queue.clone()).build().await.unwrap();
    let routes = Router::new().route("/orders", post(place)).route("/where", get(where_am_i));
    let address = serve(routes.layer(scoped(&ext)).with_state(ext)).await;
    let headers = ["x-request-id: r-1", "x-tenant: acme", "x-user: 7"];
    let answer = get_at(address, "/where", &headers).await;
    assert_eq!(body(&answer), json!(["r-1", "acme", "7"]));
    let answer = get_at(address, "/where", &["x-request-id: r-2", "x-user: 8"]).await;
    assert_eq!(body(&answer), json!(["r-2", null, "8"]));
    send(address, "POST", "/orders", &headers, r#"{"note":"one"}"#).await.unwrap();
    let claimed = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&claimed);
    let layer = tower::util::MapRequestLayer::new(move |job: Job| {
        let meta = job.meta();
        seen.lock().unwrap().push([meta.request.clone(), meta.tenant.clone(), meta.user.clone()]);
        job
    });
    let worker = Extensions::builder().discover().queue(queue.clone()).attempt_layer(layer).build().await;
    worker.unwrap().worker().stop_when_drained().run_until(std::future::pending()).await.unwrap();
    assert_eq!(queue.list(JobFilter::default()).await.unwrap().len(), 1);
    let expected = ["r-1", "acme", "7"].map(|name| Some(name.to_owned()));
    assert_eq!(*claimed.lock().unwrap(), [expected]);
}

#[tokio::test]
async fn an_id_that_is_not_sane_is_replaced() {
    let (address, ..) = shop().await;
    let long = format!("x-request-id: {}", "a".repeat(129));
    let bad = [
        "x-request-id: a b",
        "x-request-id: ",
        "x-request-id: \"}",
        "x-request-id: \u{e9}",
        &long,
        "x-other: a",
    ];
    let mut ids = Vec::new();
    for header in bad {
        let answer = get_at(address, "/where", &[header]).await;
        let id = answer.header("x-request-id").unwrap().to_owned();
        assert_eq!(body(&answer)[0], json!(id));
        assert!(id.len() == 36 && id.parse::<extensions::job::FireId>().is_ok(), "{header}: {id}");
        assert!(!ids.contains(&id), "{id}");
        ids.push(id);
    }
    for id in ["a".repeat(128), "Root=1-67891233-abcdef".to_owned(), "a/b+c==".to_owned()] {
        let answer = get_at(address, "/where", &[&format!("x-request-id: {id}")]).await;
        assert_eq!(answer.header("x-request-id"), Some(&*id));
    }
}

#[tokio::test]
async fn a_layer_inside_of_another_keeps_the_id_and_the_extractor_names_it() {
    async fn id(id: RequestId) -> String {
        id.to_string()
    }
    let (ext, _) = instance().await;
    let inner = Router::new().route("/id", get(id)).layer(RequestScope::new(ext.clone()));
    let address = serve(inner.layer(RequestScope::new(ext))).await;
    let answer = get_at(address, "/id", &[]).await;
    assert_eq!(answer.header("x-request-id"), Some(&*answer.body));
    let bare = serve(Router::new().route("/id", get(id))).await;
    let answer = get_at(bare, "/id", &[]).await;
    assert_eq!(
        (answer.status, body(&answer)),
        (500, json!({ "title": "Internal Server Error", "status": 500 }))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scopes_do_not_leak_between_requests_that_share_threads() {
    /// Looks three times, and lets others run in between; a task that it spawns is outside.
    async fn thrice(
        Ext(ext): Ext,
        Path(turns): Path<u32>,
    ) -> Result<Json<Vec<[Option<String>; 3]>>, HttpError> {
        let look = async |ext: &Extensions| -> Result<_, HttpError> {
            let fired = ext.fire(WhereAmI).await?;
            Ok(fired.outputs().next().ok_or("nobody looked")?.clone())
        };
        let mut seen = vec![look(&ext).await?];
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        seen.push(look(&ext).await?);
        let outside = tokio::spawn(async move { look(&ext).await.map_err(|error| error.to_string()) });
        seen.push(outside.await??);
        Ok(Json(seen))
    }
    let (ext, _) = instance().await;
    let router = Router::new().route("/thrice/{turns}", get(thrice)).route("/where", get(where_am_i));
    let address = serve(router.layer(scoped(&ext)).with_state(ext.clone())).await;
    let requests: Vec<_> = (0..300_u32)
        .map(|number| {
            tokio::spawn(async move {
                let headers = [
                    format!("x-request-id: r-{number}"),
                    format!("x-tenant: t-{}", number % 7),
                    format!("x-other: {number}"),
                ];
                let headers: Vec<_> = headers.iter().map(String::as_str).collect();
                let answer = get_at(address, &format!("/thrice/{}", number % 13), &headers).await;
                let here = json!([format!("r-{number}"), format!("t-{}", number % 7), null]);
                assert_eq!(body(&answer), json!([here, here, [null, null, null]]));
            })
        })
        .collect();
    for request in requests {
        request.await.unwrap();
    }
    let outside = ext.fire(WhereAmI).await.unwrap();
    assert_eq!(outside.outputs().next(), Some(&[None, None, None]), "nothing is left behind");
}

#[tokio::test]
async fn a_body_that_is_made_while_it_is_sent_is_inside_the_scopes_and_one_of_known_size_stays_so() {
    /// Asks where it is when the server asks for the next piece.
    struct Late(Option<Extensions>);
    impl HttpBody for Late {
        type Data = Bytes;
        type Error = FireError;
        fn poll_frame(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, FireError>>> {
            let piece = self.0.take().map(|ext| {
                let fired = ext.fire_sync(WhereAmI)?;
                let seen = serde_json::to_vec(&fired.outputs().next()).unwrap();
                Ok(http_body::Frame::data(seen.into()))
            });
            std::task::Poll::Ready(piece)
        }
    }
    async fn late(State(ext): State<Extensions>) -> Body {
        Body::new(Late(Some(ext)))
    }
    let (ext, _) = instance().await;
    let router = Router::new().route("/late", get(late)).route("/now", get(async || "12345"));
    let address = serve(router.layer(scoped(&ext)).with_state(ext)).await;
    let answer = get_at(address, "/late", &["x-request-id: r-1", "x-tenant: acme"]).await;
    assert_eq!(body(&answer), json!(["r-1", "acme", null]));
    assert_eq!(get_at(address, "/now", &[]).await.header("content-length"), Some("5"));
}

#[test]
fn each_kind_of_error_has_its_status() {
    let kinds: HashMap<_, _> = [
        (QueueErrorKind::Unavailable, 503),
        (QueueErrorKind::Timeout, 503),
        (QueueErrorKind::Full, 503),
        (QueueErrorKind::Conflict, 503),
        (QueueErrorKind::Unsupported, 500),
        (QueueErrorKind::NotFound, 500),
    ]
    .into();
    for (kind, status) in kinds {
        let error = HttpError::from(extensions::queue::QueueError::new(kind, "push", "secret"));
        assert_eq!(error.status().as_u16(), status, "{kind:?}");
    }
    assert_eq!(HttpError::from("anything").status(), 500);
}
