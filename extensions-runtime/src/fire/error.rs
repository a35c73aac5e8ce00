//! Why a fire did not do what it was to do.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use super::report::{FireReport, HandlerFailure};
use crate::job::NewJob;
use crate::point::ExtensionPoint;
use crate::queue::QueueError;

/// An error of a fire. It carries the report so far, the point, and the jobs that could not be queued.
pub struct FireError(Box<Inner>);

struct Inner {
    kind: FireErrorKind,
    point_name: &'static str,
    report: FireReport,
    point: Option<Box<dyn Any + Send + Sync>>,
    unqueued: Arc<[NewJob]>,
}

/// What kind of error a [`FireError`] is.
#[derive(Debug)]
#[non_exhaustive]
pub enum FireErrorKind {
    /// An inline handler failed; the report names it.
    HandlerFailed,
    /// Graceful mode collected errors ([`Fired::into_result`](super::Fired::into_result)).
    HandlersFailed,
    /// A handler vetoed ([`Fired::into_result`](super::Fired::into_result)).
    Vetoed,
    /// Guards were to be asked, and the instance, the point or the task is silenced.
    Silenced,
    /// A layer refused the fire, or ended it.
    Layer(String),
    /// The jobs could not be queued. Whether some were is unknown; pushing [`FireError::unqueued`] again is safe.
    PushFailed(QueueError),
    /// The jobs could not be stored in the caller's transaction, which can only be rolled back
    /// ([`Fire::within`](super::Fire::within)).
    PushFailedWithin(QueueError),
    /// The payload is larger than a job may be.
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// The largest size in bytes.
        limit: usize,
    },
    /// The point could not be written as JSON.
    Unserializable(String),
    /// An option given to this fire, its idempotency key, or a field of `unique_by`, cannot be.
    Option(String),
    /// Strict mode, and the point has no handlers.
    NoHandlers,
    /// `fire_sync` of a point with awaited handlers.
    Awaited {
        /// Those handlers.
        handlers: Vec<String>,
    },
    /// Fires nested deeper than the limit.
    TooDeep {
        /// The limit.
        limit: u32,
        /// The points, outermost first.
        chain: Vec<&'static str>,
    },
}

impl FireError {
    pub(crate) fn new(kind: FireErrorKind, point_name: &'static str) -> Self {
        let report = FireReport::new(point_name);
        Self(Box::new(Inner { kind, point_name, report, point: None, unqueued: Arc::new([]) }))
    }

    pub(super) fn with_report(mut self, report: FireReport) -> Self {
        self.0.report = FireReport { point: self.0.point_name.to_owned(), ..report };
        self
    }

    pub(super) fn with_point<P: ExtensionPoint>(mut self, point: P) -> Self {
        self.0.point = Some(Box::new(point));
        self
    }

    pub(super) fn with_unqueued(mut self, jobs: Arc<[NewJob]>) -> Self {
        self.0.unqueued = jobs;
        self
    }

    /// Takes the point out.
    pub(super) fn take_point<P: ExtensionPoint>(&mut self) -> Option<P> {
        let point = self.0.point.take()?;
        point.downcast::<P>().ok().map(|point| *point)
    }

    /// Takes the error of the handler out that ended the fire.
    pub(super) fn pop_failure(&mut self) -> Option<HandlerFailure> {
        self.0.report.errors.pop()
    }

    /// What kind of error it is.
    #[must_use]
    pub const fn kind(&self) -> &FireErrorKind {
        &self.0.kind
    }

    /// What the fire had done.
    #[must_use]
    pub const fn report(&self) -> &FireReport {
        &self.0.report
    }

    /// The point, as the inline handlers left it.
    #[must_use]
    pub fn point<P: ExtensionPoint>(&self) -> Option<&P> {
        self.0.point.as_ref()?.downcast_ref()
    }

    /// The jobs that could not be queued. [`Extensions::push`](crate::Extensions::push) tries again without running the inline
    /// handlers twice.
    #[must_use]
    pub fn unqueued(&self) -> &Arc<[NewJob]> {
        &self.0.unqueued
    }
}

/// `{:?}` is what `main` prints of an error, so it reads like `{}`; `{:#?}` shows the parts.
impl fmt::Debug for FireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !f.alternate() {
            return fmt::Display::fmt(self, f);
        }
        f.debug_struct("FireError")
            .field("point", &self.0.point_name)
            .field("kind", &self.0.kind)
            .field("report", &self.0.report)
            .field("unqueued", &self.0.unqueued.len())
            .finish()
    }
}

impl fmt::Display for FireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (point, report) = (self.0.point_name, &self.0.report);
        match &self.0.kind {
            FireErrorKind::HandlerFailed | FireErrorKind::HandlersFailed => {
                write!(f, "firing `{point}` failed")?;
                for (i, failure) in report.errors.iter().enumerate() {
                    let sign = if i == 0 { ':' } else { ';' };
                    write!(f, "{sign} `{}`: {}", failure.handler.name, failure.error)?;
                }
                Ok(())
            }
            FireErrorKind::Vetoed => match &report.veto {
                Some(veto) => write!(f, "`{point}` was vetoed by `{}`: {}", veto.by(), veto.reason()),
                None => write!(f, "`{point}` was vetoed"),
            },
            FireErrorKind::Silenced => write!(
                f,
                "the guards of `{point}` were not asked: it is silenced, which is no consent; where it is to be, silence with \
                 `.silence().allowing_guards()`"
            ),
            FireErrorKind::Layer(error) => write!(f, "a layer ended the fire of `{point}`: {error}"),
            FireErrorKind::PushFailed(error) => {
                write!(f, "the {} jobs of `{point}` could not be queued: {error}", self.0.unqueued.len())
            }
            FireErrorKind::PushFailedWithin(error) => write!(
                f,
                "the {} jobs of `{point}` could not be queued in the transaction, which can only be rolled back: {error}",
                self.0.unqueued.len()
            ),
            FireErrorKind::TooLarge { size, limit } => write!(
                f,
                "the payload of `{point}` has {size} bytes, more than the {limit} that a job may have; pass ids and fetch the \
                 rest in the handler"
            ),
            FireErrorKind::Unserializable(error) => write!(f, "`{point}` cannot be written as JSON: {error}"),
            FireErrorKind::Option(message) => write!(f, "firing `{point}`: {message}"),
            FireErrorKind::NoHandlers => write!(f, "`{point}` has no handlers, and the fire is strict"),
            FireErrorKind::Awaited { handlers } => write!(
                f,
                "`{point}` has awaited handlers ({}), which `fire_sync` cannot run; use `fire(…).await`",
                handlers.join(", ")
            ),
            FireErrorKind::TooDeep { limit, chain } => {
                write!(f, "fires are nested deeper than {limit}: {}", chain.join(" → "))
            }
        }
    }
}

/// What a handler said is part of the message, and so is not given as a source again.
impl std::error::Error for FireError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0.kind {
            FireErrorKind::PushFailed(error) | FireErrorKind::PushFailedWithin(error) => error.source(),
            _ => None,
        }
    }
}
