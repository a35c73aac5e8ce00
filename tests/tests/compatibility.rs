//! What a release has written, every later one reads. Fixtures of released versions are added, never changed.

use std::time::Duration;

use extensions::job::{
    ENVELOPE_VERSION, Envelope, EnvelopeError, JobId, JobState, NewJob, Payload, Purpose, UniqueKey,
    UniqueLock, UniqueUntil, WorkerId,
};
use extensions::queue::{
    ClaimRequest, JobFilter, KnownHandler, Pushed, QueueAdmin, QueueBackend, QueueErrorKind, Retention,
    Settle, Settled, Settlement, Sqlite, TakeLost, connect_existing, migrate, migrations,
};

const V1: &str = include_str!("../fixtures/envelope-v1.json");

fn opened(document: &str) -> NewJob {
    Envelope::from_bytes(document.as_bytes()).expect("an envelope").open()
}

#[test]
fn an_envelope_of_version_1_gives_the_whole_job() {
    let job = opened(V1);
    assert_eq!(job.id.to_string(), "019ab1c2-3d4e-7f50-8a6b-7c8d9e0f1a2b");
    assert_eq!((job.handler.point(), job.handler.handler()), ("order.placed", "send_confirmation"));
    assert_eq!((job.point_version, job.priority, job.max_attempts), (2, 5, 3));
    assert_eq!((job.queue.as_str(), job.delay), ("emails", Duration::from_secs(60)));
    assert_eq!(
        job.payload.to_text(),
        r#"{"order_id":7,"email":"customer-7@example.com","total_cents":1999}"#
    );
    let unique = job.unique.as_ref().expect("a unique lock");
    assert_eq!(unique.key.as_str(), "8f14e45fceea167a5a36dedd4bea2543");
    assert_eq!((unique.ttl, unique.until), (Some(Duration::from_secs(3600)), UniqueUntil::Start));
    assert!(job.on_failure);
    assert_eq!(job.meta.root.to_string(), "019ab1c2-3d4e-7000-8000-000000000001");
    assert_eq!(
        job.meta.parent.map(|id| id.to_string()).as_deref(),
        Some("019ab1c2-3d4e-7000-8000-000000000002")
    );
    assert_eq!(
        (job.meta.depth, job.meta.tenant.as_deref(), &*job.meta.tags),
        (1, Some("acme"), &["vip".to_owned()][..])
    );
    assert!(job.meta.traceparent.is_some_and(|trace| trace.starts_with("00-4bf92f35")));
}

#[test]
fn what_is_written_today_is_read_as_it_was() {
    let document: serde_json::Value = serde_json::from_str(V1).expect("JSON");
    let now = serde_json::from_value(document["enqueued_at"].clone()).expect("a time");
    let sealed = Envelope::seal(&opened(V1), now).expect("an envelope");
    assert_eq!(sealed.v, ENVELOPE_VERSION);
    let bytes = sealed.to_bytes().expect("JSON");
    assert_eq!(opened(std::str::from_utf8(&bytes).expect("UTF-8")), opened(V1));
    assert_eq!(
        serde_json::from_slice::<serde_json::Value>(&bytes).expect("JSON"),
        document,
        "the form has changed: raise the version"
    );
}

#[test]
fn a_field_of_a_later_release_does_no_harm_and_a_later_version_is_refused() {
    let with_more = V1.replacen("\"v\": 1,", "\"v\": 1, \"colour\": \"green\",", 1);
    assert_eq!(opened(&with_more), opened(V1));
    let newer = V1.replacen("\"v\": 1,", &format!("\"v\": {},", ENVELOPE_VERSION + 1), 1);
    assert!(
        matches!(Envelope::from_bytes(newer.as_bytes()), Err(EnvelopeError::TooNew(v)) if v == ENVELOPE_VERSION + 1)
    );
    assert!(matches!(Envelope::from_bytes(b"{}"), Err(EnvelopeError::Malformed(_))));
}

/// A database from a fixture in a folder of its own, which goes with the guard.
fn sqlite_of(fixture: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("jobs.db");
    let conn = rusqlite::Connection::open(&path).expect("a database");
    conn.execute_batch(fixture).expect("the fixture");
    (folder, path)
}

#[tokio::test]
async fn a_sqlite_database_of_version_1_is_brought_up_to_date_with_all_its_jobs() {
    let (_folder, path) = sqlite_of(include_str!("../fixtures/sqlite-v1.sql"));
    let queue = Sqlite::open(&path).await.expect("an older database opens");
    let records = queue.list(JobFilter::default()).await.expect("the jobs");
    let states: Vec<_> = records.iter().map(|job| job.state).collect();
    use JobState::{Available, Cancelled, Completed, Dead, Retryable, Running, Scheduled};
    assert_eq!(states, [Completed, Retryable, Dead, Cancelled, Running, Available, Scheduled, Available]);
    assert!(records.iter().all(|job| job.result.is_none()));
    let [_, retryable, dead, cancelled, running, ..] = &records[..] else { panic!("eight jobs") };
    assert_eq!((&*retryable.errors[0].message, dead.owes_on_failure), ("refused", true));
    assert_eq!(cancelled.reason.as_deref(), Some("the order was cancelled"));
    assert_eq!(running.unique.as_ref().map(UniqueKey::as_str), Some("order 5"));

    // The worker that held two of the jobs is of another boot.
    assert_eq!(queue.maintain(Retention::default()).await.expect("upkeep").rescued, 2);
    let second =
        NewJob { id: JobId::new(), delay: Duration::ZERO, queue: running.queue.clone(), ..opened(V1) };
    let unique = UniqueLock { key: UniqueKey::from("order 5"), ttl: None, until: UniqueUntil::End };
    let duplicate = NewJob { unique: Some(unique), ..second };
    let pushed = queue.push([duplicate].into()).await.expect("a push");
    assert_eq!(pushed, [Pushed::Duplicate { of: running.id }]);

    let handler = KnownHandler { handler: running.handler.clone(), max_version: 1 };
    let request = ClaimRequest {
        worker: WorkerId::new(),
        queues: vec![running.queue.clone(), "reports".into()],
        handlers: [handler].into(),
        max: 10,
        lease: Duration::from_secs(60),
        lost: TakeLost::All,
    };
    let mut claimed = Vec::new();
    while let Some(job) = queue.reserve(request.clone()).await.expect("a claim").jobs.pop() {
        let end = match job.purpose {
            Purpose::OnFailure => Settle::CallbackDone,
            Purpose::Attempt => Settle::Complete {
                keep: true,
                result: Some(Payload::from(&b"true"[..])),
                follow_ups: [].into(),
            },
        };
        let settled = queue.settle(vec![Settlement { job: job.id, token: job.token, end }]).await;
        assert_eq!(settled.expect("a settlement"), [Settled::Done]);
        claimed.push(job.payload.to_text());
    }
    claimed.sort();
    assert_eq!(claimed, [r#"{"n":3}"#, r#"{"n":5}"#, r#"{"n":6}"#]);
    let done = queue.get(vec![running.id]).await.expect("the job").remove(0).expect("its record");
    assert_eq!(done.result.map(|result| result.to_text()).as_deref(), Some("true"));
}

#[tokio::test]
async fn a_sqlite_database_of_version_2_is_changed_only_by_who_may_and_keeps_results_and_taken_ids() {
    let (_folder, path) = sqlite_of(include_str!("../fixtures/sqlite-v2.sql"));
    let url = format!("sqlite://{}", path.display());
    let old = connect_existing(&url).await.expect_err("it is of an older release");
    assert_eq!(old.kind(), QueueErrorKind::InvalidConfig);
    assert!(old.context().contains("has schema 2") && old.context().contains("`migrate`"), "{old}");
    let migrated = migrate(&url).await.expect("it is brought up to date");
    let newest = migrations(&url).await.expect("the steps").last().expect("the newest").version;
    assert_eq!(
        (migrated.from, migrated.to, migrated.is_new(), migrated.is_changed()),
        (2, newest, false, true)
    );

    let queue = connect_existing(&url).await.expect("it is of this release");
    let records = queue.list(JobFilter::default()).await.expect("the jobs");
    assert_eq!(records.len(), 8);
    let result = records[0].result.as_ref().map(Payload::to_text);
    assert_eq!(result.as_deref(), Some(r#"{"sent":1}"#));
    let taken = "00000000-0000-7000-8000-000000000009".parse().expect("an id");
    let job = NewJob { id: taken, delay: Duration::ZERO, unique: None, ..opened(V1) };
    assert_eq!(queue.push([job].into()).await.expect("a push"), [Pushed::Queued]);
    assert_eq!(queue.get(vec![taken]).await.expect("a look"), [None]);
    assert_eq!(queue.history(Duration::MAX).await.expect("the history"), []);
}
