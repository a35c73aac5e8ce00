//! What a handler gives back: an output, a verdict, or an error that says what to do next.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use serde::Serialize;

use crate::BoxError;

/// What a handler returns.
pub type HandlerResult<T = ()> = Result<T, HandlerError>;

/// An error of a handler, and for a job what to do about it.
///
/// Anything that is a standard error, an `anyhow` error or a `&str` becomes one with `?`. It is no `std::error::Error`
/// itself; [`into_boxed`](Self::into_boxed) gives one.
pub struct HandlerError(Box<Said>);

struct Said {
    failure: Failure,
    /// Set while it is on its way out of a pipeline.
    passed: Option<Passed>,
}

/// The stage of a running pipeline that an error came from.
pub(crate) struct Passed {
    /// The run of the pipeline.
    pub(crate) course: u64,
    pub(crate) at: usize,
    pub(crate) stage: String,
}

/// The kinds of failure.
#[derive(Debug)]
pub(crate) enum Failure {
    Failed(BoxError),
    Permanent(BoxError),
    Missing(String),
    RetryAfter(Duration, BoxError),
    Snooze(Duration),
    Cancel(String),
    Panicked(String),
    /// A job's payload is not what the point can be read from.
    Undecodable(String),
}

impl HandlerError {
    /// The job is dead at once: trying again is pointless.
    pub fn permanent(error: impl Into<BoxError>) -> Self {
        Failure::Permanent(error.into()).into()
    }

    /// What the work is about is gone, such as a row that was deleted since the fire; `what` names it: "order 7".
    ///
    /// The job is dead at once, with that reason, or cancelled where its handler is `missing = "discard"`. In an inline handler
    /// it is an error like any other.
    pub fn missing(what: impl Into<String>) -> Self {
        Failure::Missing(what.into()).into()
    }

    /// A failed attempt; the next one comes after `delay` instead of the back-off's.
    pub fn retry_after(delay: Duration, error: impl Into<BoxError>) -> Self {
        Failure::RetryAfter(delay, error.into()).into()
    }

    /// No attempt at all: the job is scheduled again after `delay`.
    #[must_use]
    pub fn snooze(delay: Duration) -> Self {
        Failure::Snooze(delay).into()
    }

    /// The job is cancelled: its work is not needed any more.
    pub fn cancel(reason: impl Into<String>) -> Self {
        Failure::Cancel(reason.into()).into()
    }

    pub(crate) fn panicked(payload: Box<dyn Any + Send>) -> Self {
        Failure::Panicked(panic_text(payload)).into()
    }

    /// Whether it says that the handler, or what it depends on, does not work. The others say something of this one point.
    pub(crate) const fn is_of_the_handler(&self) -> bool {
        matches!(self.0.failure, Failure::Failed(_) | Failure::RetryAfter(..) | Failure::Panicked(_))
    }

    pub(crate) fn into_failure(self) -> Failure {
        self.0.failure
    }

    /// Marks an error as one of a stage, for the stages that it passes on its way out.
    pub(crate) fn passed(mut self, stage: Passed) -> Self {
        self.0.passed = Some(stage);
        self
    }

    /// Whether it comes from a stage further in of this run of a pipeline.
    pub(crate) fn is_passed_in(&self, course: u64) -> bool {
        self.0.passed.as_ref().is_some_and(|stage| stage.course == course)
    }

    /// Takes the mark off.
    pub(crate) fn take_passed(&mut self) -> Option<Passed> {
        self.0.passed.take()
    }

    /// The error as a standard one: the handler's own, if it is an ordinary one. Any other says the same as this one, and becomes it
    /// again by `?` or [`HandlerError::from`], so that a `permanent` or a `snooze` comes through code that knows standard errors only.
    #[must_use]
    pub fn into_boxed(self) -> BoxError {
        match self.0.failure {
            Failure::Failed(error) => error,
            other => Box::new(Carried(other)),
        }
    }

    /// Whether an attempt that ends with it has failed: it is neither [`snooze`](Self::snooze) nor [`cancel`](Self::cancel).
    #[must_use]
    pub const fn is_failed_attempt(&self) -> bool {
        !matches!(self.0.failure, Failure::Snooze(_) | Failure::Cancel(_))
    }

    /// Whether the handler panicked.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        matches!(self.0.failure, Failure::Panicked(_))
    }

    /// Whether what the work is about is gone ([`missing`](Self::missing)).
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self.0.failure, Failure::Missing(_))
    }

    /// The error that the handler gave, if it gave one.
    #[must_use]
    pub fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0.failure {
            Failure::Failed(error) | Failure::Permanent(error) | Failure::RetryAfter(_, error) => {
                Some(&**error)
            }
            _ => None,
        }
    }
}

/// What a panic said. Its payload is dropped here, which may panic too.
pub(crate) fn panic_text(payload: Box<dyn Any + Send>) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(again);
    }
    text.unwrap_or_else(|| "no message".to_owned())
}

impl Failure {
    fn into_error(self) -> HandlerError {
        HandlerError(Box::new(Said { failure: self, passed: None }))
    }
}

impl From<Failure> for HandlerError {
    fn from(failure: Failure) -> Self {
        failure.into_error()
    }
}

impl<E: Into<BoxError>> From<E> for HandlerError {
    fn from(error: E) -> Self {
        let failure = match error.into().downcast::<Carried>() {
            Ok(carried) => carried.0,
            Err(error) => Failure::Failed(error),
        };
        failure.into_error()
    }
}

/// A [`HandlerError`] on its way through code that knows standard errors only.
#[derive(Debug)]
struct Carried(Failure);

/// What caused it is part of the message, and so is not given as a source again.
impl std::error::Error for Carried {}

impl fmt::Display for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.failure.fmt(f)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) | Self::Permanent(error) | Self::RetryAfter(_, error) => {
                f.write_str(&said(&**error))
            }
            Self::Missing(what) => write!(f, "{what} is gone"),
            Self::Snooze(delay) => write!(f, "snoozed for {delay:?}"),
            Self::Cancel(reason) => write!(f, "cancelled: {reason}"),
            Self::Panicked(text) => write!(f, "panicked: {text}"),
            Self::Undecodable(why) => write!(f, "the payload cannot be decoded: {why}"),
        }
    }
}

/// What an error and its sources say, even where saying it panics.
fn said(error: &(dyn std::error::Error + 'static)) -> String {
    catch_unwind(AssertUnwindSafe(|| chain(error))).unwrap_or_else(|panic| {
        panic_text(panic);
        "an error that panics when it is shown".to_owned()
    })
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut said = error.to_string();
    let mut whole = said.clone();
    let mut source = error.source();
    while let Some(error) = source {
        let text = error.to_string();
        if !said.contains(&text) {
            whole.push_str(": ");
            whole.push_str(&text);
        }
        said = text;
        source = error.source();
    }
    whole
}

impl fmt::Debug for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0.failure, f)
    }
}

impl Serialize for HandlerError {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What an inline handler of an interruptible point says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Verdict {
    /// Nothing against it.
    #[default]
    Continue,
    /// Stop: no further handler runs, and nothing is queued.
    Veto(Veto),
}

/// Why a point was vetoed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Veto {
    reason: String,
}

impl Verdict {
    /// A veto with its reason.
    pub fn veto(reason: impl Into<String>) -> Self {
        Self::Veto(Veto::new(reason.into()))
    }

    /// The veto, if this is one.
    #[must_use]
    pub const fn as_veto(&self) -> Option<&Veto> {
        match self {
            Self::Continue => None,
            Self::Veto(veto) => Some(veto),
        }
    }
}

impl Veto {
    pub(crate) const fn new(reason: String) -> Self {
        Self { reason }
    }

    /// The reason.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

/// What a function handler may return: the point's output or a `Result` of it; nothing, where the output is `()` or a `Verdict`.
#[diagnostic::on_unimplemented(
    message = "a handler of this point cannot return `{Self}`",
    label = "expected `{O}`, or a `Result` of it",
    note = "a function handler returns its point's output (`{O}`) or a `Result` of it",
    note = "for a `Verdict` write `#[extension_point(interruptible)]` on the point, for another type `#[extension_point(output = …)]`"
)]
pub trait IntoOutput<O> {
    #[doc(hidden)]
    fn into_output(self) -> HandlerResult<O>;
}

impl<O> IntoOutput<O> for O {
    fn into_output(self) -> HandlerResult<O> {
        Ok(self)
    }
}

impl<O, E> IntoOutput<O> for Result<O, E>
where
    HandlerError: From<E>,
{
    fn into_output(self) -> HandlerResult<O> {
        self.map_err(HandlerError::from)
    }
}

impl IntoOutput<Verdict> for () {
    fn into_output(self) -> HandlerResult<Verdict> {
        Ok(Verdict::Continue)
    }
}

impl<E> IntoOutput<Verdict> for Result<(), E>
where
    HandlerError: From<E>,
{
    fn into_output(self) -> HandlerResult<Verdict> {
        self.map(|()| Verdict::Continue).map_err(HandlerError::from)
    }
}
