//! What was never written by this framework.

use std::time::Duration;

use extensions::job::{JobState, NewJob, UniqueLock};

use super::{Arena, Event};
use crate::kit::new_job;

/// Bytes of a payload that is huge.
pub const HUGE: usize = 8 * 1024 * 1024;
/// How deep a text is nested.
pub const DEEP: usize = 100_000;

/// A job of garbage, and what must become of it.
#[derive(Debug, Clone)]
pub struct Planted {
    /// The job.
    pub job: NewJob,
    /// How it must end.
    pub becomes: JobState,
}

fn planted(handler: &str, version: u32, payload: impl AsRef<[u8]>, becomes: JobState) -> Planted {
    let job = NewJob {
        point_version: version,
        queue: "orders".into(),
        on_failure: true,
        ..new_job(handler, payload)
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

/// Jobs of every kind of garbage, in any order.
#[must_use]
pub fn garbage(rng: &mut fastrand::Rng) -> Vec<Planted> {
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

/// Puts garbage into the store; those jobs that it took.
///
/// # Panics
///
/// If the store cannot be reached.
pub async fn plant(arena: &Arena, all: Vec<Planted>) -> Vec<Planted> {
    let mut taken = Vec::new();
    for planted in all {
        if push(arena, &planted.job).await {
            taken.push(planted);
        }
    }
    arena.note(Event::Planted { jobs: taken.iter().map(|planted| planted.job.id).collect() }).await;
    taken
}

/// Whether the store took a job; one that it cannot hold is refused for good.
async fn push(arena: &Arena, job: &NewJob) -> bool {
    for _ in 0..100 {
        match arena.queue().push([job.clone()].into()).await {
            Ok(_) => return true,
            Err(error) if !error.is_retryable() => return false,
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
    panic!("the store cannot be reached")
}

/// Plants a few of the many kinds.
pub(super) async fn plant_some(arena: &mut Arena) {
    let mut some = garbage(&mut arena.rng);
    some.truncate(8);
    plant(arena, some).await;
}
