//! What is there: figures, workers, records, lists.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use redis::Value;

use super::super::error::Failure;
use super::lanes::LaneMap;
use super::wire::{self, Body, Lane, State};
use super::{Store, answer, script};
use crate::backend::rules::Routes;
use crate::job::{JobId, JobRecord, JobState, QueueName, UniqueKey};
use crate::queue::{JobFilter, QueueStats, WorkerInfo};
use crate::time::Timestamp;

/// How many records are looked at in one step.
const LOOK: usize = 500;
/// What a script answers while the index for lists is being made.
const MAKING_INDEX: &[u8] = b"+";
/// How often a process looks which lanes no live worker can serve.
const MARK_EVERY: Duration = Duration::from_secs(5);

/// The whole but for the jobs themselves, at one moment.
#[derive(Debug)]
pub(super) struct View {
    now: Timestamp,
    lanes: Arc<LaneMap>,
    counts: Vec<(u32, JobState, u64)>,
    meta: HashMap<String, String>,
    pub(super) workers: Vec<WorkerInfo>,
    /// Lanes with the time since which their longest waiting job may run.
    waits: Vec<(u32, Timestamp)>,
}

/// When this process last marked the lanes that nobody serves.
#[derive(Debug, Default)]
pub(super) struct Marking(Mutex<Option<Instant>>);

impl Marking {
    fn is_due(&self) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|last| last.elapsed() >= MARK_EVERY);
        if due {
            *last = Some(Instant::now());
        }
        due
    }
}

impl View {
    fn read(answer: Value) -> Result<Self, Failure> {
        let mut parts = answer::array(answer)?;
        let waits = parts.split_off(parts.len().min(6));
        let [now, lanes, counts, meta, beats, workers] = answer::parts(Value::Array(parts))?;
        let now = Timestamp::from_millis(answer::number(&now)?);
        let read = |(key, value): (Value, Value)| -> Result<_, Failure> {
            Ok((String::from_utf8_lossy(answer::bytes(&key)?).into_owned(), answer::text(&value)?.to_owned()))
        };
        let meta: HashMap<_, _> = answer::pairs(meta)?.into_iter().map(read).collect::<Result<_, _>>()?;
        let stamp = meta.get("stamp").map_or("0", String::as_str);
        let mut counted = Vec::new();
        for (field, count) in answer::pairs(counts)? {
            counted.extend(
                lane_and_state(answer::bytes(&field)?)
                    .zip(answer::count(&count).ok())
                    .map(|((l, s), n)| (l, s, n)),
            );
        }
        let mut earliest = Vec::new();
        for pair in waits.chunks_exact(2) {
            let lane = u32::try_from(answer::number(&pair[0])?).unwrap_or(0);
            earliest.push((lane, Timestamp::from_millis(answer::number(&pair[1])?)));
        }
        Ok(Self {
            now,
            lanes: Arc::new(LaneMap::read(stamp, lanes)?),
            counts: counted,
            workers: live_workers(beats, workers, now)?,
            meta,
            waits: earliest,
        })
    }

    /// The state under which a job of the lane shows.
    pub(super) fn shown(&self, routes: &Routes<'_>, state: JobState, lane: u32) -> JobState {
        match self.lanes.by_number.get(&lane) {
            Some(of) if state == JobState::Available && lacks(routes, of) => JobState::Unroutable,
            _ => state,
        }
    }

    pub(super) fn routes(&self) -> Routes<'_> {
        Routes::of(&self.workers)
    }

    /// Since when no live worker can serve the lane.
    fn lacking_since(&self, lane: u32) -> Option<Timestamp> {
        self.meta.get(&format!("lacking:{lane}"))?.parse().ok().map(Timestamp::from_millis)
    }

    fn stats(&self) -> Vec<QueueStats> {
        let routes = self.routes();
        let mut queues: BTreeMap<QueueName, QueueStats> = BTreeMap::new();
        let mut of = |queue: &QueueName, note: &mut dyn FnMut(&mut QueueStats)| {
            note(queues.entry(queue.clone()).or_insert_with(|| QueueStats::empty(queue.clone())));
        };
        for (lane, state, count) in self.counts.iter().filter(|(_, _, count)| *count > 0) {
            if let Some(Lane { queue, .. }) = self.lanes.by_number.get(lane) {
                of(queue, &mut |stats| {
                    *stats.counts.entry(self.shown(&routes, *state, *lane)).or_default() += count
                });
            }
        }
        for (lane, since) in &self.waits {
            if let Some(Lane { queue, .. }) = self.lanes.by_number.get(lane) {
                let waited = self.now.since(*since);
                of(queue, &mut |stats| stats.oldest_wait = stats.oldest_wait.max(Some(waited)));
            }
        }
        for queue in self.meta.keys().filter_map(|field| field.strip_prefix("paused:")) {
            of(&queue.into(), &mut |stats| stats.paused = true);
        }
        for queue in self.workers.iter().flat_map(|worker| &worker.queues) {
            of(queue, &mut |stats| stats.workers += 1);
        }
        queues.into_values().collect()
    }

    fn record(&self, id: JobId, parts: &[Value]) -> Option<JobRecord> {
        let state = State::read(answer::bytes(parts.first()?).ok()?)?;
        let body = Body::read(answer::bytes(parts.get(1)?).ok()?, self.lanes.by_number.get(&state.head.lane));
        let more = |at: usize| parts.get(at).and_then(|part| answer::bytes(part).ok());
        let shown = self.shown(&self.routes(), state.state, state.head.lane);
        let owes_on_failure = state.head.owes();
        let mut entered = state.entered;
        if shown == JobState::Unroutable {
            let since = self.lacking_since(state.head.lane).unwrap_or(self.now);
            let available = entered.get(&JobState::Available).copied().unwrap_or(since);
            entered.insert(shown, since.max(available));
        }
        Some(JobRecord {
            id,
            state: shown,
            handler: body.lane.handler,
            point_version: body.lane.version,
            payload: body.payload,
            queue: body.lane.queue,
            priority: state.head.priority,
            attempt: state.head.attempt,
            max_attempts: body.max_attempts,
            lost_count: state.head.lost_count,
            run_at: state.head.run_at,
            enqueued_at: state.head.enqueued_at,
            entered,
            errors: more(2).map(wire::errors).unwrap_or_default(),
            reason: more(3).map(|reason| String::from_utf8_lossy(reason).into_owned()),
            unique: more(6).and_then(|key| Some(UniqueKey::from(std::str::from_utf8(key.get(7..)?).ok()?))),
            worker: (state.token != 0).then_some(state.worker),
            progress: more(4).and_then(|progress| serde_json::from_slice(progress).ok()),
            result: more(5).map(Into::into),
            owes_on_failure,
            meta: body.meta,
        })
    }

    /// The letters of the states that are looked for, each with the lanes in which it counts.
    fn masks(&self, filter: &JobFilter) -> Vec<(u8, Vec<u8>)> {
        let routes = self.routes();
        let lane_fits = |lane: &Lane| {
            filter.queue.as_ref().is_none_or(|queue| lane.queue == *queue)
                && filter.handler.as_ref().is_none_or(|handler| lane.handler == *handler)
        };
        let wanted = |state| filter.states.is_empty() || filter.states.contains(&state);
        let stored = JobState::ALL.into_iter().filter(|state| *state != JobState::Unroutable);
        let masks = stored.map(|state| {
            let mask = self.lanes.mask([b'0'], |number, lane| {
                (lane_fits(lane) && wanted(self.shown(&routes, state, number))).then_some([b'1'])
            });
            (wire::letter_of(state), mask)
        });
        masks.filter(|(_, mask)| mask.contains(&b'1')).collect()
    }
}

fn lacks(routes: &Routes<'_>, lane: &Lane) -> bool {
    routes.lack(&lane.queue, &lane.handler, lane.version)
}

/// `12a`: the available jobs of lane 12.
fn lane_and_state(field: &[u8]) -> Option<(u32, JobState)> {
    let (letter, lane) = field.split_last()?;
    Some((std::str::from_utf8(lane).ok()?.parse().ok()?, wire::state_of(*letter)?))
}

fn live_workers(beats: Value, workers: Value, now: Timestamp) -> Result<Vec<WorkerInfo>, Failure> {
    let mut times = HashMap::new();
    for (id, beat) in answer::pairs(beats)? {
        let beat = answer::bytes(&beat)?;
        let time = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | i64::from(*byte));
        if beat.len() == 12 && Timestamp::from_millis(time(&beat[6..])) > now {
            times.insert(answer::bytes(&id)?.to_vec(), Timestamp::from_millis(time(&beat[..6])));
        }
    }
    let mut live = Vec::new();
    for (id, info) in answer::pairs(workers)? {
        let info = serde_json::from_slice::<WorkerInfo>(answer::bytes(&info)?).ok();
        if let (Some(last_beat), Some(info)) = (times.get(answer::bytes(&id)?), info) {
            live.push(WorkerInfo { last_beat: *last_beat, ..info });
        }
    }
    live.sort_by_key(|worker| worker.id);
    Ok(live)
}

impl Store {
    pub(super) async fn view(&self, waits: bool) -> Result<View, Failure> {
        View::read(
            self.step(&script::VIEW, |cmd| {
                cmd.arg(u8::from(waits));
            })
            .await?,
        )
    }

    pub(in crate::backend::redis) async fn stats(&self) -> Result<Vec<QueueStats>, Failure> {
        Ok(self.view(true).await?.stats())
    }

    pub(in crate::backend::redis) async fn workers(&self) -> Result<Vec<WorkerInfo>, Failure> {
        Ok(self.view(false).await?.workers)
    }

    pub(in crate::backend::redis) async fn get(
        &self,
        ids: &[JobId],
    ) -> Result<Vec<Option<JobRecord>>, Failure> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        self.records(&self.view(false).await?, ids).await
    }

    async fn records(&self, view: &View, ids: &[JobId]) -> Result<Vec<Option<JobRecord>>, Failure> {
        let mut records = Vec::with_capacity(ids.len());
        for ids in ids.chunks(LOOK) {
            let found = self.step(&script::GET, |cmd| {
                for id in ids {
                    cmd.arg(id.as_bytes().as_slice());
                }
            });
            for (id, found) in ids.iter().zip(answer::array(found.await?)?) {
                records.push(view.record(*id, &answer::array(found)?));
            }
        }
        Ok(records)
    }

    pub(in crate::backend::redis) async fn list(
        &self,
        filter: &JobFilter,
    ) -> Result<Vec<JobRecord>, Failure> {
        let view = self.view(false).await?;
        let masks = view.masks(filter);
        if masks.is_empty() {
            return Ok(Vec::new());
        }
        let mut after = filter.after.map(|after| after.as_bytes().to_vec()).unwrap_or_default();
        let mut found = Vec::new();
        while found.len() < filter.page() {
            let listed = self.step(&script::LIST, |cmd| {
                cmd.arg(&after).arg(filter.page() - found.len()).arg(LOOK).arg(u8::from(filter.newest));
                for (letter, mask) in &masks {
                    cmd.arg(&[*letter][..]).arg(mask);
                }
            });
            let mut listed = answer::array(listed.await?)?.into_iter();
            let last = listed.next().unwrap_or(Value::Nil);
            match answer::bytes(&last)? {
                MAKING_INDEX => continue,
                last => last.clone_into(&mut after),
            }
            for id in listed {
                found.push(answer::id(&id)?);
            }
            if after.is_empty() {
                break;
            }
        }
        Ok(self.records(&view, &found).await?.into_iter().flatten().collect())
    }

    /// Notes from when on no live worker can serve a lane, so that its jobs can say since when they are unroutable.
    pub(super) async fn mark_lanes(&self) -> Result<(), Failure> {
        if !self.marking.is_due() {
            return Ok(());
        }
        let view = self.view(false).await?;
        let routes = view.routes();
        let wrong =
            |(number, lane): &(&u32, &Lane)| lacks(&routes, lane) != view.lacking_since(**number).is_some();
        let changed: Vec<_> = view
            .lanes
            .by_number
            .iter()
            .filter(wrong)
            .map(|(number, lane)| (*number, lacks(&routes, lane)))
            .collect();
        if !changed.is_empty() {
            self.step(&script::MARK, |cmd| {
                for (number, lacking) in &changed {
                    cmd.arg(*number).arg(u8::from(*lacking));
                }
            })
            .await?;
        }
        Ok(())
    }
}
