//! `supervise`, and the processes that it starts: `work --pool`.

use rustix::process::{Pid, Signal, kill_process};
use tests::kit::until;
use tokio::process::Child;

use crate::office::{Office, finish};
use crate::on_every_store;

on_every_store! { pools_of_workers_are_kept_until_a_signal }

fn configure(office: &Office, text: &str) {
    std::fs::write(office.folder().join("extensions.toml"), text).unwrap();
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id().unwrap().try_into().unwrap()).unwrap()
}

async fn workers(office: &Office, count: usize) -> Vec<serde_json::Value> {
    until("the workers are there", async || {
        let workers = office.json("workers").await["workers"].as_array().unwrap().clone();
        (workers.len() == count).then_some(workers)
    })
    .await
}

async fn pools_of_workers_are_kept_until_a_signal(office: Office) {
    configure(
        &office,
        "[supervisor]\nlisten = \"none\"\n[worker.post]\nqueues = [\"emails\"]\nprocesses = 2\nconcurrency = 3\n[worker.books]\nqueues = [\"books\"]\n",
    );
    let supervisor = office.start("supervise");
    let alive = workers(&office, 3).await;
    assert_eq!(alive.iter().filter(|worker| worker["slots"] == 3).count(), 2, "{alive:?}");
    office.order(1).await;
    until("the order is booked in vain", async || office.failed().await.len() == 1).await;
    kill_process(pid(&supervisor), Signal::TERM).unwrap();
    let output = finish(supervisor).await;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(
        (output.status.code(), &*said),
        (Some(0), "ended: 3 processes started, 0 of them in place of others\n")
    );
    office.done("workers", "no worker is alive").await;
}

#[tokio::test]
async fn the_queue_of_the_command_line_is_that_of_the_processes_too() {
    let (office, other) = (Office::on_sqlite().made().await, Office::on_sqlite().made().await);
    configure(&office, "[supervisor]\nlisten = \"none\"\n[worker.post]\nqueues = [\"emails\"]\n");
    let supervisor = office.start(&format!("supervise --queue-url {} --json", other.url));
    workers(&other, 1).await;
    kill_process(pid(&supervisor), Signal::INT).unwrap();
    let output = finish(supervisor).await;
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report, serde_json::json!({ "exit_code": 0, "started": 1, "restarts": 0 }));
}

#[tokio::test]
async fn a_pools_name_is_no_option_whatever_it_looks_like() {
    let office = Office::on_sqlite().made().await;
    configure(&office, "[supervisor]\nlisten = \"none\"\n[worker.--help]\nqueues = [\"emails\"]\n");
    let supervisor = office.start("supervise");
    workers(&office, 1).await;
    kill_process(pid(&supervisor), Signal::TERM).unwrap();
    assert_eq!(finish(supervisor).await.status.code(), Some(0));
}

/// Started by its name alone, as a shell does it, the program is behind the link that the name was found by.
#[tokio::test]
async fn a_program_that_was_found_by_its_name_is_started_by_the_link_too() {
    let office = Office::on_sqlite().made().await;
    configure(&office, "[supervisor]\nlisten = \"none\"\n[worker.post]\nqueues = [\"emails\"]\n");
    let link = office.folder().join("bin/office");
    std::fs::create_dir(office.folder().join("bin")).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_office"), &link).unwrap();
    let supervisor = tokio::process::Command::new("/bin/sh")
        .args(["-c", "PATH=$PWD/bin:$PATH; exec office supervise"])
        .current_dir(office.folder())
        .env("EXTENSIONS_QUEUE_URL", &office.url)
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let process = workers(&office, 1).await[0]["pid"].as_u64().unwrap();
    let line = std::fs::read_to_string(format!("/proc/{process}/cmdline")).unwrap();
    kill_process(pid(&supervisor), Signal::TERM).unwrap();
    assert_eq!(finish(supervisor).await.status.code(), Some(0));
    assert_eq!(line.split('\0').next(), link.to_str());
}

#[tokio::test]
async fn what_cannot_be_supervised_is_said_at_once() {
    let office = Office::on_sqlite();
    let missing = office.run("supervise").await;
    assert_eq!(missing.status.code(), Some(4), "there is no store: {missing:?}");
    let office = office.made().await;
    let none = "! error: there is nothing to supervise: the configuration has no pool; write a table `[worker.default]` with `queues = [\"default\"]`";
    office.says(1, "supervise", none).await;
    let alone = office.with_variable("EXTENSIONS_SUPERVISOR", "stdin").run("work --stop-when-empty").await;
    let said = String::from_utf8_lossy(&alone.stderr).into_owned();
    assert_eq!((alone.status.code(), said.contains("no supervisor's")), (Some(2), true), "{said}");
}
