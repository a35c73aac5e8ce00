//! What this process knows of the lanes: names and numbers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use redis::Value;

use super::super::error::Failure;
use super::answer;
use super::wire::Lane;
use crate::job::{HandlerKey, QueueName};
use crate::queue::{ClaimRequest, KnownHandler};

/// A state of the table of lanes, which the server names by a stamp.
#[derive(Debug, Default)]
pub(super) struct LaneMap {
    pub(super) stamp: String,
    pub(super) by_number: HashMap<u32, Lane>,
}

impl LaneMap {
    pub(super) fn read(stamp: &str, table: Value) -> Result<Self, Failure> {
        let mut by_number = HashMap::new();
        for (number, name) in answer::pairs(table)? {
            if let (Ok(number), Some(lane)) =
                (u32::try_from(answer::number(&number)?), Lane::read(answer::bytes(&name)?))
            {
                by_number.insert(number, lane);
            }
        }
        Ok(Self { stamp: stamp.to_owned(), by_number })
    }

    /// One entry of `size` bytes for each number up to the largest.
    pub(super) fn mask<const SIZE: usize>(
        &self,
        empty: [u8; SIZE],
        of: impl Fn(u32, &Lane) -> Option<[u8; SIZE]>,
    ) -> Vec<u8> {
        let last = self.by_number.keys().max().map_or(0, |last| *last as usize);
        let mut mask = empty.repeat(last);
        for (number, lane) in &self.by_number {
            if let (Some(entry), Some(at)) = (of(*number, lane), (*number as usize).checked_sub(1)) {
                mask[at * SIZE..(at + 1) * SIZE].copy_from_slice(&entry);
            }
        }
        mask
    }
}

/// What a worker asks for at every claim: its queues, and which lanes of them it can serve.
#[derive(Debug)]
pub(super) struct Wanted {
    asked_queues: Vec<QueueName>,
    asked_handlers: Arc<[KnownHandler]>,
    pub(super) stamp: String,
    /// Each queue once.
    pub(super) queues: Vec<QueueName>,
    pub(super) mask: Vec<u8>,
}

/// How many workers' wishes are kept.
const KEPT: usize = 16;

/// The newest state that was heard of, and what the workers of this process asked for lately.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    map: RwLock<Arc<LaneMap>>,
    wanted: Mutex<Vec<Arc<Wanted>>>,
}

impl Lanes {
    pub(super) fn map(&self) -> Arc<LaneMap> {
        Arc::clone(&self.map.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn learn(&self, map: LaneMap) -> Arc<LaneMap> {
        let map = Arc::new(map);
        *self.map.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&map);
        map
    }

    pub(super) fn wanted(&self, request: &ClaimRequest) -> Arc<Wanted> {
        let map = self.map();
        let mut kept = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|wanted| wanted.stamp == map.stamp);
        let known = kept.iter().find(|wanted| {
            Arc::ptr_eq(&wanted.asked_handlers, &request.handlers) && wanted.asked_queues == request.queues
        });
        if let Some(wanted) = known {
            return Arc::clone(wanted);
        }
        let wanted = Arc::new(want(&map, request));
        if kept.len() >= KEPT {
            kept.remove(0);
        }
        kept.push(Arc::clone(&wanted));
        wanted
    }
}

fn want(map: &LaneMap, request: &ClaimRequest) -> Wanted {
    let mut queues: Vec<QueueName> = Vec::new();
    for queue in &request.queues {
        if !queues.contains(queue) && queues.len() < usize::from(u16::MAX) {
            queues.push(queue.clone());
        }
    }
    let places: HashMap<&QueueName, u16> = queues.iter().zip(1..).collect();
    let mut newest: HashMap<&HandlerKey, u32> = HashMap::new();
    for known in request.handlers.iter() {
        let version = newest.entry(&known.handler).or_default();
        *version = known.max_version.max(*version);
    }
    let mask = map.mask([0, 0], |_, lane| {
        newest.get(&lane.handler).filter(|newest| lane.version <= **newest)?;
        places.get(&lane.queue).map(|place| place.to_be_bytes())
    });
    Wanted {
        asked_queues: request.queues.clone(),
        asked_handlers: Arc::clone(&request.handlers),
        stamp: map.stamp.clone(),
        mask,
        queues,
    }
}
