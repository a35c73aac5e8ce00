//! The harness's own servers do what the fault tests need of them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use tests::kit::until;
use tests::servers::{Persistence, Postgres, Redis, Server};

/// Whether somebody listens on the server's port and says something.
fn answers(server: &Server, says: &[u8]) -> bool {
    let talk = || {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port()))?;
        stream.set_read_timeout(Some(Duration::from_millis(300)))?;
        stream.write_all(says)?;
        stream.read_exact(&mut [0])
    };
    talk().is_ok()
}

const PING: &[u8] = b"PING\r\n";
/// Asks whether the server speaks TLS, which every state of it answers.
const SSL_REQUEST: &[u8] = &[0, 0, 0, 8, 4, 210, 22, 47];

async fn lives_and_dies(mut server: Server, says: &[u8]) {
    let folder = server.folder().to_owned();
    assert!(answers(&server, says));
    server.freeze().await;
    assert!(!answers(&server, says), "it answers while it stands still");
    server.thaw();
    assert!(answers(&server, says));
    for _ in 0..2 {
        server.kill().await;
        assert!(!answers(&server, says), "it answers though it is dead");
        server.restart().await;
        assert!(answers(&server, says));
    }
    server.stop().await;
    assert!(!answers(&server, says));
    server.restart().await;
    server.freeze().await;
    drop(server);
    assert!(!folder.exists(), "its folder is left");
}

#[tokio::test]
async fn postgres_is_frozen_killed_and_started_again() {
    lives_and_dies(Postgres::start().await, SSL_REQUEST).await;
}

#[tokio::test]
async fn redis_is_frozen_killed_and_started_again() {
    lives_and_dies(Redis::start(Persistence::Always).await, PING).await;
}

#[tokio::test]
async fn every_place_is_fresh_and_servers_stand_side_by_side() {
    let (one, other) = (Redis::start(Persistence::None).await, Redis::start(Persistence::Everysec).await);
    assert_ne!(one.port(), other.port());
    assert_ne!(one.fresh_url(), one.fresh_url());
}

/// Runs in a process of its own, which is killed.
#[tokio::test]
async fn a_server_ends_with_a_test_that_is_killed() {
    const FOLDER: &str = "TESTS_SERVER_FOLDER";
    if let Some(told) = std::env::var_os(FOLDER) {
        let server = Postgres::start().await;
        std::fs::write(&told, server.folder().to_str().unwrap()).unwrap();
        std::future::pending::<()>().await;
    }
    let folder = tempfile::tempdir().unwrap();
    let told = folder.path().join("folder");
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["a_server_ends_with_a_test_that_is_killed", "--exact"]).env(FOLDER, &told);
    let mut child = child.stdout(std::process::Stdio::null()).spawn().unwrap();
    let server = until("the server's folder", async || {
        std::fs::read_to_string(&told).ok().filter(|folder| !folder.is_empty())
    })
    .await;
    assert!(Path::new(&server).exists());
    child.kill().unwrap();
    child.wait().unwrap();
    until("the server's folder to go", async || !Path::new(&server).exists()).await;
}
