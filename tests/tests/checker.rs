//! The crash tests' checker can fail: ledgers and stores made up so that one invariant is broken, and no other.

use std::collections::BTreeMap;
use std::sync::Arc;

use extensions::job::{
    AttemptError, ErrorKind, FireId, HandlerKey, JobId, JobMeta, JobRecord, JobState, NewJob, Payload,
    UniqueKey, UniqueLock, UniqueUntil,
};
use extensions::queue::{Memory, QueueBackend, Settle, Settlement};
use extensions::time::{Timestamp, secs};
use tests::crash::{Entry, Event, Evidence, Invariant, Ledger, Moment, Outcome, RunId, Terms, judge};
use tests::kit::{claim_request, new_job};

/// The moment and the wall-clock time of the scene's millisecond `ms`.
fn at(ms: u64, event: Event) -> Entry {
    Entry { at: Moment(ms * 1000), wall: wall(ms), event }
}

fn wall(ms: u64) -> Timestamp {
    Timestamp::from_millis(1_000_000 + i64::try_from(ms).unwrap())
}

/// A run as it should be, to be spoilt.
#[derive(Clone, Default)]
struct Scene {
    ledgers: BTreeMap<&'static str, Vec<Entry>>,
    jobs: Vec<JobRecord>,
    keys_left: Vec<UniqueKey>,
}

impl Scene {
    fn write(&mut self, process: &'static str, ms: u64, event: Event) {
        self.ledgers.entry(process).or_default().push(at(ms, event));
    }

    /// A fire at 0 ms, answered with its jobs.
    fn fire(&mut self, number: u64, jobs: usize, answer: Option<&[usize]>) {
        self.write("app", 0, Event::Firing { fire: number, jobs: Some(jobs) });
        if let Some(queued) = answer {
            let queued = queued.iter().map(|job| self.jobs[*job].id).collect();
            self.write("app", 1, Event::Answered { fire: number, queued, duplicates: Vec::new() });
        }
    }

    fn job(&mut self, fire: u64, handler: &str, state: JobState, ended: u64) -> usize {
        let payload = format!("{{\"fire\":{fire}}}");
        let record = JobRecord {
            id: JobId::new(),
            state,
            handler: HandlerKey::from(handler),
            point_version: 1,
            payload: Payload::from(payload.into_bytes()),
            queue: "default".into(),
            priority: 5,
            attempt: 1,
            max_attempts: 2,
            lost_count: 0,
            run_at: wall(0),
            enqueued_at: wall(0),
            entered: BTreeMap::from([(state, wall(ended))]),
            errors: Vec::new(),
            reason: None,
            unique: None,
            worker: None,
            progress: None,
            owes_on_failure: false,
            result: None,
            meta: JobMeta::new(FireId::new()),
        };
        self.jobs.push(record);
        self.jobs.len() - 1
    }

    fn run(
        &mut self,
        process: &'static str,
        id: &str,
        job: usize,
        attempt: u32,
        from: u64,
        end: Option<(u64, Outcome)>,
    ) {
        let (run, record) = (RunId(id.to_owned()), &self.jobs[job]);
        let (job, handler) = (record.id, record.handler.clone());
        self.write(process, from, Event::Started { run: run.clone(), job, handler, attempt });
        if let Some((ms, outcome)) = end {
            self.write(process, ms, Event::Ended { run, outcome });
        }
    }

    fn error(&mut self, job: usize, attempt: u32, run: &str) {
        let message = RunId(run.to_owned()).error();
        let error =
            AttemptError { attempt, at: wall(0), kind: ErrorKind::Failed, message, worker: None, took: None };
        self.jobs[job].errors.push(error);
    }

    fn fault(&mut self, process: &str, from: u64, to: u64) {
        let (process, from) = (process.to_owned(), Moment(from * 1000));
        self.write("harness", to, Event::Fault { process, what: "killed".to_owned(), from });
    }

    fn entries(&mut self, process: &'static str) -> &mut Vec<Entry> {
        self.ledgers.get_mut(process).unwrap()
    }

    fn broken(self) -> Vec<Invariant> {
        let ledgers: Vec<_> =
            self.ledgers.into_iter().map(|(process, entries)| Ledger::of(process, entries)).collect();
        let evidence = Evidence {
            book: tests::crash::Book::of(&ledgers),
            records: self.jobs,
            keys_left: self.keys_left,
        };
        judge(&evidence, &Terms::recovery_within(secs(7))).broken()
    }
}

const PLAIN: usize = 0;
const DEAD: usize = 1;
const REPEATED: usize = 2;
const FIRST_OF_KEY: usize = 3;
const NEXT_OF_KEY: usize = 4;

/// Worker `a` is killed at 100 ms over one job, which `b` runs again; another job dies of two failures; two jobs have
/// one key, one after the other.
fn sound() -> Scene {
    let mut scene = Scene::default();
    scene.job(1, "Ordered/quick", JobState::Completed, 25);
    scene.job(1, "Charged/doomed", JobState::Dead, 60);
    scene.job(2, "Ordered/slow", JobState::Completed, 1200);
    scene.job(3, "Reindexed/reindex", JobState::Completed, 320);
    scene.job(4, "Reindexed/reindex", JobState::Completed, 420);
    scene.jobs[FIRST_OF_KEY].unique = Some("key".into());
    scene.jobs[NEXT_OF_KEY].unique = Some("key".into());
    scene.jobs[NEXT_OF_KEY].enqueued_at = wall(330);
    scene.fire(1, 2, Some(&[PLAIN, DEAD]));
    scene.fire(2, 1, Some(&[REPEATED]));
    scene.fire(3, 1, Some(&[FIRST_OF_KEY]));
    scene.fire(4, 1, Some(&[NEXT_OF_KEY]));
    scene.run("b", "b:0", PLAIN, 1, 10, Some((20, Outcome::Done)));
    scene.run("b", "b:1", DEAD, 1, 10, Some((20, Outcome::Failed)));
    scene.run("b", "b:2", DEAD, 2, 40, Some((50, Outcome::Failed)));
    scene.error(DEAD, 1, "b:1");
    scene.error(DEAD, 2, "b:2");
    let told = scene.jobs[DEAD].id;
    scene.write("b", 70, Event::ToldOfFailure { job: told });
    scene.run("a", "a:0", REPEATED, 1, 90, None);
    scene.fault("a", 100, 102);
    scene.run("b", "b:3", REPEATED, 1, 1100, Some((1190, Outcome::Done)));
    scene.run("b", "b:4", FIRST_OF_KEY, 1, 300, Some((310, Outcome::Done)));
    scene.run("b", "b:5", NEXT_OF_KEY, 1, 400, Some((410, Outcome::Done)));
    scene
}

#[track_caller]
fn breaks(invariant: Invariant, spoil: impl FnOnce(&mut Scene)) {
    let mut scene = sound();
    spoil(&mut scene);
    assert_eq!(scene.broken(), [invariant]);
}

#[test]
fn a_sound_run_breaks_nothing() {
    assert_eq!(sound().broken(), []);
}

#[test]
fn i1_breaks_where_an_accepted_job_has_vanished() {
    breaks(Invariant::I1, |scene| drop(scene.jobs.remove(PLAIN)));
}

#[test]
fn i1_breaks_where_a_job_is_completed_without_having_run() {
    breaks(Invariant::I1, |scene| {
        scene.job(9, "Ordered/quick", JobState::Completed, 10);
        scene.fire(9, 1, Some(&[5]));
    });
}

#[test]
fn i1_breaks_where_a_fire_that_was_cut_off_left_half_its_jobs() {
    breaks(Invariant::I1, |scene| {
        scene.job(9, "Ordered/quick", JobState::Available, 10);
        scene.fire(9, 3, None);
    });
}

#[test]
fn all_jobs_of_a_fire_that_was_cut_off_or_none_are_fine() {
    let mut scene = sound();
    scene.fire(9, 2, None);
    assert_eq!(scene.clone().broken(), []);
    scene.job(9, "Ordered/quick", JobState::Available, 10);
    scene.job(9, "Ordered/slow", JobState::Available, 10);
    assert_eq!(scene.broken(), []);
}

#[test]
fn i2_breaks_where_a_job_is_stored_that_nobody_fired() {
    breaks(Invariant::I2, |scene| {
        scene.job(99, "Ordered/quick", JobState::Available, 10);
    });
}

#[test]
fn i2_breaks_where_a_handler_ran_for_a_job_that_is_nowhere() {
    breaks(Invariant::I2, |scene| {
        scene.job(99, "Ordered/quick", JobState::Completed, 30);
        scene.run("b", "b:9", 5, 1, 10, Some((20, Outcome::Done)));
        scene.jobs.pop();
    });
}

#[test]
fn i2_breaks_where_a_fire_left_jobs_that_never_came_to_its_push() {
    breaks(Invariant::I2, |scene| {
        scene.job(9, "Ordered/quick", JobState::Available, 10);
        scene.fire(9, 1, None);
        scene.write("app", 1, Event::AtMarker { fire: 9 });
    });
}

#[test]
fn i3_breaks_where_a_job_ran_twice_and_nothing_happened() {
    breaks(Invariant::I3, |scene| {
        scene.jobs[PLAIN].entered.insert(JobState::Completed, wall(45));
        scene.run("b", "b:9", PLAIN, 1, 30, Some((40, Outcome::Done)));
    });
}

#[test]
fn i3_breaks_where_a_settled_run_was_repeated_after_a_later_fault() {
    breaks(Invariant::I3, |scene| {
        scene.fault("b", 20_000, 20_001);
        scene.jobs[PLAIN].entered.insert(JobState::Completed, wall(20_025));
        scene.run("c", "c:0", PLAIN, 1, 20_010, Some((20_020, Outcome::Done)));
    });
}

#[test]
fn i3_breaks_where_an_attempt_was_burnt() {
    breaks(Invariant::I3, |scene| {
        for entry in scene.entries("b") {
            match &mut entry.event {
                Event::Started { run, attempt, .. } if run.0 == "b:0" => *attempt = 2,
                _ => {}
            }
        }
    });
}

#[test]
fn i4_breaks_where_a_stale_owners_error_was_kept() {
    breaks(Invariant::I4, |scene| {
        scene.error(REPEATED, 1, "a:0");
    });
}

#[test]
fn i4_breaks_where_a_job_was_completed_while_its_owner_still_ran() {
    breaks(Invariant::I4, |scene| {
        scene.jobs[REPEATED].entered.insert(JobState::Completed, wall(1150));
    });
}

#[test]
fn i4_breaks_where_a_stale_owner_completed_it_again() {
    breaks(Invariant::I4, |scene| {
        scene.write("a", 8000, Event::Ended { run: RunId("a:0".into()), outcome: Outcome::Done });
        scene.jobs[REPEATED].entered.insert(JobState::Completed, wall(8010));
    });
}

#[test]
fn i5_breaks_where_two_jobs_held_a_key_at_once() {
    breaks(Invariant::I5, |scene| scene.jobs[NEXT_OF_KEY].enqueued_at = wall(315));
}

#[test]
fn i5_breaks_where_runs_of_a_key_overlap() {
    breaks(Invariant::I5, |scene| {
        for entry in scene.entries("b") {
            match &entry.event {
                Event::Started { run, .. } if run.0 == "b:5" => entry.at = Moment(305_000),
                _ => {}
            }
        }
    });
}

#[test]
fn i5_breaks_where_a_key_was_left_behind() {
    breaks(Invariant::I5, |scene| scene.keys_left.push("key".into()));
}

#[test]
fn i6_breaks_where_on_failure_was_not_called() {
    breaks(Invariant::I6, |scene| {
        scene.entries("b").retain(|entry| !matches!(entry.event, Event::ToldOfFailure { .. }));
    });
}

#[test]
fn i6_breaks_where_on_failure_was_called_for_a_job_that_did_well() {
    breaks(Invariant::I6, |scene| {
        let job = scene.jobs[PLAIN].id;
        scene.write("b", 70, Event::ToldOfFailure { job });
    });
}

#[test]
fn i6_breaks_where_a_call_is_still_owed() {
    breaks(Invariant::I6, |scene| scene.jobs[DEAD].owes_on_failure = true);
}

/// The repeated job is taken up again 8 s later than in the sound run.
fn delay(scene: &mut Scene) {
    for entry in scene.entries("b") {
        match &entry.event {
            Event::Started { run, .. } | Event::Ended { run, .. } if run.0 == "b:3" => {
                (entry.at, entry.wall) = (Moment(entry.at.0 + 8_000_000), wall(9_190));
            }
            _ => {}
        }
    }
    scene.jobs[REPEATED].entered.insert(JobState::Completed, wall(9_200));
}

#[test]
fn i7_breaks_where_a_job_was_taken_up_too_late() {
    breaks(Invariant::I7, delay);
}

#[test]
fn a_job_may_be_late_where_the_next_worker_died_too_and_not_where_the_application_did() {
    let mut scene = sound();
    delay(&mut scene);
    scene.fault("b", 3_000, 3_001);
    assert_eq!(scene.broken(), []);
    breaks(Invariant::I7, |scene| {
        delay(scene);
        scene.fault("app", 3_000, 3_001);
    });
}

#[test]
fn i7_breaks_where_a_job_is_late_after_the_third_loss() {
    breaks(Invariant::I7, |scene| {
        delay(scene);
        for ms in [110, 120, 3_000] {
            scene.fault("b", ms, ms + 1);
        }
    });
}

#[test]
fn i7_breaks_where_a_job_was_never_taken_up_again() {
    breaks(Invariant::I7, |scene| {
        let of_the_repeat = |event: &Event| matches!(event, Event::Started { run, .. } | Event::Ended { run, .. } if run.0 == "b:3");
        scene.entries("b").retain(|entry| !of_the_repeat(&entry.event));
        scene.jobs[REPEATED].state = JobState::Running;
    });
}

#[test]
fn i7_breaks_where_nothing_ran_for_too_long_though_jobs_waited() {
    breaks(Invariant::I7, |scene| {
        scene.fault("app", 2000, 2001);
        scene.job(9, "Ordered/quick", JobState::Completed, 20_025);
        scene.fire(9, 1, Some(&[5]));
        scene.run("b", "b:9", 5, 1, 20_010, Some((20_020, Outcome::Done)));
    });
}

#[test]
fn i8_breaks_where_a_dead_or_cancelled_or_quarantined_job_does_not_say_why() {
    for state in [JobState::Dead, JobState::Cancelled, JobState::Quarantined, JobState::Retryable] {
        breaks(Invariant::I8, |scene| {
            scene.job(9, "Ordered/quick", state, 10);
            scene.fire(9, 1, Some(&[5]));
        });
    }
}

fn keyed(key: &str) -> NewJob {
    NewJob {
        unique: Some(UniqueLock { key: key.into(), ttl: None, until: UniqueUntil::End }),
        ..new_job("Reindexed/reindex", "{}")
    }
}

#[tokio::test]
async fn a_store_is_asked_for_keys_of_ended_jobs_only_and_left_as_it_was() {
    let queue: Arc<dyn QueueBackend> = Arc::new(Memory::new());
    queue.push([keyed("ends"), keyed("waits")].into()).await.unwrap();
    let claimed = queue.reserve(claim_request("Reindexed/reindex", 1)).await.unwrap().jobs.remove(0);
    let end = Settle::complete(true);
    queue.settle(vec![Settlement { job: claimed.id, token: claimed.token, end }]).await.unwrap();
    for _ in 0..2 {
        let evidence = Evidence::gather(&[], &queue).await.unwrap();
        assert_eq!((evidence.records.len(), evidence.keys_left.len()), (2, 0));
    }
}
