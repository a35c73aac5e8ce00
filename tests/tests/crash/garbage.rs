//! R15: what was never written by this framework, put straight into the store.

use std::collections::BTreeMap;
use std::time::Duration;

use extensions::job::{ErrorKind, FireId, HandlerKey, JobId, JobMeta, JobState, NewJob, Payload, UniqueLock};
use tests::crash::{Arena, Event, FirePlan, Role, Terms, WorkPlan};

use crate::Found;

const HUGE: usize = 8 * 1024 * 1024;
const DEEP: usize = 100_000;

/// A job of garbage, and what must become of it.
struct Planted {
    job: NewJob,
    becomes: JobState,
}

fn planted(handler: &str, version: u32, payload: impl Into<Vec<u8>>, becomes: JobState) -> Planted {
    let job = NewJob {
        id: JobId::new(),
        handler: HandlerKey::from(handler),
        point_version: version,
        payload: Payload::from(payload.into()),
        queue: "orders".into(),
        priority: 5,
        max_attempts: 3,
        delay: Duration::ZERO,
        unique: None,
        on_failure: true,
        meta: JobMeta::new(FireId::new()),
    };
    Planted { job, becomes }
}

fn undecodable(rng: &mut fastrand::Rng) -> Vec<Vec<u8>> {
    let valid = br#"{"fire":1,"millis":0,"failures":0,"pause":false}"#;
    let mut random = || (0..rng.usize(1..2000)).map(|_| rng.u8(..)).collect::<Vec<_>>();
    let mut payloads: Vec<Vec<u8>> = (0..40).map(|_| random()).collect();
    payloads.extend((0..valid.len()).map(|length| valid[..length].to_vec()));
    payloads.extend(["null", "7", "[]", "\"text\"", "{}", "true", "1e999", "{\"fire\":1}"].map(Vec::from));
    payloads.push(br#"{"fire":"one","millis":0,"failures":0,"pause":false}"#.to_vec());
    payloads.push(br#"{"fire":-1,"millis":0,"failures":0,"pause":false}"#.to_vec());
    payloads.push(br#"{"fire":1,"fire":2,"millis":0,"failures":0,"pause":false}"#.to_vec());
    payloads.push([&valid[..], b" trailing"].concat());
    payloads.push(b"\xef\xbb\xbf{}".to_vec());
    payloads.push(vec![b'['; DEEP]);
    payloads.push([vec![b'['; DEEP], vec![b']'; DEEP]].concat());
    payloads.push("{\"a\":".repeat(DEEP).into_bytes());
    payloads.push(vec![0; HUGE]);
    payloads.push((0..HUGE).map(|_| rng.u8(..)).collect());
    payloads
}

/// Payloads that are right but for an unknown field: one nested deep, one huge.
fn odd_but_right(valid: &str) -> [String; 2] {
    let with = |more: String| format!("{},\"more\":{more}}}", &valid[..valid.len() - 1]);
    [with("[".repeat(DEEP) + &"]".repeat(DEEP)), with(format!("\"{}\"", "x".repeat(HUGE)))]
}

fn unroutable() -> Vec<(String, u32)> {
    let names = [
        "Ordered/nobody",
        "Nothing/quick",
        "Ordered/quick/more",
        "ordered/QUICK",
        "Ordered",
        "",
        "/",
        "\u{0}",
        "Ordered/qui\u{301}ck",
        "'; DROP TABLE extensions_jobs; --",
    ];
    let mut unroutable: Vec<_> = names.iter().map(|name| ((*name).to_owned(), 1)).collect();
    unroutable.push(("x".repeat(100_000), 1));
    unroutable.extend([2, 99, u32::MAX].map(|version| ("Ordered/quick".to_owned(), version)));
    unroutable
}

fn garbage(rng: &mut fastrand::Rng) -> Vec<Planted> {
    let mut all: Vec<_> = Vec::new();
    for (at, payload) in undecodable(rng).into_iter().enumerate() {
        let handler = ["Ordered/quick", "Ordered/flaky", "Charged/doomed", "Rendered/render"][at % 4];
        let lacks_only_others_fields = handler != "Ordered/quick" && handler != "Ordered/flaky";
        let handler = if lacks_only_others_fields && payload.starts_with(b"{\"fire\":1") {
            "Ordered/quick"
        } else {
            handler
        };
        all.push(planted(handler, 1, payload, JobState::Dead));
    }
    let valid = r#"{"fire":0,"millis":0,"failures":0,"pause":false}"#;
    all.push(planted("Ordered/quick", 0, valid, JobState::Dead));
    let right = odd_but_right(valid).map(|payload| planted("Ordered/quick", 1, payload, JobState::Completed));
    all.extend(right);
    all.extend(
        unroutable()
            .into_iter()
            .map(|(handler, version)| planted(&handler, version, valid, JobState::Unroutable)),
    );
    let mut keyed = planted("Reindexed/reindex", 1, "no JSON", JobState::Dead);
    keyed.job.unique = Some(UniqueLock { key: "garbage".into(), ttl: None, until: Default::default() });
    all.push(keyed);
    rng.shuffle(&mut all);
    all
}

async fn plant(arena: &Arena, all: &[Planted]) {
    arena.note(Event::Planted { jobs: all.iter().map(|planted| planted.job.id).collect() }).await;
    for planted in all {
        arena.queue().push([planted.job.clone()].into()).await.unwrap();
    }
}

pub(crate) async fn garbage_payloads_stop_nobody_and_stay_as_they_are(mut arena: Arena) -> Found {
    let all = garbage(&mut arena.rng);
    plant(&arena, &all).await;
    let mut worker = arena.start(Role::Work(WorkPlan::default())).await;
    let mut firer = arena.start(Role::Fire(FirePlan::of(100, 1))).await;
    assert!(firer.ended(Duration::from_secs(30)).await.unwrap().success());
    arena.until_drained(60).await;
    assert!(worker.lives().unwrap(), "the worker died of garbage\n{}", worker.log());
    let (evidence, judgement) = arena.judge(&Terms::recovery_within(Duration::from_secs(35))).await;
    let records: BTreeMap<_, _> = evidence.records.iter().map(|record| (record.id, record)).collect();
    for Planted { job, becomes } in &all {
        let record = records[&job.id];
        let start = job.payload.to_text().chars().take(60).collect::<String>();
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
