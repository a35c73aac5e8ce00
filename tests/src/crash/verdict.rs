//! What the checker says.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

/// The invariants of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Invariant {
    /// Nothing lost.
    I1,
    /// Nothing invented.
    I2,
    /// Bounded repetition.
    I3,
    /// No settlement by a stale owner.
    I4,
    /// Uniqueness.
    I5,
    /// Callbacks.
    I6,
    /// Recovery without hands.
    I7,
    /// No silent end.
    I8,
}

/// Whether an invariant held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Which.
    pub invariant: Invariant,
    /// Whether it held.
    pub held: bool,
    /// What was looked at.
    pub detail: String,
    /// Where it broke.
    pub broken: Vec<String>,
}

/// The figures of a run.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Counts {
    /// Fires.
    pub fires: usize,
    /// Jobs in the store.
    pub jobs: usize,
    /// Runs of handlers.
    pub runs: usize,
    /// Runs of an attempt that had run before.
    pub repeats: usize,
    /// Runs that were hit by a fault.
    pub in_flight: usize,
    /// Faults.
    pub faults: usize,
    /// The median time from a fault to the next run of a job that it hit.
    pub recovery_median: Option<Duration>,
    /// The longest such time.
    pub recovery_longest: Option<Duration>,
}

/// All verdicts on a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judgement {
    /// In order of the invariants.
    pub verdicts: Vec<Verdict>,
    /// The figures.
    pub counts: Counts,
}

impl Verdict {
    /// It held unless something broke it.
    #[must_use]
    pub fn of(invariant: Invariant, detail: String, broken: Vec<String>) -> Self {
        Self { invariant, held: broken.is_empty(), detail, broken }
    }
}

impl Judgement {
    /// Whether every invariant held.
    #[must_use]
    pub fn all_held(&self) -> bool {
        self.verdicts.iter().all(|verdict| verdict.held)
    }

    /// The invariants that broke.
    #[must_use]
    pub fn broken(&self) -> Vec<Invariant> {
        self.verdicts.iter().filter(|verdict| !verdict.held).map(|verdict| verdict.invariant).collect()
    }

    /// What broke, with examples.
    #[must_use]
    pub fn complaints(&self) -> String {
        let mut text = String::new();
        for verdict in self.verdicts.iter().filter(|verdict| !verdict.held) {
            text.push_str(&format!("{:?} is broken ({}):\n", verdict.invariant, verdict.detail));
            for example in verdict.broken.iter().take(10) {
                text.push_str(&format!("  {example}\n"));
            }
            if verdict.broken.len() > 10 {
                text.push_str(&format!("  and {} more\n", verdict.broken.len() - 10));
            }
        }
        text
    }
}

/// The cells of a table's row: every invariant, then the figures.
impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for verdict in &self.verdicts {
            let held = if verdict.held { "held" } else { "BROKEN" };
            write!(f, "{:?} {held}  ", verdict.invariant)?;
        }
        let Counts { jobs, runs, repeats, in_flight, faults, .. } = self.counts;
        write!(f, "{jobs} jobs, {runs} runs, {faults} faults, {in_flight} in flight, {repeats} repeated")?;
        if let (Some(median), Some(longest)) = (self.counts.recovery_median, self.counts.recovery_longest) {
            write!(f, ", taken up again after {median:.2?} (median), {longest:.2?} (longest)")?;
        }
        Ok(())
    }
}
