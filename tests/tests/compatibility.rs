//! What a release has written, every later one reads. Fixtures of released versions are added, never changed.

use std::time::Duration;

use extensions::job::{ENVELOPE_VERSION, Envelope, EnvelopeError, NewJob, UniqueUntil};

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
