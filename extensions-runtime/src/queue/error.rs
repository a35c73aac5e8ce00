//! What can go wrong between the framework and a backend: one opaque type with a kind.

use std::fmt;

use crate::BoxError;

/// An error of a queue backend.
///
/// Never holds a secret: a URL in its context is redacted.
pub struct QueueError {
    kind: QueueErrorKind,
    operation: &'static str,
    context: String,
    source: Option<BoxError>,
}

/// What kind of error a [`QueueError`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum QueueErrorKind {
    /// The backend cannot be reached or is too busy; trying again may help.
    Unavailable,
    /// Two writers met; trying again may help.
    Conflict,
    /// What was asked for is not there.
    NotFound,
    /// The backend cannot do this.
    Unsupported,
    /// The URL or an option is wrong.
    InvalidConfig,
    /// The store holds something that this program cannot read.
    Corrupt,
    /// No answer in time; trying again may help.
    Timeout,
    /// The store has no room left.
    Full,
    /// Anything else.
    Other,
}

impl QueueError {
    /// An error of `kind` during `operation`.
    #[must_use]
    pub fn new(kind: QueueErrorKind, operation: &'static str, context: impl Into<String>) -> Self {
        Self { kind, operation, context: context.into(), source: None }
    }

    /// The same with the error that caused it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same error for another that waits for the same answer; its source is kept as text.
    pub(crate) fn duplicate(&self) -> Self {
        let source = self.source.as_ref().map(|source| source.to_string().into());
        Self { kind: self.kind, operation: self.operation, context: self.context.clone(), source }
    }

    /// What kind of error it is.
    #[must_use]
    pub const fn kind(&self) -> QueueErrorKind {
        self.kind
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(
            self.kind,
            QueueErrorKind::Unavailable
                | QueueErrorKind::Conflict
                | QueueErrorKind::Timeout
                | QueueErrorKind::Full
        )
    }

    /// What the backend says about it.
    #[must_use]
    pub fn context(&self) -> &str {
        &self.context
    }

    /// What was being done.
    #[must_use]
    pub const fn operation(&self) -> &'static str {
        self.operation
    }
}

/// `{:?}` is what `main` prints of an error, so it reads like `{}` with the causes; `{:#?}` shows the parts.
impl fmt::Debug for QueueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !f.alternate() {
            fmt::Display::fmt(self, f)?;
            let mut cause = std::error::Error::source(self);
            while let Some(error) = cause {
                write!(f, ": {error}")?;
                cause = error.source();
            }
            return Ok(());
        }
        f.debug_struct("QueueError")
            .field("kind", &self.kind)
            .field("operation", &self.operation)
            .field("context", &self.context)
            .field("source", &self.source)
            .finish()
    }
}

impl fmt::Display for QueueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "queue {}: {}", self.operation, self.context)
    }
}

impl std::error::Error for QueueError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}
