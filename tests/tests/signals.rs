//! Product 10.1, where handlers never yield: signals are heard all the same, and shut-down ends.

#![allow(clippy::print_stdout, reason = "a process that plays a part says on stdout how far it is")]

use std::future::pending;
use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use extensions::prelude::*;
use extensions::queue::Memory;
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

const PART: &str = "EXTENSIONS_TEST_PART";

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Work {
    blocks: bool,
}

#[extension_handler(Work)]
#[async_handler(timeout = "none")]
async fn work(point: &Work) {
    println!("working");
    if point.blocks {
        std::thread::sleep(Duration::from_secs(600));
    }
}

/// This test binary as another process, in which only the named test plays its part.
struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(test: &str) -> Self {
        let mut again = Command::new(std::env::current_exe().unwrap());
        again.args(["--exact", test, "--nocapture"]).env(PART, "1").stdout(Stdio::piped());
        let mut child = again.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    fn until(&mut self, said: &str) {
        assert!(self.lines.any(|line| line.unwrap().contains(said)), "it ended without saying {said:?}");
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn end(mut self) -> ExitStatus {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "it goes on");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

/// Whether this process plays a part; it does so for a limited time, so that nothing hangs where a signal is not heard.
fn plays() -> bool {
    let plays = std::env::var(PART).is_ok();
    if plays {
        std::thread::spawn(|| {
            std::thread::sleep(Duration::from_secs(40));
            std::process::exit(99);
        });
    }
    plays
}

async fn fired(blocks: bool) -> Extensions {
    let ext = Extensions::builder().discover().queue(Memory::new()).build().await.unwrap();
    ext.fire(Work { blocks }).await.unwrap();
    ext
}

#[test]
fn a_second_signal_ends_the_process_though_its_only_thread_is_blocked() {
    if plays() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { fired(true).await.worker().run().await.map(drop) }).unwrap();
    }
    let mut process = Process::start("a_second_signal_ends_the_process_though_its_only_thread_is_blocked");
    process.until("working");
    process.signal(Signal::TERM);
    // The first may be taken in together with the second, so another follows until it has ended.
    let deadline = Instant::now() + Duration::from_secs(20);
    while process.child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "no signal is heard");
        std::thread::sleep(Duration::from_millis(50));
        process.signal(Signal::INT);
    }
    assert_eq!(process.end().code(), Some(128 + 2));
}

#[test]
fn a_signal_after_the_worker_has_ended_ends_the_process() {
    if plays() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            fired(false).await.worker().stop_when_drained().run().await.unwrap();
            println!("ended");
            pending::<()>().await;
        });
    }
    let mut process = Process::start("a_signal_after_the_worker_has_ended_ends_the_process");
    process.until("ended");
    process.signal(Signal::TERM);
    assert_eq!(process.end().code(), Some(128 + 15));
}

#[test]
fn shut_down_ends_though_a_handler_blocks_its_thread() {
    if plays() {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let report = runtime.block_on(async {
            fired(true).await.worker().grace(Duration::from_millis(20)).run().await.unwrap()
        });
        println!("completed {}", report.completed);
        std::process::exit(7);
    }
    let mut process = Process::start("shut_down_ends_though_a_handler_blocks_its_thread");
    process.until("working");
    process.signal(Signal::TERM);
    process.until("completed 0");
    assert_eq!(process.end().code(), Some(7));
}
