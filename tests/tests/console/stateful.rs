//! What reads and changes a store: alike on SQLite, PostgreSQL and Redis.

use std::time::Duration;

use extensions::job::{QueueName, WorkerId};
use extensions::queue::{WorkerInfo, connect_existing};
use rustix::process::Signal;
use tests::os;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::office::{Office, finish};

crate::on_every_store! {
    figures_show_what_waits_and_what_is_served_by_nobody
    failed_jobs_are_listed_shown_retried_and_deleted
    a_bulk_action_goes_on_past_jobs_that_cannot_be_treated
    waiting_jobs_are_found_cancelled_and_brought_back
    a_paused_queue_is_left_alone_until_it_is_resumed
    a_cleared_queue_has_no_waiting_jobs
    a_monitor_sees_changes_and_ends_as_it_is_told
    live_workers_are_listed
    the_oldest_worker_of_a_machine_is_listed_first
    a_worker_serves_the_queues_that_it_is_given
    what_was_done_in_a_period_is_told_by_handler
    a_job_that_does_not_run_is_explained
    the_doctor_names_what_is_wrong
}

const FIGURES: &str =
    "QUEUE  WAITING  LATER  RUNNING  UNROUTABLE  DEAD  COMPLETED  CANCELLED  OLDEST  WORKERS";

/// Without the column of how long something waits.
fn figures(text: &str) -> Vec<Vec<String>> {
    let rows = text.lines().skip(1).filter(|line| line.split_whitespace().count() >= 10);
    rows.map(|row| {
        row.split_whitespace()
            .enumerate()
            .filter(|(at, _)| *at != 8)
            .map(|(_, word)| word.to_owned())
            .collect()
    })
    .collect()
}

async fn figures_show_what_waits_and_what_is_served_by_nobody(office: Office) {
    office.order(1).await;
    for line in ["stats", "queue list"] {
        let output = office.run(line).await;
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(
            said.lines().next().unwrap().split_whitespace().collect::<Vec<_>>(),
            FIGURES.split_whitespace().collect::<Vec<_>>()
        );
        let rows = figures(&said);
        assert_eq!(rows[0], ["books", "1", "0", "0", "0", "0", "0", "0", "0"], "{said}");
        assert_eq!(rows[1], ["emails", "1", "0", "0", "0", "0", "0", "0", "0"], "{said}");
        assert!(said.contains("no live worker serves `books`, where jobs wait"), "{said}");
    }
    office.work().await;
    office.done("stats", &format!("{FIGURES}\nbooks 0 0 0 0 1 0 0 - 0\nemails 0 0 0 0 0 1 0 - 0")).await;
}

async fn failed_jobs_are_listed_shown_retried_and_deleted(office: Office) {
    office.order(1).await;
    office.done("failed list", "no job matches").await;
    office.work().await;
    let list = r"
        ID STATE SINCE QUEUE HANDLER ATTEMPT ERROR
        <id> dead <age> ago books OrderPlaced/book 1 of 1 connection \u{1b}[31mrefused\u{1b}[0m by the ledger";
    office.done("failed list", list).await;
    office.done("failed list --error 'BY THE LEDGER' --queue books --handler book", list).await;
    office.done("failed list --older-than 1h", "no job matches").await;
    office.done("failed list --handler OrderPlaced/confirm", "no job matches").await;
    let id = office.failed().await.remove(0);
    let shown = r#"
          id         <id>
          state      dead for <age>
          handler    OrderPlaced/book
          queue      books, priority 5
          attempt    1 of 1
          queued     <time>
          available  since <time>
          running    since <time>
          dead       since <time>
        attempt 1 failed after <age>, <time>
          connection \u{1b}[31mrefused\u{1b}[0m by the ledger
          for order 1
        payload (version 1), 8 bytes
          {
            "id": 1
          }"#;
    office.done(&format!("failed show {id}"), shown).await;
    office.done(&format!("jobs show {id}"), shown).await;
    let missing = "01a201b5-86f5-71f6-b21a-42f2f634834f";
    office.says(3, &format!("failed show {missing}"), "! error: there is no job <id>").await;

    // As `--error "$TEXT"` comes out where `TEXT` is not set: it would be every failed job.
    let nothing = office.run("failed forget --error '' --yes").await;
    let said = String::from_utf8_lossy(&nothing.stderr).into_owned();
    assert_eq!(
        (nothing.status.code(), said.contains("a value is required for '--error <TEXT>'")),
        (Some(2), true),
        "{said}"
    );
    assert_eq!(office.failed().await.len(), 1);

    office.done("failed retry --error refused --dry-run", "1 job matched\n1 OrderPlaced/book").await;
    office.done("failed retry --error refused", "1 job made available\n1 OrderPlaced/book").await;
    let waits = "! error: job <id> has not failed: it is available; `jobs show` shows it";
    office.says(3, &format!("failed show {id}"), waits).await;
    assert_eq!(office.work().await["dead"], 1);
    office.done(&format!("failed retry {id}"), "1 job made available\n1 OrderPlaced/book").await;
    assert_eq!(office.work().await["dead"], 1);

    let asked =
        "! error: This deletes the records of failed jobs. Go on? Nobody can be asked here; add `--yes`";
    office.says(6, &format!("failed forget {id}"), asked).await;
    assert_eq!(office.failed().await.len(), 1);
    office.done(&format!("failed forget {id} --yes"), "1 job deleted\n1 OrderPlaced/book").await;
    let gone = "0 jobs deleted\n1 job left as they are: there is no such job (<id>)";
    office.says(3, &format!("failed forget {id} --yes"), gone).await;

    office.order(2).await;
    office.work().await;
    let old = "! error: This deletes the records of jobs that failed more than 14d ago. Go on? Nobody can be asked here; add `--yes`";
    office.says(6, "failed prune", old).await;
    office.done("failed prune --yes", "0 jobs deleted").await;
    // Older than the 1 ms that follows.
    tokio::time::sleep(Duration::from_millis(5)).await;
    office.done("failed prune --older-than 1ms --yes", "1 job deleted").await;

    office.order(3).await;
    office.work().await;
    let all =
        "! error: This deletes the records of all failed jobs. Go on? Nobody can be asked here; add `--yes`";
    office.says(6, "failed flush", all).await;
    office.done("failed flush --yes", "1 job deleted\n1 OrderPlaced/book").await;
    office.done("failed flush --yes", "no job matches").await;
}

async fn a_bulk_action_goes_on_past_jobs_that_cannot_be_treated(office: Office) {
    for id in 1..=3 {
        office.order(id).await;
    }
    office.work().await;
    let failed = office.failed().await;
    office.done(&format!("failed retry {}", failed[1]), "1 job made available\n1 OrderPlaced/book").await;
    let missing = "01a201b5-86f5-71f6-b21a-42f2f634834f";
    let partly = "
        2 jobs made available
            2 OrderPlaced/book
        1 job left as they are: there is no such job (<id>)
        1 job left as they are: a job that is available cannot be treated so (<id>)";
    office.says(5, &format!("failed retry {} {missing}", failed.join(" ")), partly).await;
    let none = "
        0 jobs made available
        1 job left as they are: a job that is available cannot be treated so (<id>)";
    office.says(1, &format!("failed retry {}", failed[0]), none).await;
    office.done("failed retry --all", "no job matches").await;
    assert_eq!(office.work().await["dead"], 3);
    office.done("failed retry --all", "3 jobs made available\n3 OrderPlaced/book").await;
}

async fn waiting_jobs_are_found_cancelled_and_brought_back(office: Office) {
    office.order(1).await;
    let waiting = "
        ID STATE SINCE QUEUE HANDLER ATTEMPT ERROR
        <id> available <age> ago emails OrderPlaced/confirm 0 of 3";
    office.done("jobs list --queue emails --state available,running", waiting).await;
    office
        .says(
            6,
            "jobs cancel --queue emails",
            "! error: This cancels every job that matches. Go on? Nobody can be asked here; add `--yes`",
        )
        .await;
    let cancel = "jobs cancel --queue emails --reason 'sent by hand' --yes";
    office.done(cancel, "1 job cancelled\n1 OrderPlaced/confirm").await;
    let cancelled = "
        ID STATE SINCE QUEUE HANDLER ATTEMPT ERROR
        <id> cancelled <age> ago emails OrderPlaced/confirm 0 of 3 sent by hand";
    office.done("jobs list --error 'by hand'", cancelled).await;
    office.done("jobs retry --state cancelled", "1 job made available\n1 OrderPlaced/confirm").await;
    assert_eq!(office.work().await["completed"], 1);
    let missing = "01a201b5-86f5-71f6-b21a-42f2f634834f";
    let gone = "0 jobs cancelled\n1 job left as they are: there is no such job (<id>)";
    office.says(3, &format!("jobs cancel {missing}"), gone).await;
    let gone = "0 jobs made available\n1 job left as they are: there is no such job (<id>)";
    office.says(3, &format!("jobs retry {missing}"), gone).await;
    office.says(3, &format!("jobs show {missing}"), "! error: there is no job <id>").await;
    let done = office.json("jobs list --state completed").await;
    let id = done["jobs"][0]["id"].as_str().unwrap();
    let ended =
        "0 jobs cancelled\n1 job left as they are: a job that is completed cannot be treated so (<id>)";
    office.says(1, &format!("jobs cancel {id}"), ended).await;
    let more = office.json("jobs list --limit 1").await;
    assert_eq!((more["jobs"].as_array().unwrap().len(), &more["more"]), (1, &true.into()));
}

async fn a_paused_queue_is_left_alone_until_it_is_resumed(office: Office) {
    office.order(1).await;
    let paused = "paused `emails`: running jobs go on, no new one starts until `queue resume emails`";
    office.done("queue pause emails", paused).await;
    assert_eq!(office.work().await["completed"], 0);
    let row = office.json("queue list").await["queues"][1].clone();
    assert_eq!((&row["queue"], &row["paused"]), (&"emails".into(), &true.into()), "{row}");
    office.done("queue resume emails", "resumed `emails`").await;
    assert_eq!(office.work().await["completed"], 1);
    let nobody = "resumed `nowhere`\n! note: no job and no worker has used a queue `nowhere` so far";
    office.done("queue resume nowhere", nobody).await;
    let nobody = "! note: no job and no worker has used a queue `nobodys` so far";
    office.done("queue monitor nobodys --count 1", nobody).await;
}

async fn a_cleared_queue_has_no_waiting_jobs(office: Office) {
    for id in 1..=3 {
        office.order(id).await;
    }
    let asked = "! error: This deletes every waiting job of the queue `books`. Go on? Nobody can be asked here; add `--yes`";
    office.says(6, "queue clear books", asked).await;
    office.done("queue clear books --yes", "3 jobs deleted").await;
    office.done("queue clear books --yes", "no job waits there").await;
    office.done("jobs list --queue books", "no job matches").await;
    let worked = office.work().await;
    assert_eq!((&worked["completed"], &worked["dead"]), (&3.into(), &0.into()));
}

async fn a_monitor_sees_changes_and_ends_as_it_is_told(office: Office) {
    office.order(1).await;
    let two = "
        <time> books waiting 1 later 0 running 0 dead 0 workers 0 oldest <age> unserved
        <time> books waiting 1 later 0 running 0 dead 0 workers 0 oldest <age> unserved";
    office.done("queue monitor books --count 2 --interval 50ms", two).await;
    let mut child = office.start("queue monitor --interval 50ms --json");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut seen = async || {
        let line = tests::kit::in_time("a look", lines.next_line()).await.unwrap();
        line.map(|line| serde_json::from_str::<serde_json::Value>(&line).unwrap())
    };
    assert_eq!(seen().await.unwrap()["queues"][0]["counts"]["available"], 1);
    office.work().await;
    while seen().await.unwrap()["queues"][0]["counts"]["dead"] != 1 {}
    rustix::process::kill_process(child.id().and_then(os::pid).unwrap(), Signal::INT).unwrap();
    while seen().await.is_some() {}
    let output = finish(child).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

async fn live_workers_are_listed(office: Office) {
    office.order(1).await;
    office.work().await;
    office.done("workers", "no worker is alive").await;
    let mut worker = office.start("work --queue books,emails --concurrency 3");
    let listed = tests::kit::until("the worker", async || {
        let workers = office.json("workers").await["workers"].as_array().unwrap().clone();
        workers.into_iter().next()
    });
    let listed = listed.await;
    assert_eq!(listed["pid"], worker.id().unwrap());
    assert_eq!((&listed["slots"], &listed["queues"]), (&3.into(), &serde_json::json!(["books", "emails"])));
    let output = office.run("workers").await;
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.starts_with("ID") && table.contains("books,emails"), "{table}");
    let pid = worker.id().and_then(os::pid).unwrap();
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(30), worker.wait()).await.unwrap().unwrap();
    assert_eq!(ended.code(), Some(0));
}

async fn the_oldest_worker_of_a_machine_is_listed_first(office: Office) {
    let store = connect_existing(&office.url).await.unwrap();
    let started_at = store.now().await.unwrap();
    // Process numbers begin anew, so that an older one may be the higher.
    for (host, pid, age) in [("web-2", 40, 9), ("web-1", 321, 1), ("web-1", 32750, 2), ("web-1", 17, 0)] {
        let worker = WorkerInfo {
            id: WorkerId::new(),
            host: host.to_owned(),
            pid,
            version: "1.0.0".to_owned(),
            queues: vec![QueueName::from("books")],
            handlers: Vec::new(),
            slots: 1,
            busy: 0,
            started_at: started_at.saturating_sub(Duration::from_secs(age)),
            last_beat: started_at,
            live_for: Duration::from_secs(60),
        };
        store.beat(worker, Vec::new()).await.unwrap();
    }
    let listed = office.json("workers").await;
    let pids: Vec<_> = listed["workers"].as_array().unwrap().iter().map(|worker| &worker["pid"]).collect();
    assert_eq!(pids, [32750, 321, 17, 40]);
}

async fn a_worker_serves_the_queues_that_it_is_given(office: Office) {
    office.order(1).await;
    office.done("work --queue emails --stop-when-empty", "ended (nothing left to do): 1 completed").await;
    office
        .done("work --queue books=2,emails=1 --max-jobs 1", "ended (--max-jobs reached): 0 completed, 1 dead")
        .await;
    office.done("work --max-time 50ms", "ended (--max-time reached): 0 completed").await;
    office.order(2).await;
    office.order(3).await;
    office.done("work --once --queue emails", "ended (--max-jobs reached): 1 completed").await;
    office.done("work --once --queue emails", "ended (--max-jobs reached): 1 completed").await;
    office.done("work --once --queue emails", "ended (nothing left to do): 0 completed").await;
    office.done("work --max-memory 1KiB", "ended (--max-memory reached): 0 completed, 2 dead").await;
    let unknown = "! error: there is no pool `night` in the configuration ([worker.night]); there is none";
    office.says(3, "work --pool night", unknown).await;
    let pool =
        "[worker.day]\nqueues = [\"books\", \"emails\"]\nqueue_concurrency = { books = 1 }\nmax_jobs = 2\n";
    std::fs::write(office.folder().join("extensions.toml"), pool).unwrap();
    office.order(4).await;
    office.done("work --pool day", "ended (--max-jobs reached): 1 completed, 1 dead").await;
}

async fn what_was_done_in_a_period_is_told_by_handler(office: Office) {
    office.order(1).await;
    office.order(2).await;
    office.work().await;
    let stats = office.json("stats --period 1h").await;
    let period = &stats["period"];
    assert_eq!(period["seconds"], 3600.0);
    let [books, emails] = &period["handlers"].as_array().unwrap()[..] else { panic!("{period}") };
    let counts =
        |row: &serde_json::Value| (row["handler"].clone(), row["completed"].clone(), row["dead"].clone());
    assert_eq!(counts(books), ("OrderPlaced/book".into(), 0.into(), 2.into()));
    assert_eq!(counts(emails), ("OrderPlaced/confirm".into(), 2.into(), 0.into()));
    let output = office.run("stats --period 1h").await;
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("The last 1h") && said.contains("OrderPlaced/confirm"), "{said}");
}

async fn a_job_that_does_not_run_is_explained(office: Office) {
    office.order(1).await;
    let jobs = office.json("jobs list --queue emails").await;
    let id = jobs["jobs"][0]["id"].as_str().unwrap();
    let unserved = "
        job <id> of OrderPlaced/confirm in the queue `emails` is available, after 0 of 3 attempts
        - there is no live worker; start one for `emails`";
    office.done(&format!("jobs explain {id}"), unserved).await;
    office.run("queue pause emails").await;
    let paused = "
        job <id> of OrderPlaced/confirm in the queue `emails` is available, after 0 of 3 attempts
        - the queue `emails` is paused; resume it
        - there is no live worker; start one for `emails`";
    office.done(&format!("jobs explain {id}"), paused).await;
    office.run("queue resume emails").await;
    office.work().await;
    let over = "
        job <id> of OrderPlaced/confirm in the queue `emails` is completed, after 1 of 3 attempts
        - it is over since <time>";
    office.done(&format!("jobs explain {id}"), over).await;
    let missing = "! error: there is no job <id>: it was not queued here, or is over and its record deleted";
    office.says(3, "jobs explain 01a201b5-86f5-71f6-b21a-42f2f634834f", missing).await;
}

async fn the_doctor_names_what_is_wrong(office: Office) {
    let output = office.run("doctor").await;
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(!said.contains("not heard"), "a store that was just opened listens: {said}");
    office.order(1).await;
    let output = office.run("doctor").await;
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("jobs wait in the queue `books`, which no live worker serves: 1"), "{said}");
    assert!(said.contains("start a worker that does: `work --queue books`"), "{said}");
    office.work().await;
    let output = office.run("doctor").await;
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("jobs of the queue `books` are dead or quarantined: 1"), "{said}");
}
