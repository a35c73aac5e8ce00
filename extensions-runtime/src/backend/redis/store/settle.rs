//! Settling, also where the answer to an earlier try was lost.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use redis::Cmd;

use super::super::error::Failure;
use super::connection::{Begun, Repeat};
use super::wire::{Batch, LaneTable, Runs, bounded_millis, error_json};
use super::{Store, answer, script};
use crate::job::{JobId, LeaseToken, WorkerId};
use crate::queue::{Settle, Settled, Settlement};

/// For how long the server remembers what it answered.
const REMEMBERED_FOR: Duration = Duration::from_secs(600);

/// The places in earlier calls, any of which may have taken effect.
#[derive(Debug, Clone)]
struct Doubt {
    places: Vec<(u64, usize)>,
    since: Instant,
}

impl Doubt {
    fn mark(&self) -> String {
        self.places.iter().map(|(call, at)| format!("{call}:{at} ")).collect()
    }
}

/// The settlements of this process that were sent and not answered: each may have taken effect. When one is repeated, it names its
/// earlier calls, and the server looks up what it answered then.
#[derive(Debug)]
pub(super) struct Doubts {
    process: WorkerId,
    calls: AtomicU64,
    open: Mutex<HashMap<(JobId, LeaseToken), Doubt>>,
}

impl Doubts {
    pub(super) fn new() -> Self {
        Self { process: WorkerId::new(), calls: AtomicU64::new(1), open: Mutex::default() }
    }

    fn marks(&self, settlements: &[Settlement]) -> Vec<Option<Doubt>> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.is_empty() {
            return vec![None; settlements.len()];
        }
        settlements.iter().map(|end| open.get(&(end.job, end.token)).cloned()).collect()
    }

    fn remember(&self, call: u64, settlements: &[Settlement]) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, doubt| doubt.since.elapsed() < REMEMBERED_FOR);
        for (at, end) in settlements.iter().enumerate() {
            let doubt = || Doubt { places: Vec::new(), since: Instant::now() };
            open.entry((end.job, end.token)).or_insert_with(doubt).places.push((call, at));
        }
    }

    fn forget(&self, settlements: &[Settlement]) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if !open.is_empty() {
            for end in settlements {
                open.remove(&(end.job, end.token));
            }
        }
    }
}

/// One call that settles.
struct Call {
    number: u64,
    settlements: Vec<Settlement>,
    marks: Vec<Option<Doubt>>,
    follow_ups: Vec<Option<Batch>>,
}

impl Call {
    fn write(&self, process: WorkerId, cmd: &mut Cmd) {
        let mut table = LaneTable::default();
        let places: Vec<_> =
            self.follow_ups.iter().map(|batch| batch.as_ref().map(|batch| table.places(batch))).collect();
        cmd.arg(process.as_bytes().as_slice()).arg(self.number);
        table.write(cmd);
        for (at, end) in self.settlements.iter().enumerate() {
            let runs = self.follow_ups[at].as_ref().zip(places[at].as_deref()).map(|jobs| Runs::of([jobs]));
            write_end(end, self.marks[at].as_ref(), runs.as_ref(), cmd);
        }
    }
}

impl Store {
    /// Begins to settle at once.
    pub(in crate::backend::redis) fn settle(
        self: Arc<Self>,
        settlements: Vec<Settlement>,
    ) -> impl Future<Output = Result<Vec<Settled>, Failure>> + Send + 'static {
        let (call, begun) = self.begin_settling(settlements);
        async move {
            match self.finish_settling(&call, begun).await {
                Err(failure) if may_repeat_at_once(&failure) => {
                    let (call, begun) = self.begin_settling(call.settlements);
                    self.finish_settling(&call, begun).await
                }
                answer => answer,
            }
        }
    }

    fn begin_settling(&self, settlements: Vec<Settlement>) -> (Call, Begun) {
        let call = Call {
            number: self.doubts.calls.fetch_add(1, Ordering::Relaxed),
            marks: self.doubts.marks(&settlements),
            follow_ups: settlements.iter().map(follow_ups).collect(),
            settlements,
        };
        let begun = self.connection.begin(&script::SETTLE, |cmd| call.write(self.doubts.process, cmd));
        (call, begun)
    }

    async fn finish_settling(&self, call: &Call, begun: Begun) -> Result<Vec<Settled>, Failure> {
        let write = |cmd: &mut Cmd| call.write(self.doubts.process, cmd);
        match self.connection.finish(begun, &script::SETTLE, Repeat::No, write).await {
            Ok(letters) => {
                self.doubts.forget(&call.settlements);
                let done = |letter: &u8| if *letter == b'd' { Settled::Done } else { Settled::LeaseLost };
                Ok(answer::bytes(&letters)?.iter().map(done).collect())
            }
            Err(failure) => {
                if failure.ends_connection() && !matches!(failure, Failure::Unsent(_)) {
                    self.doubts.remember(call.number, &call.settlements);
                }
                Err(failure)
            }
        }
    }
}

/// Not where the time-out is over.
fn may_repeat_at_once(failure: &Failure) -> bool {
    failure.ends_connection() && !matches!(failure, Failure::Silent(_) | Failure::Unsent(_))
}

fn follow_ups(settlement: &Settlement) -> Option<Batch> {
    match &settlement.end {
        Settle::Complete { follow_ups, .. } if !follow_ups.is_empty() => Some(Batch::new(follow_ups)),
        _ => None,
    }
}

fn write_end(settlement: &Settlement, doubt: Option<&Doubt>, follow_ups: Option<&Runs<'_>>, cmd: &mut Cmd) {
    let none = Duration::ZERO;
    let (letter, delay, text) = match &settlement.end {
        Settle::Complete { keep: true, result: Some(result), .. } => (b'K', none, result.as_bytes().to_vec()),
        Settle::Complete { keep: true, .. } => (b'k', none, Vec::new()),
        Settle::Complete { keep: false, .. } | Settle::Cancel { keep: false, .. } => (b'z', none, Vec::new()),
        Settle::Retry { delay, error } => (b't', *delay, error_json(error)),
        Settle::Snooze { delay } => (b's', *delay, Vec::new()),
        Settle::Release => (b'r', none, Vec::new()),
        Settle::Cancel { keep: true, reason } => (b'x', none, reason.clone().into_bytes()),
        Settle::Bury { error, owe_on_failure: false } => (b'b', none, error_json(error)),
        Settle::Bury { error, owe_on_failure: true } => (b'o', none, error_json(error)),
        Settle::CallbackDone => (b'c', none, Vec::new()),
    };
    let more = !text.is_empty() || doubt.is_some() || follow_ups.is_some();
    let mut how = [u8::from(more); 32];
    how[..16].copy_from_slice(settlement.job.as_bytes());
    how[16..24].copy_from_slice(&settlement.token.0.to_be_bytes());
    how[24] = letter;
    how[25..31].copy_from_slice(&bounded_millis(delay).to_be_bytes()[2..]);
    cmd.arg(how.as_slice());
    if more {
        let mark = doubt.map(Doubt::mark).unwrap_or_default();
        cmd.arg(text).arg(mark).arg(follow_ups.map_or(0, Runs::arguments));
        if let Some(runs) = follow_ups {
            runs.write(cmd);
        }
    }
}
