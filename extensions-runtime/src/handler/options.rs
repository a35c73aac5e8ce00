//! The options of async handlers: as written, and as they hold after the defaults.

use std::any::{Any, TypeId};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::callback::{DynCallback, FailureCallback, RetryCallback};
use super::{BreakerChoice, HandlerOptions, OnFailure, OnRetry};
use crate::job::{QueueName, UniqueUntil};
use crate::point::{PointInfo, QueuedType};
use crate::policy::Backoff;

/// The built-in default of `timeout`.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);
/// The built-in default of `retries`.
const DEFAULT_ATTEMPTS: u32 = 3;
/// The highest value of `priority`: the last rank of a queue.
const LAST_PRIORITY: u8 = 9;
/// The built-in default of `priority`.
const DEFAULT_JOB_PRIORITY: u8 = 5;

/// The options of an async handler. What is not set comes from the configuration
/// ([`async_defaults`](crate::ExtensionsBuilder::async_defaults)), and else is built in.
///
/// | option | built in |
/// |---|---|
/// | `queue` | `default` |
/// | `delay` | none |
/// | `retries` (= `max_attempts`) | 3 attempts, the first included |
/// | `backoff` | exponential from 10 s |
/// | `timeout` | 60 s |
/// | `priority` | 5, of 0 (first) to 9 (last) in its queue |
/// | `unique` | off |
/// | `expires_in` | never |
/// | `missing` | fail |
#[derive(Clone, Default)]
#[must_use]
pub struct AsyncOptions {
    pub(crate) handler: HandlerOptions,
    pub(crate) queue: Option<String>,
    pub(crate) delay: Option<Duration>,
    pub(crate) max_attempts: Option<u32>,
    pub(crate) backoff: Option<Backoff>,
    pub(crate) timeout: Option<Timeout>,
    pub(crate) priority: Option<u8>,
    pub(crate) unique: Option<bool>,
    pub(crate) unique_for: Option<Duration>,
    pub(crate) unique_by: Option<Vec<String>>,
    pub(crate) unique_until: Option<UniqueUntil>,
    pub(crate) retry_until: Option<Duration>,
    pub(crate) expires_in: Option<Duration>,
    pub(crate) discard_missing: Option<bool>,
    callbacks: Vec<ErasedCallback>,
}

/// A time-out, or that there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timeout {
    After(Duration),
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    Failure,
    Retry,
}

#[derive(Clone)]
struct ErasedCallback {
    which: Which,
    point: TypeId,
    point_name: &'static str,
    callback: Arc<dyn Any + Send + Sync>,
}

impl AsyncOptions {
    /// Nothing set.
    pub fn new() -> Self {
        Self::default()
    }

    /// The handler's name; default: the type's own name.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.handler = self.handler.name(name);
        self
    }

    /// Earlier names under which jobs may still be stored.
    pub fn aliases<S: Into<String>>(mut self, aliases: impl IntoIterator<Item = S>) -> Self {
        self.handler = self.handler.aliases(aliases);
        self
    }

    /// The order in which the jobs of one fire are pushed: lower first, default 100.
    pub fn order(mut self, priority: i32) -> Self {
        self.handler = self.handler.priority(priority);
        self
    }

    /// The handler's group.
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.handler = self.handler.group(group);
        self
    }

    /// Changes what any handler has: conditions, circuit breaker. `.handler(|options| options.when_feature("new-billing"))`.
    pub fn handler(mut self, change: impl FnOnce(HandlerOptions) -> HandlerOptions) -> Self {
        self.handler = change(self.handler);
        self
    }

    /// The queue.
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.queue = Some(queue.into());
        self
    }

    /// How long after the fire a job may run.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = Some(delay);
        self
    }

    /// The largest number of attempts, the first included. The same as [`max_attempts`](Self::max_attempts).
    pub fn retries(self, attempts: u32) -> Self {
        self.max_attempts(attempts)
    }

    /// The largest number of attempts, the first included.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = Some(attempts);
        self
    }

    /// How long to wait between attempts.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = Some(backoff);
        self
    }

    /// How long an attempt may run.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(Timeout::After(timeout));
        self
    }

    /// Attempts may run for ever.
    pub fn no_timeout(mut self) -> Self {
        self.timeout = Some(Timeout::Never);
        self
    }

    /// The jobs' rank in their queue: 0 first, 9 last.
    pub fn priority(mut self, priority: u8) -> Self {
        self.priority = Some(priority);
        self
    }

    /// Adds tags to the handler and its jobs.
    pub fn tags<S: Into<String>>(mut self, tags: impl IntoIterator<Item = S>) -> Self {
        self.handler = self.handler.tags(tags);
        self
    }

    /// Whether a job is queued only while no other with the same key waits or runs.
    pub fn unique(mut self, unique: bool) -> Self {
        self.unique = Some(unique);
        self
    }

    /// The longest time for which a unique job keeps others out, counted from its push.
    pub fn unique_for(mut self, ttl: Duration) -> Self {
        self.unique_for = Some(ttl);
        self
    }

    /// The payload's fields that make the key; default: the point's `unique_by`, else the whole payload.
    pub fn unique_by<S: Into<String>>(mut self, fields: impl IntoIterator<Item = S>) -> Self {
        self.unique_by = Some(fields.into_iter().map(Into::into).collect());
        self
    }

    /// The key is free as soon as the job starts.
    pub fn unique_until_start(mut self) -> Self {
        self.unique_until = Some(UniqueUntil::Start);
        self
    }

    /// No attempt starts later than this after the fire.
    pub fn retry_until(mut self, age: Duration) -> Self {
        self.retry_until = Some(age);
        self
    }

    /// A job that has not started an attempt this long after the fire, its delay included, starts none: it is dead with
    /// [`ErrorKind::Expired`](crate::job::ErrorKind::Expired). No attempt starts later than this.
    pub fn expires_in(mut self, age: Duration) -> Self {
        self.expires_in = Some(age);
        self
    }

    /// Whether a job whose subject is gone ([`HandlerError::missing`](super::HandlerError::missing)) is cancelled instead of dead.
    pub fn discard_missing(mut self, discard: bool) -> Self {
        self.discard_missing = Some(discard);
        self
    }

    /// Called at least once when a job of this handler on the point `P` has ended without success.
    pub fn on_failure<P: QueuedType, C: OnFailure<P>>(self, callback: C) -> Self {
        let callback: Arc<dyn DynCallback<P>> = Arc::new(FailureCallback(callback));
        self.callback::<P>(Which::Failure, callback)
    }

    /// Called after a failed attempt, on the point `P`, that will be tried again.
    pub fn on_retry<P: QueuedType, C: OnRetry<P>>(self, callback: C) -> Self {
        let callback: Arc<dyn DynCallback<P>> = Arc::new(RetryCallback(callback));
        self.callback::<P>(Which::Retry, callback)
    }

    fn callback<P: QueuedType>(mut self, which: Which, callback: Arc<dyn DynCallback<P>>) -> Self {
        self.callbacks.push(ErasedCallback {
            which,
            point: TypeId::of::<P>(),
            point_name: P::info().name,
            callback: Arc::new(callback),
        });
        self
    }

    /// The callbacks for `P`; the name of the point of one that is for another.
    pub(crate) fn callbacks_for<P: QueuedType>(&self) -> Result<Callbacks<P>, &'static str> {
        let mut found = Callbacks { on_failure: None, on_retry: None };
        for erased in &self.callbacks {
            if erased.point != TypeId::of::<P>() {
                return Err(erased.point_name);
            }
            let callback = erased.callback.downcast_ref::<Arc<dyn DynCallback<P>>>().cloned();
            match erased.which {
                Which::Failure => found.on_failure = callback,
                Which::Retry => found.on_retry = callback,
            }
        }
        Ok(found)
    }

    /// What is set here that belongs to a handler and not to its single jobs.
    pub(crate) fn fixed_per_handler(&self) -> Vec<&'static str> {
        let named = [
            ("`name`", self.handler.name.is_some()),
            ("`aliases`", !self.handler.aliases.is_empty()),
            ("`order`", self.handler.priority.is_some()),
            ("`group`", self.handler.group.is_some()),
            ("`backoff`", self.backoff.is_some()),
            ("`timeout`", self.timeout.is_some()),
            ("`retry_until`", self.retry_until.is_some()),
            ("`expires_in`", self.expires_in.is_some()),
            ("`missing`", self.discard_missing.is_some()),
            ("callbacks", !self.callbacks.is_empty()),
        ];
        named.into_iter().filter(|(_, set)| *set).map(|(name, _)| name).collect()
    }

    /// Changes what makes two jobs the same, where this says anything about it.
    pub(crate) fn apply_unique(&self, options: &mut JobOptions, point: &PointInfo) {
        match self.unique {
            Some(true) if options.unique.is_none() => options.unique = Some(UniqueOptions::of(point)),
            Some(false) => options.unique = None,
            _ => {}
        }
        if let Some(unique) = &mut options.unique {
            unique.ttl = self.unique_for.or(unique.ttl);
            unique.until = self.unique_until.unwrap_or(unique.until);
            if let Some(by) = &self.unique_by {
                unique.by.clone_from(by);
            }
        }
    }

    /// These options, and those of `base` where nothing is set here.
    pub fn or(self, base: &Self) -> Self {
        let base = base.clone();
        Self {
            handler: HandlerOptions {
                name: self.handler.name.or(base.handler.name),
                aliases: first_set(self.handler.aliases, base.handler.aliases),
                priority: self.handler.priority.or(base.handler.priority),
                tags: first_set(self.handler.tags, base.handler.tags),
                group: self.handler.group.or(base.handler.group),
                on_unavailable: self.handler.on_unavailable,
                conditions: first_set(self.handler.conditions, base.handler.conditions),
                breaker: match self.handler.breaker {
                    BreakerChoice::Default => base.handler.breaker,
                    chosen => chosen,
                },
            },
            queue: self.queue.or(base.queue),
            delay: self.delay.or(base.delay),
            max_attempts: self.max_attempts.or(base.max_attempts),
            backoff: self.backoff.or(base.backoff),
            timeout: self.timeout.or(base.timeout),
            priority: self.priority.or(base.priority),
            unique: self.unique.or(base.unique),
            unique_for: self.unique_for.or(base.unique_for),
            unique_by: self.unique_by.or(base.unique_by),
            unique_until: self.unique_until.or(base.unique_until),
            retry_until: self.retry_until.or(base.retry_until),
            expires_in: self.expires_in.or(base.expires_in),
            discard_missing: self.discard_missing.or(base.discard_missing),
            callbacks: first_set(self.callbacks, base.callbacks),
        }
    }

    /// What holds for jobs on a point, or every reason why that cannot be.
    pub(crate) fn resolve(&self, point: &PointInfo) -> Result<JobOptions, Vec<String>> {
        let mut wrong = Vec::new();
        let max_attempts = self.max_attempts.unwrap_or(DEFAULT_ATTEMPTS);
        if max_attempts == 0 {
            wrong.push("`retries` is 0, which counts the first attempt too; write at least 1".to_owned());
        }
        let priority = self.priority.unwrap_or(DEFAULT_JOB_PRIORITY);
        if priority > LAST_PRIORITY {
            wrong.push(format!("`priority` is {priority}; a job's rank goes from 0 (first) to 9 (last)"));
        }
        let queue = self.queue.as_deref().unwrap_or("default");
        if !QueueName::is_valid(queue) {
            wrong.push(format!("`queue` is {queue:?}; write a name of 1 to 200 bytes without spaces"));
        }
        if self.timeout == Some(Timeout::After(Duration::ZERO)) {
            wrong
                .push("`timeout` is 0; write a longer one, or turn it off (`timeout = \"none\"`)".to_owned());
        }
        let delay = self.delay.unwrap_or_default();
        if let Some(expires) = self.expires_in.filter(|expires| *expires <= delay) {
            wrong.push(format!("`expires_in` is {expires:?} and `delay` {delay:?}, so no job would ever start; make `expires_in` longer"));
        }
        let unique = self.unique.unwrap_or(false);
        let extras = [
            ("unique_for", self.unique_for.is_some()),
            ("unique_by", self.unique_by.is_some()),
            ("unique_until", self.unique_until.is_some()),
        ];
        for (option, _) in extras.into_iter().filter(|(_, set)| *set && !unique) {
            wrong.push(format!("`{option}` needs `unique`; add `unique = true`"));
        }
        for field in self.unique_by.iter().flatten().filter(|field| !point.may_have(field)) {
            wrong.push(format!(
                "`unique_by` names `{field}`, which the payload of `{}` does not have; it has {}",
                point.type_name,
                point.fields.join(", ")
            ));
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let mut options = JobOptions {
            queue: queue.into(),
            delay: self.delay.unwrap_or_default(),
            max_attempts,
            backoff: self.backoff.clone().unwrap_or_default(),
            timeout: match self.timeout {
                None => Some(DEFAULT_TIMEOUT),
                Some(Timeout::After(timeout)) => Some(timeout),
                Some(Timeout::Never) => None,
            },
            priority,
            tags: self.handler.tags.clone(),
            unique: None,
            retry_until: self.retry_until,
            expires_in: self.expires_in,
            discard_missing: self.discard_missing.unwrap_or(false),
            on_failure: self.callbacks.iter().any(|callback| callback.which == Which::Failure),
            on_retry: self.callbacks.iter().any(|callback| callback.which == Which::Retry),
        };
        self.apply_unique(&mut options, point);
        Ok(options)
    }
}

fn first_set<T>(own: Vec<T>, base: Vec<T>) -> Vec<T> {
    if own.is_empty() { base } else { own }
}

impl fmt::Debug for AsyncOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncOptions")
            .field("handler", &self.handler)
            .field("queue", &self.queue)
            .field("delay", &self.delay)
            .field("max_attempts", &self.max_attempts)
            .field("backoff", &self.backoff)
            .field("timeout", &self.timeout)
            .field("priority", &self.priority)
            .field("unique", &self.unique)
            .field("unique_for", &self.unique_for)
            .field("unique_by", &self.unique_by)
            .field("unique_until", &self.unique_until)
            .field("retry_until", &self.retry_until)
            .field("expires_in", &self.expires_in)
            .field("discard_missing", &self.discard_missing)
            .finish_non_exhaustive()
    }
}

/// The callbacks of a handler on the point `P`.
pub(crate) struct Callbacks<P> {
    pub(crate) on_failure: Option<Arc<dyn DynCallback<P>>>,
    pub(crate) on_retry: Option<Arc<dyn DynCallback<P>>>,
}

/// What holds for the jobs of an async handler after attribute, configuration and built-in defaults.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct JobOptions {
    /// The queue.
    pub queue: QueueName,
    /// How long after the fire a job may run.
    pub delay: Duration,
    /// The largest number of attempts, the first included.
    pub max_attempts: u32,
    /// How long to wait between attempts.
    #[serde(serialize_with = "debug_text")]
    pub backoff: Backoff,
    /// How long an attempt may run.
    pub timeout: Option<Duration>,
    /// The rank in the queue.
    pub priority: u8,
    /// The jobs' tags.
    pub tags: Vec<String>,
    /// What makes two jobs the same.
    pub unique: Option<UniqueOptions>,
    /// The age at which no further attempt is made.
    pub retry_until: Option<Duration>,
    /// The age at which a job is not started any more.
    pub expires_in: Option<Duration>,
    /// Whether a job whose subject is gone is cancelled instead of dead.
    pub discard_missing: bool,
    /// Whether there is an `on_failure` callback.
    pub on_failure: bool,
    /// Whether there is an `on_retry` callback.
    pub on_retry: bool,
}

fn debug_text<S: serde::Serializer>(value: &Backoff, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{value:?}"))
}

/// What makes two jobs of a handler the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct UniqueOptions {
    /// The longest time for which the lock holds.
    pub ttl: Option<Duration>,
    /// When the lock ends.
    pub until: UniqueUntil,
    /// The fields that count; empty: the whole payload.
    pub by: Vec<String>,
}

impl UniqueOptions {
    fn of(point: &PointInfo) -> Self {
        Self {
            ttl: None,
            until: UniqueUntil::default(),
            by: point.unique_by.iter().map(|field| (*field).to_owned()).collect(),
        }
    }
}
