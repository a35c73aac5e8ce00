//! Product 10.2: the endpoint of probes and metrics, and that it holds out against whoever may reach it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use examples::http::send;
use extensions::telemetry::{Endpoints, Health, Server, serve};
use tests::kit::{in_time, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn served(endpoints: Endpoints) -> Server {
    serve(SocketAddr::from(([127, 0, 0, 1], 0)), endpoints).await.unwrap()
}

async fn get(server: &Server, path: &str) -> (u16, String) {
    let answer = in_time("an answer", send(server.address(), "GET", path, &[], "")).await.unwrap();
    (answer.status, answer.body)
}

/// What the server says to these bytes, until it closes the connection.
async fn say(server: &Server, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    // It may have closed it already: that is an answer too.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = in_time("the end of the connection", stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn probes_answer_with_their_reasons_and_metrics_with_their_text() {
    let ready = Arc::new(AtomicBool::new(false));
    let is_ready = Arc::clone(&ready);
    let probe = move || {
        Health::well().unless(is_ready.load(Ordering::Relaxed), "the first claim was not answered yet")
    };
    let server = served(Endpoints::new().ready(probe).metrics(|| async { "up 1\n".to_owned() })).await;
    assert_eq!(get(&server, "/live").await, (200, "{\"reasons\":[],\"status\":\"ok\"}\n".to_owned()));
    let (status, body) = get(&server, "/ready").await;
    assert_eq!((status, body.contains("the first claim was not answered yet")), (503, true), "{body}");
    ready.store(true, Ordering::Relaxed);
    assert_eq!(get(&server, "/ready").await.0, 200);
    assert_eq!(get(&server, "/ready?verbose=1").await.0, 200);
    let answer = send(server.address(), "GET", "/metrics", &[], "").await.unwrap();
    assert_eq!((answer.status, &*answer.body), (200, "up 1\n"));
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let head = send(server.address(), "HEAD", "/metrics", &[], "").await.unwrap();
    assert_eq!((head.status, &*head.body), (200, ""));
}

#[tokio::test]
async fn what_is_not_there_is_not_found_and_what_would_change_something_is_refused() {
    let server = served(Endpoints::new()).await;
    assert_eq!(get(&server, "/metrics").await.0, 404, "there are none");
    assert_eq!(get(&server, "/").await.0, 404);
    assert_eq!(get(&server, "/live/").await.0, 404);
    let posted = send(server.address(), "POST", "/live", &[], "{\"a\": 1}").await.unwrap();
    assert_eq!((posted.status, posted.header("allow")), (405, Some("GET, HEAD")));
}

#[tokio::test]
async fn nonsense_ends_its_own_connection_and_nothing_else() {
    let server = served(Endpoints::new()).await;
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(100_000));
    let many = format!("GET /live HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(10_000));
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 this is TLS\r\n\r\n"[..],
        b"\0\0\0\0\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /live HTTP/9.9\r\n\r\n",
        b"GET /live HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"GET /live HTTP/1.1\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\nzzzzz",
        long.as_bytes(),
        many.as_bytes(),
    ] {
        let answer = say(&server, bytes).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1."), "{answer}");
    }
    assert_eq!(get(&server, "/live").await.0, 200);
}

#[tokio::test]
async fn clients_that_say_nothing_or_read_nothing_are_sent_away() {
    let much = || async { "x".repeat(64 * 1024 * 1024) };
    let server = served(Endpoints::new().metrics(much)).await;
    let mut greedy = TcpStream::connect(server.address()).await.unwrap();
    greedy.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut silent = Vec::new();
    for half in ["", "GET /live HTTP/1.1\r\nhost: x"].iter().cycle().take(100) {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        stream.write_all(half.as_bytes()).await.unwrap();
        silent.push(stream);
    }
    // They are more than there are places: the answer comes as soon as some were sent away.
    assert_eq!(get(&server, "/live").await.0, 200);
    for mut stream in silent {
        let _ = in_time("the silent client is sent away", stream.read_to_end(&mut Vec::new())).await;
    }
    until("the client that reads nothing is sent away", async || greedy.write_all(b"x").await.err()).await;
    let read = greedy.read_to_end(&mut Vec::new()).await;
    assert!(read.is_err() || read.is_ok_and(|bytes| bytes < 64 * 1024 * 1024), "its time was over");
}

#[tokio::test]
async fn a_server_that_is_dropped_listens_no_more() {
    let server = served(Endpoints::new()).await;
    let address = server.address();
    let taken = serve(address, Endpoints::new()).await.unwrap_err();
    assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
    let mut open = TcpStream::connect(address).await.unwrap();
    drop(server);
    let ended = in_time("its connections end", open.read(&mut [0; 1])).await;
    assert!(matches!(ended, Ok(0) | Err(_)));
    in_time("nobody listens", async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
