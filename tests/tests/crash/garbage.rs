//! R15: what was never written by this framework, put straight into the store.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use extensions::job::{ErrorKind, JobId, JobState};
use extensions::queue::JobFilter;
use tests::crash::{Arena, DEEP, Engine, FirePlan, HUGE, Planted, Role, WorkPlan, garbage, plant};
use tests::raw::{Part, Raw};

use crate::{Found, recovery};

pub(crate) async fn garbage_payloads_stop_nobody_and_stay_as_they_are(mut arena: Arena) -> Found {
    let garbage = garbage(&mut arena.rng);
    let made = garbage.len();
    let all = plant(&arena, garbage).await;
    assert!(all.len() + 3 > made, "{} of {made} were taken", all.len());
    let mut worker = arena.start(Role::Work(WorkPlan::default())).await;
    let mut firer = arena.start(Role::Fire(FirePlan::of(100, 1))).await;
    assert!(firer.ended(Duration::from_secs(30)).await.unwrap().success());
    arena.until_drained(60).await;
    assert!(worker.lives().unwrap(), "the worker died of garbage\n{}", worker.log());
    let (evidence, judgement) = arena.judge(&recovery(&arena)).await;
    let records: BTreeMap<_, _> = evidence.records.iter().map(|record| (record.id, record)).collect();
    for Planted { job, becomes } in &all {
        let start = job.payload.to_text().chars().take(60).collect::<String>();
        let record = records.get(&job.id);
        let record = record.unwrap_or_else(|| panic!("{} has vanished: {start}", job.handler));
        assert_eq!(record.state, *becomes, "{} {:?} {start}", record.handler, record.errors);
        assert!(record.payload == job.payload, "the bytes were touched: {start}");
        if *becomes == JobState::Dead {
            assert_eq!(record.errors.last().map(|error| error.kind), Some(ErrorKind::Undecodable), "{start}");
        }
    }
    let fired =
        evidence.records.iter().filter(|record| !all.iter().any(|planted| planted.job.id == record.id));
    assert!(fired.clone().count() > 100);
    arena.stop(&mut worker).await;
    Found { judgement, note: format!("{} jobs of garbage among {}", all.len(), evidence.records.len()) }
}

/// What can stand in a text that should be JSON.
fn broken_json() -> Vec<String> {
    ["", "not JSON", "{", "[]", "null", "{\"root\":7}", "[{\"attempt\":\"x\"}]", "\u{0}\u{1}"]
        .map(str::to_owned)
        .into_iter()
        .chain(["[".repeat(DEEP), "{\"root\":".repeat(DEEP), format!("\"{}\"", "x".repeat(HUGE))])
        .collect()
}

/// Jobs whose flaky handler fails at first, so that errors are read and added to.
async fn fire_flaky(arena: &mut Arena, first: u64, fires: u64) -> Vec<JobId> {
    let mix = tests::crash::Mix { ordered: 1, ..Default::default() };
    let plan = FirePlan { mix, fail_share: 1.0, ..FirePlan::of(fires, first) };
    let mut firer = arena.start(Role::Fire(plan)).await;
    assert!(firer.ended(Duration::from_secs(30)).await.unwrap().success());
    let all = arena.queue().list(JobFilter { limit: 10_000, ..JobFilter::default() }).await.unwrap();
    all.into_iter().filter(|job| job.handler.as_str() == "Ordered/flaky").map(|job| job.id).collect()
}

pub(crate) async fn broken_metadata_and_errors_stop_nobody(mut arena: Arena) -> Found {
    let raw = Raw::of(arena.site().url());
    let mut parts = vec![Part::Meta, Part::Errors, Part::Progress];
    if arena.site().engine() == Engine::Redis {
        // Metadata and payload are one there, which the garbage of payloads is about.
        parts.remove(0);
    }
    let broken = broken_json();
    let flaky = fire_flaky(&mut arena, 0, (broken.len() * parts.len() * 2) as u64).await;
    let mut jobs = flaky.iter();
    for part in &parts {
        for text in &broken {
            let (as_text, as_bytes) = (jobs.next().unwrap(), jobs.next().unwrap());
            raw.spoil_text(*as_text, *part, text).await;
            let bytes: Vec<u8> = text.bytes().map(|byte| byte ^ 0x80).collect();
            raw.spoil(*as_bytes, *part, bytes).await;
        }
    }
    let mut worker = arena.start(Role::Work(WorkPlan::default())).await;
    arena.until_drained(60).await;
    assert!(worker.lives().unwrap(), "the worker died of garbage\n{}", worker.log());
    let (evidence, judgement) = arena.judge(&recovery(&arena)).await;
    for record in &evidence.records {
        assert_eq!(record.state, JobState::Completed, "{record:?}");
    }
    arena.stop(&mut worker).await;
    Found { judgement, note: format!("{} broken texts", broken.len() * parts.len() * 2) }
}

/// Values that no writer of ours would put there.
const ODD: &[(&str, &[&str])] = &[
    ("priority", &["'high'", "-1", "300", "x'00ff'", "1.5", "9223372036854775807"]),
    ("attempt", &["'one'", "-1", "4294967296", "x'00ff'", "1e300"]),
    ("max_attempts", &["'three'", "-1", "4294967296", "0"]),
    ("lost_count", &["'none'", "-1", "4294967296"]),
    ("callback_lost", &["'none'", "-1"]),
    ("on_failure", &["'yes'", "7", "x'01'"]),
    ("owes", &["'yes'", "7"]),
    ("suspect", &["'yes'", "7"]),
    ("started", &["'yes'", "7"]),
    ("run_at", &["'soon'", "-9223372036854775808", "x'00'"]),
    ("enqueued_at", &["'then'", "9223372036854775807", "1.5"]),
    ("unique_key", &["x'ff00ff'", "7", "CAST(x'ff00ff' AS TEXT)"]),
    ("unique_start", &["'yes'", "7"]),
    ("available_at", &["'then'", "1.5"]),
    ("cancel", &["x'ff00ff'", "7", "CAST(x'ff00ff' AS TEXT)"]),
    ("reason", &["x'ff00ff'", "7", "CAST(x'ff00ff' AS TEXT)"]),
    ("payload", &["7", "'text'", "1.5"]),
    ("meta", &["7", "1.5"]),
    ("errors", &["7", "1.5"]),
    ("unread", &["7", "'text'"]),
    ("id", &["x'00'", "'text'", "7"]),
];

/// Names that are no text.
const ODD_NAMES: &[&str] = &[
    "INSERT INTO extensions_queues (name) VALUES (CAST(x'ff00' AS TEXT))",
    "INSERT INTO extensions_lanes (queue, handler, version) VALUES (1, CAST(x'fe00' AS TEXT), 1)",
    "INSERT INTO extensions_lanes (queue, handler, version) SELECT max(queue), CAST(x'fe' AS TEXT), 1 FROM extensions_queues",
];

pub(crate) async fn odd_columns_are_refused_or_stop_nobody(mut arena: Arena) -> Found {
    let values = ODD.iter().flat_map(|(column, values)| values.iter().map(move |value| (*column, *value)));
    let values: Vec<_> = values.collect();
    let flaky = fire_flaky(&mut arena, 0, values.len() as u64 * 3).await;
    let store = Raw::of(arena.site().url()).sqlite();
    for sql in ODD_NAMES {
        store.execute_batch(sql).unwrap();
    }
    let mut odd = Vec::new();
    for ((column, value), job) in values.iter().zip(flaky.iter().step_by(3)) {
        let sql = format!("UPDATE extensions_jobs SET {column} = {value} WHERE id = ?1");
        if store.execute(&sql, [job.as_bytes()]).is_ok() {
            odd.push((*column, *value, *job));
        }
    }
    let rows = "SELECT count(*) FROM extensions_jobs";
    let before: u64 = store.query_row(rows, [], |row| row.get(0)).unwrap();
    let all = arena.queue().list(JobFilter { limit: 10_000, ..JobFilter::default() }).await.unwrap();
    let is_odd = |id: &JobId| odd.iter().any(|(_, _, job)| job == id);
    let others: Vec<_> = all.iter().map(|job| job.id).filter(|id| !is_odd(id)).collect();
    let mut worker = arena.start(Role::Work(WorkPlan::default())).await;
    until_all_completed(&arena, &others).await;
    assert!(worker.lives().unwrap(), "the worker died of garbage\n{}", worker.log());
    let after: u64 = store.query_row(rows, [], |row| row.get(0)).unwrap();
    assert_eq!(before, after, "a row has vanished");
    arena.stop(&mut worker).await;
    let (_, judgement) = arena.judge(&recovery(&arena)).await;
    Found {
        judgement,
        note: format!(
            "{} odd values, {} of them refused by the store",
            values.len(),
            values.len() - odd.len()
        ),
    }
}

async fn until_all_completed(arena: &Arena, jobs: &[JobId]) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let found = arena.queue().get(jobs.to_vec()).await.unwrap();
        let open: Vec<_> = found.iter().flatten().filter(|job| job.state != JobState::Completed).collect();
        if open.is_empty() && found.iter().all(Option::is_some) {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{} jobs are kept up by garbage, such as {:?}\n{}",
            open.len(),
            open.first(),
            arena.logs()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
