//! The states of a job and the legal steps between them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where a job is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// Waits for its time; has not run yet, or was snoozed.
    Scheduled,
    /// May be claimed now.
    Available,
    /// Claimed by a worker under a lease.
    Running,
    /// Waits for its time after a failed attempt.
    Retryable,
    /// Ended well.
    Completed,
    /// Ended without success; kept, visible, retryable by hand.
    Dead,
    /// Ended by a caller or by its handler.
    Cancelled,
    /// Available, but no live worker that serves its queue knows its handler.
    Unroutable,
    /// Ended because worker after worker died over it: three losses that were counted against it.
    Quarantined,
}

impl JobState {
    /// All states, in the order of a job's life.
    pub const ALL: [Self; 9] = [
        Self::Scheduled,
        Self::Available,
        Self::Running,
        Self::Retryable,
        Self::Completed,
        Self::Dead,
        Self::Cancelled,
        Self::Unroutable,
        Self::Quarantined,
    ];

    /// The state's name as stored, logged and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Available => "available",
            Self::Running => "running",
            Self::Retryable => "retryable",
            Self::Completed => "completed",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
            Self::Unroutable => "unroutable",
            Self::Quarantined => "quarantined",
        }
    }

    /// Whether the job has ended: it will not run again by itself.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Dead | Self::Cancelled | Self::Quarantined)
    }

    /// Whether a job may step from this state to `next`.
    #[must_use]
    pub const fn can_become(self, next: Self) -> bool {
        use JobState::{
            Available, Cancelled, Completed, Dead, Quarantined, Retryable, Running, Scheduled, Unroutable,
        };
        match self {
            Scheduled | Retryable => matches!(next, Available | Cancelled),
            Available => matches!(next, Running | Cancelled | Unroutable),
            Unroutable => matches!(next, Available | Cancelled),
            Running => {
                matches!(next, Completed | Retryable | Scheduled | Available | Dead | Cancelled | Quarantined)
            }
            Dead | Cancelled | Quarantined => matches!(next, Available),
            Completed => false,
        }
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A text that names no job state.
#[derive(Debug, Clone, thiserror::Error)]
#[error(
    "`{0}` is no job state; write one of scheduled, available, running, retryable, completed, dead, cancelled, unroutable, quarantined"
)]
pub struct UnknownState(String);

impl FromStr for JobState {
    type Err = UnknownState;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| UnknownState(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::JobState;

    #[test]
    fn names_round_trip() {
        for state in JobState::ALL {
            assert_eq!(state.as_str().parse::<JobState>().unwrap(), state);
        }
        assert!("done".parse::<JobState>().unwrap_err().to_string().contains("completed"));
    }

    #[test]
    fn a_completed_job_never_moves_and_other_ends_only_come_back_by_hand() {
        for next in JobState::ALL {
            assert!(!JobState::Completed.can_become(next));
            for end in [JobState::Dead, JobState::Cancelled, JobState::Quarantined] {
                assert_eq!(end.can_become(next), next == JobState::Available);
            }
        }
    }
}
