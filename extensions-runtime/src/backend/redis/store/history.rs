//! What workers did, by the minute (Q43).

use std::time::Duration;

use redis::Value;

use super::super::error::Failure;
use super::wire::{self, Lane};
use super::{Store, answer, script};
use crate::backend::history::{self, KEPT, first_minute};
use crate::queue::{HistoryEntry, Tally, WorkerInfo};
use crate::time::{Timestamp, millis};

/// The length of a stored tally: nine numbers of six bytes.
const FIGURES: usize = 54;
/// How many minutes are read in one step.
const STEP: i64 = 120 * MINUTE;
const MINUTE: i64 = 60_000;

impl Store {
    pub(in crate::backend::redis) async fn beat(
        &self,
        worker: &WorkerInfo,
        done: &[Tally],
    ) -> Result<(), Failure> {
        let info = serde_json::to_vec(worker)
            .map_err(|_| Failure::Answer("what the worker says cannot be written down"))?;
        self.step(&script::BEAT, |cmd| {
            cmd.arg(worker.id.as_bytes().as_slice()).arg(wire::bounded_millis(worker.live_for)).arg(&info);
            cmd.arg(millis(KEPT) + 2 * MINUTE);
            for tally in done {
                cmd.arg(wire::lane_name(&tally.queue, &tally.handler, 0)).arg(packed(tally));
            }
        })
        .await
        .map(drop)
    }

    pub(in crate::backend::redis) async fn history(
        &self,
        since: Duration,
    ) -> Result<Vec<HistoryEntry>, Failure> {
        let now = self.now().await?;
        let (mut first, last) = (first_minute(now, since).as_millis(), now.as_millis() + MINUTE);
        let mut entries = Vec::new();
        while first <= last {
            let to = (first + STEP - MINUTE).min(last);
            let step = self.step(&script::HISTORY, |cmd| {
                cmd.arg(first).arg(to);
            });
            for (minute, done) in answer::pairs(step.await?)? {
                entries.extend(read(Timestamp::from_millis(answer::number(&minute)?), done)?);
            }
            first = to - to.rem_euclid(MINUTE) + MINUTE;
        }
        Ok(entries)
    }

    /// The server's time.
    pub(in crate::backend::redis) async fn now(&self) -> Result<Timestamp, Failure> {
        let [seconds, micros] = answer::parts(self.connection.command(&redis::cmd("TIME")).await?)?;
        let millis = answer::number(&seconds)?.saturating_mul(1000) + answer::number(&micros)? / 1000;
        Ok(Timestamp::from_millis(millis))
    }
}

fn packed(tally: &Tally) -> Vec<u8> {
    history::figures(tally).iter().flat_map(|figure| figure.to_be_bytes()[2..].to_vec()).collect()
}

/// The entries of a minute, in order; what cannot be read is left out.
fn read(minute: Timestamp, done: Value) -> Result<Vec<HistoryEntry>, Failure> {
    let mut entries = Vec::new();
    for (name, figures) in answer::pairs(done)? {
        let (lane, packed) = (Lane::read(answer::bytes(&name)?), answer::bytes(&figures)?);
        let Some(lane) = lane.filter(|_| packed.len() == FIGURES) else { continue };
        let mut figures = [0; 9];
        for (figure, bytes) in figures.iter_mut().zip(packed.chunks_exact(6)) {
            *figure = bytes.iter().fold(0, |sum, byte| sum << 8 | i64::from(*byte));
        }
        entries.push(HistoryEntry { minute, tally: history::tally(lane.queue, lane.handler, figures) });
    }
    entries.sort_by(|a, b| (&a.tally.queue, &a.tally.handler).cmp(&(&b.tally.queue, &b.tally.handler)));
    Ok(entries)
}
