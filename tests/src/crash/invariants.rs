//! The invariants of `reliability.md`, each as a function of what a run left.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use extensions::job::{ErrorKind, JobId, JobRecord, JobState, UniqueKey};
use extensions::time::Timestamp;
use serde::Deserialize;

use super::{
    Answer, Counts, Evidence, Fault, Invariant, Judgement, Moment, Outcome, Run, STORE, Terms, Verdict,
};

/// Holds what a run left against every invariant.
#[must_use]
pub fn judge(evidence: &Evidence, terms: &Terms) -> Judgement {
    let case = Case::new(evidence, terms);
    let verdicts = vec![
        case.nothing_lost(),
        case.nothing_invented(),
        case.bounded_repetition(),
        case.no_stale_settlement(),
        case.uniqueness(),
        case.callbacks(),
        case.recovery(),
        case.no_silent_end(),
    ];
    Judgement { verdicts, counts: case.counts() }
}

struct Case<'a> {
    evidence: &'a Evidence,
    terms: &'a Terms,
    records: HashMap<JobId, &'a JobRecord>,
    runs: BTreeMap<JobId, Vec<&'a Run>>,
    /// How long after its handler's end a run may not have been settled.
    settling: Duration,
}

/// How much longer than the longest settlement that was seen one may take that nobody saw the end of.
const UNSEEN: Duration = Duration::from_millis(500);

/// How many workers may lose a job before it is quarantined.
const LOSSES: u32 = 3;

impl<'a> Case<'a> {
    fn new(evidence: &'a Evidence, terms: &'a Terms) -> Self {
        let records = evidence.records.iter().map(|record| (record.id, record)).collect();
        let mut case = Self { evidence, terms, records, runs: evidence.book.runs_by_job(), settling: UNSEEN };
        case.settling = (case.longest_settlement() + UNSEEN).min(terms.settling);
        if terms.may_lose {
            case.settling = terms.settling;
        }
        case
    }

    /// The longest time from the end of a job's last run to the job's completion.
    fn longest_settlement(&self) -> Duration {
        let took = self.evidence.records.iter().filter_map(|record| {
            let completed = record.entered.get(&JobState::Completed)?;
            let end = self.runs_of(record.id).last()?.ended?;
            Some(completed.since(end.wall))
        });
        took.max().unwrap_or_default()
    }

    /// I1: what `fire` reported as queued is there; a job that shows as completed did its work; a fire that was cut off queued
    /// all its jobs or none.
    fn nothing_lost(&self) -> Verdict {
        let accepted = self.evidence.book.accepted();
        let (mut broken, mut lost) = (Vec::new(), 0);
        for id in &accepted {
            match self.records.get(id) {
                None if self.terms.may_lose => lost += 1,
                None => broken.push(format!("job {id} was accepted and has vanished")),
                Some(record) if record.state == JobState::Completed && !self.was_done(*id) => {
                    broken.push(format!(
                        "job {id} of {} is completed, and no run of it was done",
                        record.handler
                    ));
                }
                Some(_) => {}
            }
        }
        let (cut, halves) = self.half_fires();
        broken.extend(halves);
        let mut detail = format!("{} jobs accepted, {cut} fires cut off", accepted.len());
        if self.terms.may_lose {
            detail.push_str(&format!(", {lost} lost, as documented of this persistence"));
        }
        Verdict::of(Invariant::I1, detail, broken)
    }

    fn was_done(&self, job: JobId) -> bool {
        self.runs_of(job).iter().any(|run| self.is_done(run))
    }

    /// A run that outlived its time is done where a fault kept its worker from giving it up before it returned.
    fn is_done(&self, run: &Run) -> bool {
        match run.outcome() {
            Some(Outcome::Outlived) => self.fault_of(run).is_some(),
            outcome => outcome == Some(Outcome::Done),
        }
    }

    fn runs_of(&self, job: JobId) -> &[&'a Run] {
        self.runs.get(&job).map_or(&[], Vec::as_slice)
    }

    fn half_fires(&self) -> (usize, Vec<String>) {
        let mut stored = BTreeMap::<u64, usize>::new();
        for fire in self.evidence.records.iter().filter_map(fire_of) {
            *stored.entry(fire).or_default() += 1;
        }
        let cut = self.evidence.book.fires.iter().filter(|(_, fire)| fire.answer == Answer::None);
        let mut halves = Vec::new();
        for (number, fire) in cut.clone() {
            let found = stored.get(number).copied().unwrap_or(0);
            if fire.jobs.is_some_and(|jobs| found != 0 && found != jobs) {
                halves.push(format!("fire {number} was cut off and left {found} of {:?} jobs", fire.jobs));
            }
        }
        (cut.count(), halves)
    }

    /// I2: nothing ran, and nothing is stored, that was not fired.
    fn nothing_invented(&self) -> Verdict {
        let book = &self.evidence.book;
        let accepted = book.accepted();
        let may_be_queued = |record: &JobRecord| {
            let fire = fire_of(record).and_then(|fire| book.fires.get(&fire));
            fire.is_some_and(|fire| fire.answer == Answer::None && !fire.at_marker)
        };
        let mut broken = Vec::new();
        for record in &self.evidence.records {
            if !accepted.contains(&record.id) && !may_be_queued(record) {
                broken
                    .push(format!("job {} of {} is stored and was never queued", record.id, record.handler));
            }
        }
        for run in &book.runs {
            if !accepted.contains(&run.job) && !self.records.contains_key(&run.job) {
                broken.push(format!("run {} was for job {}, which was never queued", run.id, run.job));
            }
        }
        let at_marker = book.fires.values().filter(|fire| fire.at_marker).count();
        let detail = format!("{} runs, {at_marker} fires cut off before their push", book.runs.len());
        Verdict::of(Invariant::I2, detail, broken)
    }

    /// I3: every run but the last of an attempt was hit by a fault; an attempt is counted only if the one before failed.
    fn bounded_repetition(&self) -> Verdict {
        let mut broken = Vec::new();
        for (job, runs) in &self.runs {
            for attempt in attempts(runs) {
                let same: Vec<_> = runs.iter().filter(|run| run.attempt == attempt).collect();
                for early in same.iter().rev().skip(1).filter(|run| self.fault_of(run).is_none()) {
                    broken.push(format!(
                        "job {job} ran attempt {attempt} {} times, and nothing happened to run {}",
                        same.len(),
                        early.id
                    ));
                }
                if attempt > 1 && !failed(runs, attempt - 1) && !self.timed_out(*job, attempt - 1) {
                    broken.push(format!(
                        "job {job} ran attempt {attempt}, and attempt {} had not failed",
                        attempt - 1
                    ));
                }
            }
        }
        let Counts { repeats, in_flight, .. } = self.counts();
        Verdict::of(
            Invariant::I3,
            format!(
                "{repeats} runs repeated, {in_flight} in flight at faults, settlements in {:.0?}",
                self.settling
            ),
            broken,
        )
    }

    /// Whether the store says that an attempt's time was up, which its handler cannot know.
    fn timed_out(&self, job: JobId, attempt: u32) -> bool {
        let errors = self.records.get(&job).map_or(&[][..], |record| &record.errors);
        errors.iter().any(|error| error.attempt == attempt && error.kind == ErrorKind::TimedOut)
    }

    /// The fault that hit a run while it ran or was being settled.
    fn fault_of(&self, run: &Run) -> Option<&'a Fault> {
        let settled = run.ended.map_or(Moment(u64::MAX), |end| end.at.after(self.settling));
        let mut faults = self.evidence.book.faults.iter();
        faults.find(|fault| fault.hits(&run.process) && run.started <= fault.to && fault.from <= settled)
    }

    /// I4: what the store says of an attempt was said by the last run of it.
    fn no_stale_settlement(&self) -> Verdict {
        let (mut broken, mut stale) = (Vec::new(), 0);
        for record in &self.evidence.records {
            let runs = self.runs_of(record.id);
            stale += runs.iter().filter(|run| run.ended.is_some() && is_stale(run, runs)).count();
            broken.extend(stale_errors(record, runs));
            if record.state == JobState::Completed && !self.terms.clock_jumps {
                broken.extend(self.stale_completion(record, runs));
            }
        }
        Verdict::of(Invariant::I4, format!("{stale} stale owners ended their run"), broken)
    }

    fn stale_completion(&self, record: &JobRecord, runs: &[&Run]) -> Option<String> {
        let completed = *record.entered.get(&JobState::Completed)?;
        let last = runs.last()?;
        let id = record.id;
        let Some(end) = last.ended.filter(|end| self.is_done(last) && end.wall <= completed) else {
            return Some(format!("job {id} was completed, and not by run {}, which had the claim", last.id));
        };
        let later =
            |run: &&&Run| run.ended.is_some_and(|late| late.wall > end.wall && late.wall <= completed);
        let stale = runs.iter().filter(|run| run.id != last.id).find(later)?;
        let too_late = completed.since(end.wall) > self.terms.settling;
        too_late.then(|| format!("job {id} was completed again by run {}, whose claim was over", stale.id))
    }

    /// I5: the lives of jobs with one key do not overlap, nor do their runs; no key is left.
    fn uniqueness(&self) -> Verdict {
        let mut by_key = BTreeMap::<&UniqueKey, Vec<&JobRecord>>::new();
        for record in &self.evidence.records {
            if let Some(key) = &record.unique {
                by_key.entry(key).or_default().push(record);
            }
        }
        let keys = by_key.len();
        let mut broken = Vec::new();
        for (key, mut jobs) in by_key {
            jobs.sort_by_key(|job| (job.enqueued_at, life_end(job)));
            for pair in jobs.windows(2).filter(|_| !self.terms.clock_jumps) {
                if life_end(pair[0]) > pair[1].enqueued_at {
                    broken.push(format!("jobs {} and {} held the key {key} at once", pair[0].id, pair[1].id));
                }
            }
            broken.extend(self.overlapping_runs(key, &jobs));
        }
        broken.extend(self.evidence.keys_left.iter().map(|key| format!("the key {key} was left behind")));
        broken.extend(self.unknown_holders());
        Verdict::of(Invariant::I5, format!("{keys} keys"), broken)
    }

    fn overlapping_runs(&self, key: &UniqueKey, jobs: &[&JobRecord]) -> Vec<String> {
        let runs =
            jobs.iter().flat_map(|job| self.runs_of(job.id)).filter(|run| self.fault_of(run).is_none());
        let mut runs: Vec<_> = runs.collect();
        runs.sort_by_key(|run| run.started);
        let overlap = |pair: &&[&&Run]| {
            let end = pair[0].ended.map_or(Moment(u64::MAX), |end| end.at);
            pair[0].job != pair[1].job && end > pair[1].started
        };
        let overlaps = runs.windows(2).filter(overlap);
        overlaps
            .map(|pair| format!("runs {} and {} of the key {key} overlap", pair[0].id, pair[1].id))
            .collect()
    }

    fn unknown_holders(&self) -> Vec<String> {
        let mut unknown = Vec::new();
        for (number, fire) in &self.evidence.book.fires {
            let Answer::Queued { duplicates, .. } = &fire.answer else { continue };
            let gone = duplicates.iter().filter(|holder| !self.records.contains_key(holder));
            let gone = gone.filter(|_| !self.terms.may_lose);
            unknown.extend(
                gone.map(|holder| format!("fire {number} was told of the holder {holder}, which is unknown")),
            );
        }
        unknown
    }

    /// I6: `on_failure` was called for what is dead or quarantined, and for nothing else.
    fn callbacks(&self) -> Verdict {
        let told: BTreeSet<_> = self.evidence.book.told.iter().copied().collect();
        let (mut broken, mut owed) = (Vec::new(), 0);
        for record in self.evidence.records.iter().filter(|record| self.terms.tell.contains(&record.handler))
        {
            let decodes = record.errors.last().is_none_or(|error| error.kind != ErrorKind::Undecodable);
            if is_failure(record) && decodes {
                owed += 1;
                if !told.contains(&record.id) {
                    broken.push(format!(
                        "job {} is {} and `on_failure` was not called",
                        record.id, record.state
                    ));
                }
                if record.owes_on_failure {
                    broken.push(format!("job {} still owes `on_failure`", record.id));
                }
            }
        }
        for job in &told {
            let such = self
                .records
                .get(job)
                .filter(|record| is_failure(record) && self.terms.tell.contains(&record.handler));
            let may_be_lost = self.terms.may_lose && !self.records.contains_key(job);
            if such.is_none() && !may_be_lost {
                let state = self.records.get(job).map_or("unknown", |record| record.state.as_str());
                broken.push(format!("`on_failure` was called for job {job}, which is {state}"));
            }
        }
        let calls = self.evidence.book.told.len();
        Verdict::of(Invariant::I6, format!("{owed} jobs owed a call, {calls} calls"), broken)
    }

    /// I7: what a fault hit was taken up again in time, and other work went on. A worker that claims a job and dies before it starts it
    /// leaves no trace in the ledgers: its time begins anew with each loss that falls into it.
    fn recovery(&self) -> Verdict {
        let mut broken = Vec::new();
        for run in &self.evidence.book.runs {
            let Some(fault) = self.fault_of(run) else { continue };
            match self.next_run(run) {
                Some(next) if next.started.since(fault.from) > self.allowed(fault, LOSSES) => {
                    broken.push(format!(
                        "job {} was taken up again {:.2?} after {} was {}",
                        run.job,
                        next.started.since(fault.from),
                        fault.process,
                        fault.what
                    ))
                }
                None if self.is_stuck(run) => broken.push(format!(
                    "job {} was never taken up again after {} was {}",
                    run.job, fault.process, fault.what
                )),
                _ => {}
            }
        }
        broken.extend(self.evidence.book.faults.iter().filter_map(|fault| self.silence(fault)));
        let counts = self.counts();
        let detail = format!("{} faults, longest recovery {:.2?}", counts.faults, counts.recovery_longest);
        Verdict::of(Invariant::I7, detail, broken)
    }

    /// How long after a fault's begin recovery may take: the promised time after it is over, and after what happened meanwhile to the
    /// store, and to so many of the workers in all, is over too.
    fn allowed(&self, fault: &Fault, mut losses: u32) -> Duration {
        let mut over = fault.to;
        for later in &self.evidence.book.faults {
            if later.from > over.after(self.terms.recovery) {
                break;
            }
            if later.process == STORE {
                over = over.max(later.to);
            } else if losses > 1 && later.from > fault.from && self.is_worker(&later.process) {
                losses -= 1;
                over = over.max(later.to);
            }
        }
        over.since(fault.from) + self.terms.recovery
    }

    fn is_worker(&self, process: &str) -> bool {
        self.evidence.book.runs.iter().any(|run| run.process == process)
    }

    fn next_run(&self, run: &Run) -> Option<&'a Run> {
        let mut same = self.runs_of(run.job).iter().filter(|other| other.attempt == run.attempt);
        same.find(|other| other.started > run.started).copied()
    }

    fn is_stuck(&self, run: &Run) -> bool {
        let went_on = self.runs_of(run.job).iter().any(|other| other.attempt > run.attempt);
        !went_on && self.records.get(&run.job).is_some_and(|record| !record.state.is_final())
    }

    /// Whether nothing at all ran for too long after a fault though something waited.
    fn silence(&self, fault: &Fault) -> Option<String> {
        let waiting = self.evidence.records.iter().any(|record| {
            record.enqueued_at < fault.wall
                && self.has_a_run_after(record, fault)
                && life_end(record) > fault.wall
        });
        let next = self.evidence.book.runs.iter().find(|run| run.started > fault.from)?;
        let silent = next.started.since(fault.from);
        (waiting && silent > self.allowed(fault, 1))
            .then(|| format!("nothing ran for {silent:.2?} after {} was {}", fault.process, fault.what))
    }

    fn has_a_run_after(&self, record: &JobRecord, fault: &Fault) -> bool {
        self.runs_of(record.id).iter().any(|run| run.started > fault.from)
    }

    /// I8: what did not complete says why.
    fn no_silent_end(&self) -> Verdict {
        let (mut broken, mut unhappy) = (Vec::new(), 0);
        for record in self.evidence.records.iter().filter(|record| record.state != JobState::Completed) {
            unhappy += 1;
            if !says_why(record) {
                broken.push(format!(
                    "job {} of {} is {} and does not say why",
                    record.id, record.handler, record.state
                ));
            }
        }
        Verdict::of(Invariant::I8, format!("{unhappy} jobs not completed"), broken)
    }

    fn counts(&self) -> Counts {
        let book = &self.evidence.book;
        let repeats = self.runs.values().map(|runs| runs.len() - attempts(runs).len()).sum();
        let mut recoveries: Vec<Duration> = Vec::new();
        let mut in_flight = 0;
        for run in &book.runs {
            let Some(fault) = self.fault_of(run) else { continue };
            in_flight += 1;
            recoveries.extend(self.next_run(run).map(|next| next.started.since(fault.from)));
        }
        recoveries.sort();
        Counts {
            fires: book.fires.len(),
            jobs: self.evidence.records.len(),
            runs: book.runs.len(),
            repeats,
            in_flight,
            faults: book.faults.len(),
            recovery_median: recoveries.get(recoveries.len() / 2).copied(),
            recovery_longest: recoveries.last().copied(),
        }
    }
}

/// The number of the fire that a job's payload names.
pub(super) fn fire_of(record: &JobRecord) -> Option<u64> {
    #[derive(Deserialize)]
    struct Numbered {
        fire: u64,
    }
    serde_json::from_slice::<Numbered>(record.payload.as_bytes()).ok().map(|numbered| numbered.fire)
}

fn attempts(runs: &[&Run]) -> BTreeSet<u32> {
    runs.iter().map(|run| run.attempt).collect()
}

fn failed(runs: &[&Run], attempt: u32) -> bool {
    runs.iter().any(|run| run.attempt == attempt && run.outcome() == Some(Outcome::Failed))
}

/// Whether the attempt was claimed again after this run.
fn is_stale(run: &Run, runs: &[&Run]) -> bool {
    runs.iter().any(|other| other.attempt == run.attempt && other.started > run.started)
}

fn stale_errors(record: &JobRecord, runs: &[&Run]) -> Vec<String> {
    let mut broken = Vec::new();
    for pair in record.errors.windows(2).filter(|pair| pair[0].attempt >= pair[1].attempt) {
        if pair.iter().all(|error| RunError::is(error.kind)) {
            broken.push(format!("job {} keeps two errors of attempt {}", record.id, pair[1].attempt));
        }
    }
    for error in &record.errors {
        let Some(of) = super::RunId::of_error(&error.message) else { continue };
        match runs.iter().find(|run| run.id == of) {
            Some(run) if is_stale(run, runs) => {
                broken.push(format!("job {} keeps the error of run {of}, whose claim was over", record.id));
            }
            Some(_) => {}
            None => {
                broken.push(format!("job {} keeps the error of run {of}, which was not its own", record.id))
            }
        }
    }
    broken
}

/// Errors that handlers return, unlike those that a store adds.
struct RunError;

impl RunError {
    const fn is(kind: ErrorKind) -> bool {
        matches!(
            kind,
            ErrorKind::Failed
                | ErrorKind::Permanent
                | ErrorKind::Missing
                | ErrorKind::Panicked
                | ErrorKind::TimedOut
        )
    }
}

fn life_end(record: &JobRecord) -> Timestamp {
    let end = record.state.is_final().then(|| record.entered.get(&record.state).copied()).flatten();
    end.unwrap_or(Timestamp::from_millis(i64::MAX))
}

const fn is_failure(record: &JobRecord) -> bool {
    matches!(record.state, JobState::Dead | JobState::Quarantined)
}

fn says_why(record: &JobRecord) -> bool {
    match record.state {
        JobState::Dead | JobState::Retryable => {
            record.errors.last().is_some_and(|error| !error.message.is_empty())
        }
        JobState::Quarantined => record.errors.last().is_some_and(|error| error.kind == ErrorKind::Lost),
        JobState::Cancelled => record.reason.as_ref().is_some_and(|reason| !reason.is_empty()),
        JobState::Completed
        | JobState::Available
        | JobState::Running
        | JobState::Scheduled
        | JobState::Unroutable => true,
    }
}
