//! Points and handlers, as an operator sees them.

use std::time::Duration;

use serde::Serialize;
use wildmatch::WildMatch;

use crate::handler::{HandlerInfo, HandlerKind, JobOptions, OnUnavailable, UniqueOptions};
use crate::point::Deprecation;
use crate::registry::{RegisteredPoint, Registry};

/// How many waits of a back-off are worked out at most.
const SHOWN_WAITS: u32 = 10;

/// Which handlers to list. Conditions add up; an empty one is no condition. Names may have `*` and `?`.
#[derive(Debug, Clone, Default)]
pub(crate) struct HandlerFilter {
    /// Of this point.
    pub(crate) point: Option<String>,
    /// With this name.
    pub(crate) handler: Option<String>,
    /// With this tag.
    pub(crate) tag: Option<String>,
    /// In this group.
    pub(crate) group: Option<String>,
}

/// A point with its handlers, in the order in which they run.
#[derive(Debug, Serialize)]
pub(crate) struct PointView {
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) version: u32,
    pub(crate) queued: bool,
    pub(crate) interruptible: bool,
    pub(crate) deprecated: Option<Deprecation>,
    /// `src/points.rs:12`.
    pub(crate) location: String,
    pub(crate) handlers: Vec<HandlerView>,
}

/// A handler as registered on one point.
#[derive(Debug, Serialize)]
pub(crate) struct HandlerView {
    pub(crate) name: String,
    pub(crate) kind: HandlerKind,
    pub(crate) priority: i32,
    pub(crate) tags: Vec<String>,
    pub(crate) group: Option<String>,
    pub(crate) aliases: Vec<String>,
    pub(crate) path: String,
    pub(crate) location: String,
    pub(crate) deprecated: Option<Deprecation>,
    pub(crate) conditions: Vec<String>,
    /// What becomes of the question where this guard could not run; none where it is no guard.
    pub(crate) on_unavailable: Option<OnUnavailable>,
    pub(crate) breaker: Option<BreakerView>,
    /// What holds for its jobs, if it is queued.
    pub(crate) job: Option<JobOptionsView>,
}

/// The numbers of a circuit breaker.
#[derive(Debug, Serialize)]
pub(crate) struct BreakerView {
    pub(crate) threshold: u32,
    /// In seconds.
    pub(crate) timeout: f64,
    pub(crate) half_open_max: u32,
    pub(crate) successes: u32,
}

/// What holds for the jobs of a handler; durations are seconds.
#[derive(Debug, Serialize)]
pub(crate) struct JobOptionsView {
    pub(crate) queue: String,
    pub(crate) delay: f64,
    pub(crate) max_attempts: u32,
    pub(crate) backoff: BackoffView,
    pub(crate) timeout: Option<f64>,
    pub(crate) priority: u8,
    pub(crate) unique: Option<UniqueView>,
    pub(crate) retry_until: Option<f64>,
    pub(crate) expires_in: Option<f64>,
    /// `fail` or `discard`.
    pub(crate) missing: &'static str,
    pub(crate) on_failure: bool,
    pub(crate) on_retry: bool,
}

/// The waits between the attempts of a job; seconds, without jitter.
#[derive(Debug, Serialize)]
pub(crate) struct BackoffView {
    /// In words: `exponential from 10s`.
    pub(crate) strategy: String,
    /// The wait after each failed attempt but the last; at most ten.
    pub(crate) waits: Vec<f64>,
    /// Entries of a list that the attempts never reach.
    pub(crate) unreached: Vec<f64>,
}

/// What makes two jobs of a handler the same.
#[derive(Debug, Serialize)]
pub(crate) struct UniqueView {
    /// The fields that count; empty: the whole payload.
    pub(crate) by: Vec<String>,
    /// The longest time for which a job keeps others out, in seconds.
    pub(crate) ttl: Option<f64>,
    pub(crate) until: crate::job::UniqueUntil,
}

impl HandlerFilter {
    /// Whether every point and handler is meant.
    pub(crate) const fn is_all(&self) -> bool {
        self.handler.is_none() && self.tag.is_none() && self.group.is_none()
    }

    fn takes_point(&self, point: &RegisteredPoint) -> bool {
        self.point.as_deref().is_none_or(|pattern| is_called(point, pattern))
    }

    fn takes(&self, handler: &HandlerInfo) -> bool {
        let matches = |pattern: &String, text: &str| WildMatch::new(pattern).matches(text);
        self.handler.as_ref().is_none_or(|pattern| matches(pattern, &handler.name))
            && self.tag.as_ref().is_none_or(|pattern| handler.tags.iter().any(|tag| matches(pattern, tag)))
            && self
                .group
                .as_ref()
                .is_none_or(|pattern| handler.group.as_deref().is_some_and(|group| matches(pattern, group)))
    }
}

/// Whether `pattern` is a point's wire name, its type, or the path of its type.
fn is_called(point: &RegisteredPoint, pattern: &str) -> bool {
    let pattern = WildMatch::new(pattern);
    [point.name.as_str(), &point.path, type_name(point)].into_iter().any(|name| pattern.matches(name))
}

fn type_name(point: &RegisteredPoint) -> &str {
    point.path.rsplit("::").next().unwrap_or(&point.path)
}

/// The points, each with the handlers that the filter takes. Where it asks for handlers, points without such are left out.
pub(crate) fn listing(registry: &Registry, filter: &HandlerFilter) -> Vec<PointView> {
    let points = registry.points().iter().filter(|point| filter.takes_point(point));
    let views = points.map(|point| view(registry, point, |handler| filter.takes(handler)));
    views.filter(|view| filter.is_all() || !view.handlers.is_empty()).collect()
}

/// The point of this wire name, type name or path; the names that there are where it is not there, or not the only one.
///
/// # Errors
///
/// The names to choose from, and whether they are several points that are called so.
pub(crate) fn find_point(registry: &Registry, name: &str) -> Result<PointView, (bool, Vec<String>)> {
    let points = registry.points();
    let exact = points.iter().find(|point| point.name == name || point.path == name);
    let by_type: Vec<_> = points.iter().filter(|point| type_name(point) == name).collect();
    let names = |points: &[&RegisteredPoint]| points.iter().map(|point| point.name.clone()).collect();
    match (exact, &by_type[..]) {
        (Some(point), _) => Ok(view(registry, point, |_| true)),
        (None, [point]) => Ok(view(registry, point, |_| true)),
        (None, []) => Err((false, names(&points.iter().collect::<Vec<_>>()))),
        (None, several) => Err((true, names(several))),
    }
}

fn view(registry: &Registry, point: &RegisteredPoint, takes: impl Fn(&HandlerInfo) -> bool) -> PointView {
    let handlers = registry.handlers().iter();
    let mut handlers: Vec<_> =
        handlers.filter(|handler| handler.point == point.name && takes(handler)).collect();
    // The registry has them by priority; a fire runs the inline ones before it queues the others.
    handlers.sort_by_key(|handler| handler.kind.is_queued());
    PointView {
        name: point.name.clone(),
        path: point.path.clone(),
        version: point.version,
        queued: point.queued,
        interruptible: point.interruptible,
        deprecated: point.deprecated,
        location: point.location.to_string(),
        handlers: handlers.iter().map(|handler| HandlerView::new(handler, point.interruptible)).collect(),
    }
}

impl HandlerView {
    fn new(info: &HandlerInfo, interruptible: bool) -> Self {
        let is_guard = interruptible && matches!(info.kind, HandlerKind::Inline | HandlerKind::Awaited);
        Self {
            name: info.name.to_string(),
            kind: info.kind,
            priority: info.priority,
            tags: info.tags.clone(),
            group: info.group.clone(),
            aliases: info.aliases.clone(),
            path: info.path.clone(),
            location: info.location.to_string(),
            deprecated: info.deprecated,
            conditions: info.conditions.clone(),
            on_unavailable: is_guard.then_some(info.on_unavailable),
            breaker: info.breaker.map(|breaker| {
                let (threshold, timeout, half_open_max, successes) = breaker.parts();
                BreakerView { threshold, timeout: timeout.as_secs_f64(), half_open_max, successes }
            }),
            job: info.options.as_ref().map(Into::into),
        }
    }
}

impl From<&JobOptions> for JobOptionsView {
    fn from(options: &JobOptions) -> Self {
        let seconds = |duration: Option<Duration>| duration.map(|duration| duration.as_secs_f64());
        Self {
            queue: options.queue.to_string(),
            delay: options.delay.as_secs_f64(),
            max_attempts: options.max_attempts,
            backoff: options.into(),
            timeout: seconds(options.timeout),
            priority: options.priority,
            unique: options.unique.as_ref().map(Into::into),
            retry_until: seconds(options.retry_until),
            expires_in: seconds(options.expires_in),
            missing: if options.discard_missing { "discard" } else { "fail" },
            on_failure: options.on_failure,
            on_retry: options.on_retry,
        }
    }
}

impl From<&JobOptions> for BackoffView {
    fn from(options: &JobOptions) -> Self {
        let (backoff, attempts) = (&options.backoff, options.max_attempts);
        let plain = backoff.clone().without_jitter();
        let wait = |attempt| plain.delay(attempt, 0.0).as_secs_f64();
        Self {
            strategy: backoff.to_string(),
            waits: (1..attempts.min(SHOWN_WAITS + 1)).map(wait).collect(),
            unreached: backoff.unreached(attempts).iter().map(Duration::as_secs_f64).collect(),
        }
    }
}

impl From<&UniqueOptions> for UniqueView {
    fn from(unique: &UniqueOptions) -> Self {
        Self { by: unique.by.clone(), ttl: unique.ttl.map(|ttl| ttl.as_secs_f64()), until: unique.until }
    }
}
