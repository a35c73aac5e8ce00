//! How a command ends: its exit code, and what went wrong.

use std::io;
use std::process::ExitCode;

use crate::queue::{QueueError, QueueErrorKind};

/// The exit codes of every command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Done.
    Done,
    /// It did not work, or what was asked about is not well.
    Failed,
    /// The command line cannot be: nothing was done.
    Usage,
    /// What was named is not there.
    NotFound,
    /// The store is missing, or cannot be reached.
    NoStore,
    /// Done for some jobs, and not for others.
    Partly,
    /// It destroys something, and nobody said yes: nothing was done.
    Unconfirmed,
    /// A supervisor's processes were told to end, and this is the worst of their codes.
    OfProcesses(u8),
}

impl Outcome {
    /// The exit code.
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::NoStore => 4,
            Self::Partly => 5,
            Self::Unconfirmed => 6,
            Self::OfProcesses(code) => code,
        }
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(outcome.code())
    }
}

/// Why a command ended before its end.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) outcome: Outcome,
    /// None where there is nobody left to tell.
    pub(super) message: Option<String>,
}

pub(super) type Done = Result<Outcome, Failure>;

impl Failure {
    pub(super) fn new(outcome: Outcome, message: impl Into<String>) -> Self {
        Self { outcome, message: Some(message.into()) }
    }

    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::new(Outcome::Usage, message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Outcome::NotFound, message)
    }
}

impl From<QueueError> for Failure {
    fn from(error: QueueError) -> Self {
        let outcome = match error.kind() {
            QueueErrorKind::Unavailable | QueueErrorKind::Timeout | QueueErrorKind::NotFound => {
                Outcome::NoStore
            }
            QueueErrorKind::InvalidConfig => Outcome::Usage,
            _ => Outcome::Failed,
        };
        Self::new(outcome, format!("{error:?}"))
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        // Whoever read the answer, such as `head`, has had enough of it.
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self { outcome: Outcome::Done, message: None };
        }
        Self::new(Outcome::Failed, format!("the answer cannot be written: {error}"))
    }
}
