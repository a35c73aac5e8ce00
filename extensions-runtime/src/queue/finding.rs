//! What is wrong with a store.

use std::fmt;

use serde::Serialize;

/// Something about a store that its operator should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What is the case.
    pub what: String,
    /// What to do about it.
    pub advice: String,
}

/// How bad a [`Finding`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Note,
    /// Something works worse than it could, or is lost in some accidents.
    Warning,
    /// Jobs get lost or do not run.
    Problem,
}

impl Finding {
    /// Good to know.
    pub fn note(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { severity: Severity::Note, what: what.into(), advice: advice.into() }
    }

    /// Something works worse than it could, or is lost in some accidents.
    pub fn warning(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, what: what.into(), advice: advice.into() }
    }

    /// Jobs get lost or do not run.
    pub fn problem(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { severity: Severity::Problem, what: what.into(), advice: advice.into() }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Problem => "problem",
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.severity, self.what, self.advice)
    }
}
