//! From a point to the jobs of its async handlers, and their one push.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::builder::{Mode, Overrides};
use super::destination::Destination;
use super::gate::{Gate, Held};
use super::report::{DuplicateJob, QueuedJob};
use super::tally::Tally;
use super::{FireError, FireErrorKind, FireReport, Fired};
use crate::handler::{AsyncOptions, Context, HandlerKind, JobOptions};
use crate::instance::Extensions;
use crate::job::{
    DerivedIds, JobId, JobMeta, NewJob, Payload, UniqueKey, UniqueLock, canonical_fields, canonical_json,
};
use crate::point::{ExtensionPoint, PointInfo};
use crate::queue::Pushed;
use crate::registry::{PointTable, QueuedEntry};
use crate::telemetry::names::event;

/// A payload larger than this is refused.
pub(crate) const MAX_PAYLOAD: usize = 1024 * 1024;
/// A payload larger than this is warned about, once per point type.
pub(crate) const LARGE_PAYLOAD: usize = 64 * 1024;

/// A fire whose inline handlers are done, and whose jobs were made.
pub(super) struct Prepared<P: ExtensionPoint> {
    point: P,
    tally: Option<Box<Tally<P>>>,
    started: Option<Instant>,
}

impl<P: ExtensionPoint> Prepared<P> {
    /// Adds the jobs of the fire to `jobs`; none where it fails.
    pub(super) fn new(
        table: &PointTable<P>,
        gate: Gate<'_>,
        point: P,
        tally: Option<Box<Tally<P>>>,
        jobs: &mut Vec<NewJob>,
    ) -> Result<Self, FireError> {
        let runs_nothing = |report: &FireReport| report.veto.is_some() || report.is_silenced();
        if tally.as_ref().is_some_and(|tally| runs_nothing(&tally.report)) {
            return Ok(Self { point, tally, started: None });
        }
        let mut prepared = Self { point, tally, started: None };
        let before = jobs.len();
        jobs.extend(gate.cx.take_kept());
        match prepared.make_jobs(table, gate, jobs) {
            Ok(()) => Ok(prepared),
            Err(kind) => {
                jobs.truncate(before);
                let report = prepared.tally.map(|tally| tally.report).unwrap_or_default();
                Err(FireError::new(kind, P::info().name).with_report(report).with_point(prepared.point))
            }
        }
    }

    fn make_jobs(
        &mut self,
        table: &PointTable<P>,
        gate: Gate<'_>,
        jobs: &mut Vec<NewJob>,
    ) -> Result<(), FireErrorKind> {
        jobs.reserve(table.queued.len());
        let mut maker = JobMaker { table, gate, shared: None };
        for entry in &table.queued {
            match gate.applies(&entry.at, &self.point) {
                Ok(()) => jobs.push(maker.job(entry, &self.point)?),
                Err(Held::Skipped(reason)) => Tally::skip(&mut self.tally, &entry.at.info, reason),
                Err(Held::Failed(error)) => {
                    Tally::fail(&mut self.tally, &entry.at.info, error);
                    if !gate.mode.graceful {
                        return Err(FireErrorKind::HandlerFailed);
                    }
                }
            }
        }
        Ok(())
    }

    /// Pushes the jobs, if there are any, and notes what became of each.
    pub(super) async fn push(
        mut self,
        extensions: &Extensions,
        jobs: Vec<NewJob>,
        to: Destination<'_>,
    ) -> Result<Self, FireError> {
        if jobs.is_empty() {
            return Ok(self);
        }
        let jobs: Arc<[NewJob]> = jobs.into();
        match extensions.push_layered(Arc::clone(&jobs), to).await {
            Ok(pushed) => {
                self.note_pushed(&jobs, &pushed);
                Ok(self)
            }
            Err(error) => Err(self.push_failed(to.refused(error), jobs)),
        }
    }

    pub(super) fn note_pushed(&mut self, jobs: &[NewJob], pushed: &[Pushed]) {
        let report = &mut Tally::ensure(&mut self.tally).report;
        for (job, pushed) in jobs.iter().zip(pushed) {
            match *pushed {
                Pushed::Queued => report.queued.push(queued(job)),
                Pushed::Duplicate { of } => {
                    report.duplicates.push(DuplicateJob { handler: job.handler.clone(), of })
                }
            }
        }
    }

    pub(super) fn push_failed(self, kind: FireErrorKind, jobs: Arc<[NewJob]>) -> FireError {
        let report = self.tally.map(|tally| tally.report).unwrap_or_default();
        let error = FireError::new(kind, P::info().name);
        error.with_report(report).with_point(self.point).with_unqueued(jobs)
    }

    /// Leaves the jobs to the push of the fire around this one.
    pub(super) fn keep_for(mut self, outer: &Context, jobs: Vec<NewJob>) -> Fired<P> {
        if !jobs.is_empty() {
            Tally::ensure(&mut self.tally).report.queued.extend(jobs.iter().map(queued));
            outer.keep(jobs);
        }
        self.into_fired()
    }

    /// Notes when the fire began, where it is timed.
    pub(super) fn since(mut self, started: Option<Instant>) -> Self {
        self.started = started;
        self
    }

    pub(super) fn into_fired(mut self) -> Fired<P> {
        if let Some(started) = self.started {
            Tally::ensure(&mut self.tally).report.total_time = Some(started.elapsed());
        }
        Fired::new(self.point, self.tally)
    }
}

fn queued(job: &NewJob) -> QueuedJob {
    QueuedJob { id: job.id, handler: job.handler.clone(), queue: job.queue.clone() }
}

/// Makes the jobs of one fire; what they share is made once.
struct JobMaker<'a, P: ExtensionPoint> {
    table: &'a PointTable<P>,
    gate: Gate<'a>,
    shared: Option<Shared>,
}

struct Shared {
    payload: Payload,
    meta: JobMeta,
}

impl<P: ExtensionPoint> JobMaker<'_, P> {
    /// The job of one handler.
    fn job(&mut self, entry: &QueuedEntry<P>, point: &P) -> Result<NewJob, FireErrorKind> {
        let info = &entry.at.info;
        let options = options_of(entry, self.gate.mode)?;
        let shared = match &mut self.shared {
            Some(shared) => shared,
            none => none.insert(Shared::new(self.table, self.gate, point)?),
        };
        let handler = entry.key.clone();
        let unique = match &options.unique {
            Some(unique) => {
                let chosen = shared.chosen(&unique.by, &info.name, P::info())?;
                Some(UniqueLock {
                    key: UniqueKey::of(&handler, &chosen),
                    ttl: unique.ttl,
                    until: unique.until,
                })
            }
            None => None,
        };
        let ids = self.gate.cx.ids();
        let mut meta = shared.meta.clone();
        meta.tags.clone_from(&options.tags);
        Ok(NewJob {
            id: ids.map_or_else(JobId::new, |ids| ids.next(&handler)),
            handler,
            point_version: P::info().version,
            payload: shared.payload.clone(),
            queue: options.queue.clone(),
            priority: options.priority,
            max_attempts: options.max_attempts,
            delay: options.delay,
            unique,
            on_failure: options.on_failure || info.kind == HandlerKind::Declared,
            once: ids.and_then(DerivedIds::once),
            meta,
        })
    }
}

impl Shared {
    fn new<P: ExtensionPoint>(
        table: &PointTable<P>,
        gate: Gate<'_>,
        point: &P,
    ) -> Result<Self, FireErrorKind> {
        let encode = table
            .encode
            .ok_or_else(|| FireErrorKind::Unserializable("the point is not queued".to_owned()))?;
        let payload = encode(point).map_err(|error| FireErrorKind::Unserializable(error.to_string()))?;
        if payload.len() > MAX_PAYLOAD {
            return Err(FireErrorKind::TooLarge { size: payload.len(), limit: MAX_PAYLOAD });
        }
        if payload.len() > LARGE_PAYLOAD && !table.state.warned_large.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                name: event::LARGE_PAYLOAD,
                point = &*table.name,
                size = payload.len(),
                "large payload: pass ids and fetch the rest in the handler; from 1 MiB on the fire fails"
            );
        }
        Ok(Self { payload: payload.into(), meta: gate.cx.meta(gate.extensions.traceparent()) })
    }

    /// The part of the payload that makes a unique key; a field that was left out counts as null.
    fn chosen(&self, fields: &[String], handler: &str, point: &PointInfo) -> Result<String, FireErrorKind> {
        let unserializable = |error: serde_json::Error| FireErrorKind::Unserializable(error.to_string());
        let payload = std::str::from_utf8(self.payload.as_bytes())
            .map_err(|error| FireErrorKind::Unserializable(error.to_string()))?;
        if fields.is_empty() {
            return canonical_json(payload).map_err(unserializable);
        }
        if let Some(field) = fields.iter().find(|field| !point.may_have(field)) {
            let message = format!(
                "`unique_by` of `{handler}` names the field `{field}`, which the payload does not have"
            );
            return Err(FireErrorKind::Option(message));
        }
        canonical_fields(payload, fields).map_err(unserializable)
    }
}

/// The options of a handler's job in one fire.
pub(super) fn options_of<'a, P: ExtensionPoint>(
    entry: &'a QueuedEntry<P>,
    mode: &Mode,
) -> Result<Cow<'a, JobOptions>, FireErrorKind> {
    match mode.overrides.as_deref() {
        Some(overrides) => overridden::<P>(entry, overrides),
        None => Ok(Cow::Borrowed(&*entry.options)),
    }
}

fn overridden<'a, P: ExtensionPoint>(
    entry: &'a QueuedEntry<P>,
    overrides: &Overrides,
) -> Result<Cow<'a, JobOptions>, FireErrorKind> {
    let mine = overrides.one.iter().filter(|(which, _)| which.is(&entry.at.info)).map(|(_, options)| options);
    let mut options = JobOptions::clone(&entry.options);
    for change in [&overrides.all].into_iter().chain(mine) {
        let fixed = change.fixed_per_handler();
        if !fixed.is_empty() {
            let message = format!(
                "{} cannot be changed for one fire: every job of a handler has the same; write it on the handler",
                fixed.join(", ")
            );
            return Err(FireErrorKind::Option(message));
        }
        apply(&mut options, change, P::info());
    }
    let checked = AsyncOptions::new()
        .queue(options.queue.as_str())
        .priority(options.priority)
        .max_attempts(options.max_attempts);
    match checked.resolve(P::info()) {
        Ok(_) => Ok(Cow::Owned(options)),
        Err(wrong) => Err(FireErrorKind::Option(wrong.join("; "))),
    }
}

fn apply(options: &mut JobOptions, change: &AsyncOptions, point: &PointInfo) {
    if let Some(queue) = &change.queue {
        options.queue = queue.as_str().into();
    }
    if let Some(delay) = change.delay {
        options.delay = delay;
    }
    if let Some(priority) = change.priority {
        options.priority = priority;
    }
    if let Some(max_attempts) = change.max_attempts {
        options.max_attempts = max_attempts;
    }
    options.tags.extend(change.handler.tags.iter().cloned());
    change.apply_unique(options, point);
}
