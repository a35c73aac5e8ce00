//! R12: signals to workers.

use std::time::{Duration, Instant};

use extensions::job::JobState;
use extensions::queue::JobFilter;
use rustix::process::Signal;
use tests::crash::{Arena, Event, FirePlan, Mix, Outcome, Role, Terms, WorkPlan};

use crate::kill::start_worker;
use crate::{Found, recovery};

const SIGNALS: [(Signal, i32); 3] = [(Signal::TERM, 15), (Signal::INT, 2), (Signal::HUP, 1)];

fn terms() -> Terms {
    Terms::recovery_within(Duration::from_secs(5))
}

pub(crate) async fn a_signal_ends_a_worker_in_order_and_burns_no_attempt(mut arena: Arena) -> Found {
    let mut firer = arena.start(Role::Fire(FirePlan::of(700, 0))).await;
    let mut longest = Duration::ZERO;
    for round in 0..6 {
        let mut worker = start_worker(&mut arena).await;
        let starts = arena.rng.usize(0..60);
        arena.until("the worker is busy", 30, |arena| arena.ledger(&worker).starts() >= starts).await;
        let millis = arena.rng.u64(0..15);
        tokio::time::sleep(Duration::from_millis(millis)).await;
        let (signal, number) = SIGNALS[round % 3];
        let sent = Instant::now();
        worker.signal(signal).unwrap();
        let status = worker.ended(Duration::from_secs(20)).await.unwrap();
        longest = longest.max(sent.elapsed());
        assert_eq!(status.code(), Some(0), "signal {number} under load: {status}\n{}", worker.log());
    }
    assert!(firer.ended(Duration::from_secs(60)).await.unwrap().success());
    let mut worker = start_worker(&mut arena).await;
    arena.until_drained(60).await;
    arena.stop(&mut worker).await;
    let (evidence, judgement) = arena.judge(&terms()).await;
    assert_eq!((judgement.counts.faults, judgement.counts.repeats), (0, 0));
    assert!(evidence.records.iter().all(|record| record.lost_count == 0));
    Found { judgement, note: format!("6 workers ended with code 0, the slowest after {longest:.0?}") }
}

async fn fire_long(arena: &mut Arena, first: u64, mix: Mix, millis: u64) {
    let plan = FirePlan { mix, handler_ms: millis, ..FirePlan::of(2, first) };
    let mut firer = arena.start(Role::Fire(plan)).await;
    assert!(firer.ended(Duration::from_secs(20)).await.unwrap().success(), "{}", firer.log());
}

pub(crate) async fn a_second_signal_ends_it_at_once(mut arena: Arena) -> Found {
    let mut longest = Duration::ZERO;
    for round in 0..3 {
        let mut worker = start_worker(&mut arena).await;
        fire_long(&mut arena, round as u64 * 10, Mix { stubborn: 1, ..Mix::default() }, 1500).await;
        arena.until("a handler runs", 20, |arena| arena.ledger(&worker).starts() > 0).await;
        worker.signal(SIGNALS[round].0).unwrap();
        arena.until("the first signal was taken", 10, |_| worker.log().contains("shutting down")).await;
        assert!(worker.lives().unwrap(), "the handlers still run");
        let (second, number) = SIGNALS[(round + 1) % 3];
        let (from, sent) = (tests::crash::Moment::now(), Instant::now());
        worker.signal(second).unwrap();
        let status = worker.ended(Duration::from_secs(2)).await.unwrap();
        longest = longest.max(sent.elapsed());
        assert_eq!(status.code(), Some(128 + number), "second signal {number}: {status}");
        arena.fault(&worker, "ended by a second signal", from).await;
    }
    let mut worker = start_worker(&mut arena).await;
    arena.until_drained(60).await;
    arena.stop(&mut worker).await;
    // Jobs that were lost run one at a time, so that the last of them waits for the others.
    let (_, judgement) = arena.judge(&recovery(&arena)).await;
    Found { judgement, note: format!("3 workers ended with 128 + n, the slowest after {longest:.0?}") }
}

pub(crate) async fn handlers_that_outlast_the_grace_burn_no_attempt(mut arena: Arena) -> Found {
    let plan = WorkPlan { grace: Duration::from_millis(300), ..WorkPlan::default() };
    let mut worker = arena.start(Role::Work(plan)).await;
    fire_long(&mut arena, 0, Mix { held: 1, ..Mix::default() }, 60_000).await;
    fire_long(&mut arena, 10, Mix { stubborn: 1, ..Mix::default() }, 60_000).await;
    arena.until("all handlers run", 20, |arena| arena.ledger(&worker).starts() == 4).await;
    let from = tests::crash::Moment::now();
    let sent = Instant::now();
    arena.stop(&mut worker).await;
    let took = sent.elapsed();
    arena.fault(&worker, "out of grace", from).await;
    assert!(took >= Duration::from_secs(5), "handlers have five seconds beyond the grace: {took:?}");
    let told =
        arena.ledger(&worker).count(|event| matches!(event, Event::Ended { outcome: Outcome::Stopped, .. }));
    assert_eq!(told, 2, "two handlers heeded that they should stop");
    let left = arena.queue().list(JobFilter::default()).await.unwrap();
    for job in &left {
        assert_eq!((job.state, job.attempt), (JobState::Available, 0), "an attempt was burnt: {job:?}");
        assert!(job.errors.is_empty() && job.lost_count == 0, "{job:?}");
    }
    arena.queue().cancel(left.iter().map(|job| job.id).collect(), "the test is over".into()).await.unwrap();
    let (_, judgement) = arena.judge(&terms()).await;
    Found { judgement, note: format!("ended after {took:.1?}") }
}
