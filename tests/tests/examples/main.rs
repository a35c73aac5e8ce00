//! The examples, run as their users run them: as processes, on real deliveries where there are some.

mod data;
mod process;

use std::path::Path;
use std::time::{Duration, Instant};

use examples::http::send;
use extensions::job::{JobState, WorkerId};
use extensions::queue::{JobFilter, QueueAdmin, QueueBackend, Sqlite};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tests::kit::until;
use tests::servers::{Persistence, Postgres, Redis};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::data::{Expected, deliveries, many_deliveries};
use crate::process::{Example, finish, report};

fn number(report: &Value, field: &str) -> u64 {
    report[field].as_u64().unwrap_or_else(|| panic!("`{field}` is missing in {report}"))
}

#[track_caller]
fn assert_totals(report: &Value, expected: &Expected) {
    assert_eq!(number(report, "deliveries"), expected.deliveries, "{report}");
    assert_eq!(number(report, "rejected"), 0, "{report}");
    assert_eq!(number(report, "vetoed"), expected.vetoed, "{report}");
    assert_eq!(number(report, "fired"), expected.jobs(), "{report}");
    assert_eq!(number(report, "queued"), expected.jobs(), "{report}");
    assert_eq!(report["by_event"], json!(expected.by_event));
}

#[track_caller]
fn assert_all_done(report: &Value, expected: &Expected) {
    assert_eq!(number(report, "completed"), expected.jobs(), "{report}");
    assert_eq!(number(report, "dead"), 0, "{report}");
    assert_archive(report, expected);
}

#[track_caller]
fn assert_archive(report: &Value, expected: &Expected) {
    let archive = (number(report, "archived"), number(report, "announcements"));
    assert_eq!(archive, (expected.archived, expected.announcements), "{report}");
}

#[tokio::test]
async fn orders_with_one_seed_fire_alike_and_end_well() {
    let run = || Example::new("orders").args(["--json", "--orders", "1000", "--seed", "1"]).report();
    let (one, two) = tokio::join!(run(), run());
    for report in [&one, &two] {
        assert!(number(report, "vetoed") > 0, "{report}");
        assert!(number(report, "retried") > 0, "{report}");
        assert_eq!(number(report, "dead"), 0, "{report}");
        assert_eq!(number(report, "queued"), number(report, "completed"), "{report}");
        assert!(report["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{report}");
    }
    for field in ["fired", "vetoed", "retried", "units_sold"] {
        assert_eq!(one[field], two[field], "{field}");
    }
    let other = Example::new("orders").args(["--json", "--orders", "1000", "--seed", "2"]).report().await;
    assert_ne!(one["units_sold"], other["units_sold"], "another seed means other orders");
}

#[tokio::test]
async fn orders_can_keep_their_queue_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("100% orders.db");
    let report = Example::new("orders").args(["--json", "--orders", "5", "--db"]).args([&db]).report().await;
    assert_eq!(number(&report, "queued"), number(&report, "completed"), "{report}");
    assert!(db.is_file());
}

#[tokio::test]
async fn orders_in_a_database_are_loaded_fresh_and_one_that_is_gone_ends_its_jobs() {
    let report = Example::new("sea_orm").args(["--json"]).report().await;
    let totals = ["queued", "completed", "dead", "cancelled"].map(|field| number(&report, field));
    assert_eq!(totals, [10, 8, 1, 1], "{report}");
    let mails = report["mails"].as_array().unwrap();
    assert!(mails.contains(&json!("to customer-1@mail.example: order 1 is paid")), "{report}");
    assert_eq!(mails.len(), 7, "four receipts, and a reminder for each order that is there and unpaid");
    let alarm = "OrderPlaced/send_receipt: missing: the row of `orders` with the key 5 is gone";
    assert_eq!(report["alarms"], json!([alarm]));
}

#[tokio::test]
async fn everything_is_timed() {
    let report = Example::new("timing").args(["--json", "--orders", "30"]).report().await;
    let rows = report["rows"].as_array().unwrap().iter();
    let counts: Vec<_> = rows.map(|row| json!([row["what"], row["name"], row["count"]])).collect();
    let expected = json!([
        ["attempt", "OrderPlaced/send_confirmation", 30],
        ["attempt", "OrderPlaced/take_payment", 40],
        ["fire", "OrderPlaced", 30],
        ["push", "2 jobs", 30],
    ]);
    assert_eq!(json!(counts), expected);
    let confirmation = &report["rows"][0];
    assert!(number(confirmation, "mean_us") >= 1_000, "it waits for a millisecond: {confirmation}");
    assert!(number(confirmation, "longest_us") >= number(confirmation, "mean_us"), "{confirmation}");
}

#[tokio::test]
async fn every_error_is_reported_to_the_service() {
    let report = Example::new("report_errors").args(["--json"]).report().await;
    let told = report["reports"].as_array().unwrap().iter();
    let mut told: Vec<_> = told.map(|told| json!([told["what"], told["attempt"], told["error"]])).collect();
    let mut expected = [
        json!(["inline", null, "`nobody` is no address"]),
        json!(["attempt", 1, "busy.example: try again"]),
        json!(["attempt", 1, "away.example does not answer"]),
        json!(["attempt", 2, "away.example does not answer"]),
        json!(["dead", 2, "failed: away.example does not answer"]),
        json!(["attempt", 1, "panicked"]),
        json!(["attempt", 2, "panicked"]),
        json!(["dead", 2, "panicked: odd.example is odd"]),
    ];
    told.sort_by_key(Value::to_string);
    expected.sort_by_key(Value::to_string);
    assert_eq!(told, expected);
}

#[tokio::test]
async fn orders_over_http_are_accepted_at_once_worked_off_and_ended_in_order() {
    let mut shop = Example::new("axum_orders").args(["--json", "--listen", "127.0.0.1:0"]).start();
    let mut said = BufReader::new(shop.stderr.take().unwrap()).lines();
    let line = said.next_line().await.unwrap().unwrap();
    let address = line.strip_prefix("listening on http://").unwrap().parse().unwrap();
    let order = async |total_cents: u64| {
        let order = json!({ "email": "ann@mail.example", "total_cents": total_cents }).to_string();
        let answer = send(address, "POST", "/orders", &[], &order).await.unwrap();
        (answer.status, serde_json::from_str::<Value>(&answer.body).unwrap())
    };
    for number in 1..=3 {
        let (status, accepted) = order(1_999).await;
        assert_eq!((status, &accepted["order_id"]), (202, &json!(number)));
        assert_eq!(accepted["jobs"].as_array().unwrap().len(), 3, "{accepted}");
    }
    let (status, refused) = order(1_000_001).await;
    assert_eq!((status, &refused["vetoed_by"]), (422, &json!("credit_limit")), "{refused}");
    assert_eq!(refused["detail"], "orders end at 10,000.00");

    for number in 1..=3 {
        let path = format!("/orders/{number}");
        until("the order's three jobs", async || {
            let answer = send(address, "GET", &path, &[], "").await.unwrap();
            let order: Value = serde_json::from_str(&answer.body).unwrap();
            if order["done"].as_array().unwrap().len() == 3 { Ok(()) } else { Err(order) }
        })
        .await;
    }
    assert_eq!(send(address, "GET", "/orders/4", &[], "").await.unwrap().status, 404);
    let shop_id = i32::try_from(shop.id().unwrap()).unwrap();
    kill_process(Pid::from_raw(shop_id).unwrap(), Signal::TERM).unwrap();
    let report = report(&finish(shop).await);
    let totals = ["orders", "completed", "retried", "dead"].map(|field| number(&report, field));
    assert_eq!(totals, [3, 9, 1, 0], "{report}");
}

#[tokio::test]
async fn handlers_of_a_crate_that_is_only_linked_are_found() {
    let output = Example::new("plugins").run().await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    for line in
        ["found ExpressCourier (priority 50)", "found parcel_post (priority 100)", "31000 g to PT: nobody"]
    {
        assert!(text.contains(line), "{text}");
    }
}

#[tokio::test]
async fn every_delivery_is_archived_and_the_news_announced() {
    let (path, expected) = (deliveries(), Expected::of(deliveries()));
    let report = Example::new("webhooks").args(["--json".as_ref(), path.as_os_str()]).report().await;
    assert_totals(&report, &expected);
    assert_all_done(&report, &expected);
    assert_eq!(number(&report, "retried"), 0, "{report}");
}

#[tokio::test]
async fn first_attempts_that_fail_change_no_total() {
    let (path, expected) = (deliveries(), Expected::of(deliveries()));
    let run = async |rate: &str| {
        let args = ["--json", "--fail-rate", rate, "--seed", "7"];
        Example::new("webhooks").args(args).args([path]).report().await
    };
    for report in [run("0.3").await, run("1").await] {
        assert_totals(&report, &expected);
        assert_all_done(&report, &expected);
        assert!(number(&report, "retried") > 0, "{report}");
    }
    assert_eq!(number(&run("1").await, "retried"), expected.jobs());
}

#[tokio::test]
async fn deliveries_come_from_standard_input_too() {
    let expected = Expected::of(deliveries());
    let input = std::fs::read(deliveries()).unwrap();
    let report =
        report(&Example::new("webhooks").args(["--json", "--queue", "memory:", "-"]).run_with(&input).await);
    assert_totals(&report, &expected);
    assert_all_done(&report, &expected);
}

#[tokio::test]
async fn one_process_fires_and_two_work() {
    let folder = tempfile::tempdir().unwrap();
    let (path, expected) = (deliveries(), Expected::of(deliveries()));
    let produced = Example::webhooks(folder.path(), "produce").args([path]).report().await;
    assert_totals(&produced, &expected);
    assert_eq!((number(&produced, "completed"), number(&produced, "archived")), (0, 0));

    let worker =
        || Example::webhooks(folder.path(), "work").args(["--fail-rate", "0.3", "--seed", "7"]).report();
    let (one, two) = tokio::join!(worker(), worker());
    let both = |field| number(&one, field) + number(&two, field);
    assert_eq!((both("completed"), both("dead"), both("queued")), (expected.jobs(), 0, 0), "{one} {two}");

    let alone = ["--json", "--fail-rate", "0.3", "--seed", "7"];
    let alone = Example::new("webhooks").args(alone).args([path]).report().await;
    assert_eq!(both("retried"), number(&alone, "retried"), "the same first attempts fail in every process");

    let again = Example::webhooks(folder.path(), "work").report().await;
    assert_eq!(number(&again, "completed"), 0, "nothing is left: {again}");
    assert_archive(&again, &expected);

    Example::webhooks(folder.path(), "all").args([path]).report().await;
    let again = Example::webhooks(folder.path(), "work").report().await;
    assert_archive(&again, &expected); // what came in twice is there once
}

#[tokio::test]
async fn a_worker_waits_for_its_first_job_as_long_as_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let expected = Expected::of(deliveries());
    let started = Instant::now();
    let idle = Example::webhooks(folder.path(), "work").args(["--wait", "0.3"]).report().await;
    assert_eq!(number(&idle, "completed"), 0);
    assert!(started.elapsed() >= Duration::from_millis(300), "{:?}", started.elapsed());

    let worker = Example::webhooks(folder.path(), "work").args(["--wait", "50"]).start();
    let produced = Example::webhooks(folder.path(), "produce").args([deliveries()]).report().await;
    assert_totals(&produced, &expected);
    assert_all_done(&report(&finish(worker).await), &expected);
}

#[tokio::test]
async fn what_a_killed_worker_held_is_finished_by_the_other_within_two_seconds() {
    const HANDLER: Duration = Duration::from_millis(20);
    const SLOTS: u32 = 4;
    let folder = tempfile::tempdir().unwrap();
    let path = many_deliveries(folder.path());
    let expected = Expected::of(&path);
    let produced = Example::webhooks(folder.path(), "produce").args([&path]).report().await;
    assert_totals(&produced, &expected);

    let worker = || {
        Example::webhooks(folder.path(), "work").args(["--handler-ms", "20", "--concurrency", "4"]).start()
    };
    let (mut killed, other) = (worker(), worker());
    archived_by(&folder.path().join("archive.db"), killed.id().unwrap(), 50).await;
    killed.start_kill().unwrap(); // with -9
    let at = Instant::now();
    let status = killed.wait().await.unwrap();
    assert!(!status.success(), "it was killed before it had ended: {status}");

    let report = report(&finish(other).await);
    let took = at.elapsed();
    assert_archive(&report, &expected);
    assert_eq!(number(&report, "dead"), 0, "{report}");
    let completed = u32::try_from(number(&report, "completed")).unwrap();
    let own_work = HANDLER * completed.div_ceil(SLOTS);
    assert!(took <= own_work + Duration::from_secs(2), "{took:?} for {completed} jobs of {own_work:?}");

    let left = Example::webhooks(folder.path(), "work").report().await;
    assert_eq!(number(&left, "completed"), 0, "nothing is left: {left}");
}

#[tokio::test]
async fn jobs_in_flight_at_a_kill_are_taken_up_within_two_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let path = many_deliveries(folder.path());
    let expected = Expected::of(&path);
    Example::webhooks(folder.path(), "produce").args([&path]).report().await;
    let queue = Sqlite::open(folder.path().join("queue.db")).await.unwrap();

    let stuck = ["--handler-ms", "60000", "--concurrency", "8"];
    let mut killed = Example::webhooks(folder.path(), "work").args(stuck).start();
    jobs_until(&queue, |jobs| jobs(JobState::Running) >= 8).await;
    let other = Example::webhooks(folder.path(), "work").start();
    let held =
        jobs_until(&queue, |jobs| jobs(JobState::Completed) + jobs(JobState::Running) == expected.jobs())
            .await;
    assert!(held >= 8, "{held}");
    killed.start_kill().unwrap();
    let at = Instant::now();
    killed.wait().await.unwrap();

    let report = report(&finish(other).await);
    let took = at.elapsed();
    assert_all_done(&report, &expected);
    assert!(took <= Duration::from_secs(2), "{took:?} for {held} jobs");
}

#[tokio::test]
async fn two_of_three_workers_are_killed_and_every_total_is_right_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    two_kills_change_no_total_on(&examples::sqlite_url(&folder.path().join("queue.db"))).await;
}

#[tokio::test]
async fn two_of_three_workers_are_killed_and_every_total_is_right_on_postgres() {
    two_kills_change_no_total_on(&Postgres::start().await.fresh_url()).await;
}

#[tokio::test]
async fn two_of_three_workers_are_killed_and_every_total_is_right_on_redis() {
    two_kills_change_no_total_on(&Redis::start(Persistence::Always).await.fresh_url()).await;
}

/// One process fires, three work, and two of these are killed with -9 with jobs in flight; on an empty store.
async fn two_kills_change_no_total_on(queue: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = many_deliveries(folder.path());
    let expected = Expected::of(&path);
    let run = |role: &str| Example::webhooks_on(queue, folder.path(), role);
    let work = || {
        let options = ["--wait", "50", "--lease", "2", "--handler-ms", "20", "--concurrency", "2"];
        run("work").args(options).start()
    };
    let store = extensions::queue::connect(queue).await.unwrap();
    let (mut killed, other) = ([work(), work()], work());
    let pids = killed.each_ref().map(|worker| worker.id().unwrap());
    workers_of(&*store, &[pids[0], pids[1], other.id().unwrap()]).await;
    let produced = run("produce").args([&path]).report().await;
    assert_totals(&produced, &expected);

    for pid in pids {
        archived_by(&folder.path().join("archive.db"), pid, 5).await;
    }
    let workers = workers_of(&*store, &pids).await;
    for worker in &mut killed {
        worker.start_kill().unwrap(); // with -9
    }
    let running = JobFilter { states: vec![JobState::Running], limit: 1000, ..JobFilter::default() };
    let running = store.list(running).await.unwrap().into_iter().filter_map(|job| job.worker);
    assert!(running.filter(|worker| workers.contains(worker)).count() > 0, "no jobs were in flight");
    for mut worker in killed {
        assert!(!worker.wait().await.unwrap().success(), "it was killed before it had ended");
    }

    let report = report(&finish(other).await);
    assert_archive(&report, &expected);
    assert_eq!(number(&report, "dead"), 0, "{report}");
    let left = run("work").report().await;
    assert_eq!(number(&left, "completed"), 0, "nothing is left: {left}");

    // The same again on the store and the archive as they are now.
    assert_totals(&run("produce").args([&path]).report().await, &expected);
    let said = String::from_utf8(run("produce").args(["-"]).run().await.stderr).unwrap();
    assert!(
        said.contains(&format!("{} jobs of an earlier run are still in the queue", expected.jobs())),
        "{said}"
    );
    assert_all_done(&run("work").report().await, &expected);
}

#[tokio::test]
async fn every_payment_is_booked_exactly_once_though_workers_are_killed_at_it() {
    let args = ["--json", "--payments", "200", "--kills", "4"];
    let report = Example::new("exactly_once").args(args).report().await;
    let totals = ["bookings", "missing", "twice", "killed"].map(|field| number(&report, field));
    assert_eq!(totals, [200, 0, 0, 4], "{report}");
    assert_eq!(report["cents"], report["cents_expected"], "{report}");
    assert!(number(&report, "interrupted") >= 4, "each of them was in the middle of its work: {report}");
    assert!(number(&report, "booked_by_killed") >= 160, "{report}");
}

/// Waits until these processes have workers that beat; their ids.
async fn workers_of(store: &dyn QueueBackend, pids: &[u32]) -> Vec<WorkerId> {
    until("the workers of all", async || {
        let mut workers = store.workers().await.unwrap();
        workers.retain(|worker| pids.contains(&worker.pid));
        let is_there = |pid: &u32| workers.iter().any(|worker| worker.pid == *pid);
        if pids.iter().all(is_there) {
            Ok(workers.iter().map(|worker| worker.id).collect())
        } else {
            Err(workers)
        }
    })
    .await
}

/// Waits until the numbers of jobs are as asked for; how many are running then.
async fn jobs_until(queue: &Sqlite, enough: impl Fn(&dyn Fn(JobState) -> u64) -> bool) -> u64 {
    until("the numbers of jobs", async || {
        let stats = queue.stats().await.unwrap();
        let jobs = |state| stats.iter().map(|queue| queue.count(state)).sum();
        if enough(&jobs) { Ok(jobs(JobState::Running)) } else { Err(stats) }
    })
    .await
}

/// Waits until a process has archived that many deliveries.
async fn archived_by(archive: &Path, process: u32, deliveries: u64) {
    let count = || -> rusqlite::Result<u64> {
        let archive =
            rusqlite::Connection::open_with_flags(archive, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let count = "SELECT count(*) FROM deliveries WHERE by_process = ?";
        archive.query_row(count, [process], |row| row.get(0))
    };
    until(&format!("{deliveries} deliveries archived by {process}"), async || match count() {
        Ok(archived) if archived >= deliveries => Ok(()),
        archived => Err(archived),
    })
    .await;
}

fn delivery(id: &str, event: &str, action: Option<&str>, payload: &Value) -> String {
    format!("{}\n", json!({ "delivery": id, "event": event, "action": action, "payload": payload }))
}

#[tokio::test]
async fn a_merged_pull_request_is_announced_and_a_closed_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let pull = |merged: Value| {
        let pull_request = json!({ "title": "Steady the lamp", "merged": merged });
        json!({ "pull_request": pull_request, "repository": { "full_name": "a/b" }, "sender": { "login": "ines" } })
    };
    let input = [
        delivery("merged", "pull_request", Some("closed"), &pull(json!(true))),
        delivery("closed", "pull_request", Some("closed"), &pull(json!(false))),
        delivery("unsaid", "pull_request", Some("closed"), &pull(json!(null))),
        delivery("edited", "pull_request", Some("edited"), &pull(json!(true))),
    ];
    let output =
        Example::webhooks(folder.path(), "all").args(["-"]).run_with(input.concat().as_bytes()).await;
    let report = report(&output);
    assert_eq!((number(&report, "archived"), number(&report, "announcements")), (4, 1), "{report}");
    let archive = rusqlite::Connection::open(folder.path().join("archive.db")).unwrap();
    let announcement: (String, String, String) = archive
        .query_row("SELECT delivery, point, text FROM announcements", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .unwrap();
    let text = "ines merged “Steady the lamp” into a/b";
    assert_eq!(announcement, ("merged".into(), "PullRequestMerged".into(), text.into()));
}

#[tokio::test]
async fn bad_lines_are_reported_with_their_number_and_the_rest_goes_on() {
    let push = json!({ "sender": { "login": "ines" } });
    let input = [
        delivery("one", "push", None, &push),
        "this is no JSON\n".into(),
        "{\"delivery\": \"two\", \"event\": \"push\", \"payload\": {}}\n".into(),
        "\n".into(),
        "[1, 2\n".into(),
        "{\"delivery\": 3, \"event\": \"push\", \"action\": null, \"payload\": {}}\n".into(),
        delivery("four", "push", None, &json!({ "sender": { "login": null } })),
        delivery("five", "ping", None, &push).trim_end().into(),
    ];
    let mut input = input.concat().into_bytes();
    input.extend(b"\n\xff\xfe");
    let output = Example::new("webhooks").args(["--json", "--queue", "memory:", "-"]).run_with(&input).await;
    let report = report(&output);
    let counts =
        ["deliveries", "rejected", "vetoed", "archived", "announcements"].map(|field| number(&report, field));
    assert_eq!(counts, [3, 6, 1, 2, 1], "{report}");
    assert_eq!(report["by_event"], json!({ "push": 2, "ping": 1 }));
    let said = String::from_utf8(output.stderr).unwrap();
    for line in
        ["line 2 ", "line 3 ", "line 4 ", "line 5 ", "line 6 ", "line 9 ", "missing field `action` (column "]
    {
        assert!(said.contains(line), "`{line}` is missing in\n{said}");
    }
    assert!(!said.contains("at line"), "one line number is enough: {said}");
    assert_eq!(said.lines().count(), 6, "{said}");
}

#[tokio::test]
async fn arguments_that_cannot_be_are_refused_with_what_is_wrong() {
    let table: [(&str, &[&str], &str); 14] = [
        ("orders", &["--ordres", "3"], "--ordres"),
        ("orders", &["--orders", "many"], "--orders many: "),
        ("plugins", &["--strict"], "--strict"),
        ("webhooks", &["--handler-ms", "-1", "-"], "--handler-ms -1: "),
        ("webhooks", &["--concurrency", "0", "--role", "work"], "--concurrency 0: "),
        ("webhooks", &["--role", "work", "--queue", "memory:"], "memory: is seen by one process only"),
        (
            "webhooks",
            &["--role", "produce", "--queue", "memory:", "-"],
            "memory: is seen by one process only",
        ),
        ("webhooks", &["--wait", "-1", "--role", "work"], "--wait -1: "),
        ("webhooks", &["--lease", "soon", "--role", "work"], "--lease soon: "),
        ("webhooks", &[], "PATH is missing"),
        ("webhooks", &["--role", "work"], "--queue is missing"),
        ("webhooks", &["--role", "rest", "-"], "all, produce or work"),
        ("webhooks", &["--fail-rate", "1.5", "-"], "not from 0 to 1"),
        ("webhooks", &["a.jsonl", "b.jsonl"], "b.jsonl"),
    ];
    for (example, args, said) in table {
        let output = Example::new(example).args(args).run().await;
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{example} {args:?}: {stderr}");
        assert!(stderr.contains(said), "{example} {args:?}: {stderr}");
        assert_eq!(stderr.lines().count(), 2, "the reason once, and where to look: {stderr}");
    }
    let missing = Example::new("webhooks").args(["no-such-file.jsonl"]).run().await;
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8(missing.stderr).unwrap().contains("no-such-file.jsonl"));
    let folder = tempfile::tempdir().unwrap();
    let refused = Example::new("webhooks").args([folder.path()]).run().await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8(refused.stderr).unwrap().contains(folder.path().to_str().unwrap()));
}

#[tokio::test]
async fn a_fire_in_one_process_and_its_job_in_another_are_one_trace() {
    let folder = tempfile::tempdir().unwrap();
    let spans = async |role: &str| -> Vec<Value> {
        let queue = folder.path().join("jobs.db");
        let output = Example::new("opentelemetry")
            .args([role.as_ref(), "--queue".as_ref(), queue.as_os_str()])
            .run()
            .await;
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    let (fired, worked) = (spans("fire").await, spans("work").await);
    let one = |spans: &[Value], name: &str| spans.iter().find(|span| span["name"] == name).unwrap().clone();
    let (request, fire, attempt) =
        (one(&fired, "POST /orders"), one(&fired, "fire"), one(&worked, "attempt"));
    assert_eq!(fire["parent"], request["span"]);
    assert_eq!((&attempt["parent"], &attempt["trace"]), (&fire["span"], &fire["trace"]));
    assert_eq!(one(&worked, "smtp")["parent"], attempt["span"]);
    assert!(
        fired.iter().chain(&worked).all(|span| span["trace"] == request["trace"]),
        "{fired:#?} {worked:#?}"
    );
}

#[tokio::test]
async fn every_example_answers_help() {
    for example in [
        "axum_orders",
        "exactly_once",
        "opentelemetry",
        "orders",
        "plugins",
        "report_errors",
        "timing",
        "webhooks",
    ] {
        let output = Example::new(example).args(["--help"]).run().await;
        assert!(output.status.success());
        assert!(String::from_utf8(output.stdout).unwrap().starts_with(example));
    }
}

#[tokio::test]
async fn a_worker_without_a_lasting_archive_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let queue = format!("sqlite://{}", folder.path().join("queue.db").display());
    let output = Example::new("webhooks").args(["--json", "--role", "work", "--queue", &queue]).run().await;
    assert_eq!(number(&report(&output), "completed"), 0);
    assert!(String::from_utf8(output.stderr).unwrap().contains("without --archive"));
}
