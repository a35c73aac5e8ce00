//! Upkeep, and what operators do.

use redis::Value;

use super::super::error::Failure;
use super::connection::Repeat;
use super::{STEP, Store, answer, script, wire};
use crate::job::{JobId, JobState, QueueName};
use crate::queue::{AdminOutcome, Maintained, Retention};
use crate::time::millis;

/// How many jobs one round of upkeep prunes at most.
const PRUNED_AT_ONCE: u64 = 5 * STEP;

/// What an operator does to single jobs.
#[derive(Debug, Clone, Copy)]
pub(in crate::backend::redis) enum Act {
    Retry,
    Cancel,
    Forget,
}

impl Store {
    pub(in crate::backend::redis) async fn maintain(
        &self,
        retention: Retention,
    ) -> Result<Maintained, Failure> {
        let done = self
            .connection
            .call(&script::UPKEEP, Repeat::No, |cmd| {
                cmd.arg(STEP);
            })
            .await?;
        let [rescued, quarantined, promoted] = answer::parts(done)?;
        let pruned = self.prune_up_to(retention, PRUNED_AT_ONCE).await?;
        self.mark_lanes().await?;
        Ok(Maintained {
            rescued: answer::count(&rescued)?,
            quarantined: answer::count(&quarantined)?,
            promoted: answer::count(&promoted)?,
            pruned,
        })
    }

    pub(in crate::backend::redis) async fn prune_up_to(
        &self,
        retention: Retention,
        limit: u64,
    ) -> Result<u64, Failure> {
        let mut pruned = 0;
        while pruned < limit {
            let step = (limit - pruned).min(STEP);
            let answer = self.connection.call(&script::PRUNE, Repeat::No, |cmd| {
                cmd.arg(step);
                for kept_for in [retention.completed, retention.cancelled, retention.dead] {
                    cmd.arg(millis(kept_for));
                }
            });
            let [deleted, more] = answer::parts(answer.await?)?;
            pruned += answer::count(&deleted)?;
            if answer::count(&more)? == 0 {
                break;
            }
        }
        Ok(pruned)
    }

    pub(in crate::backend::redis) async fn pause(
        &self,
        queue: &QueueName,
        paused: bool,
    ) -> Result<(), Failure> {
        self.step(&script::PAUSE, |cmd| {
            cmd.arg(queue.as_str()).arg(u8::from(paused));
        })
        .await
        .map(drop)
    }

    pub(in crate::backend::redis) async fn operate(
        &self,
        act: Act,
        reason: &str,
        ids: &[JobId],
    ) -> Result<Vec<AdminOutcome>, Failure> {
        let name = match act {
            Act::Retry => "retry",
            Act::Cancel => "cancel",
            Act::Forget => "forget",
        };
        let mut outcomes = Vec::with_capacity(ids.len());
        for ids in ids.chunks(usize::try_from(STEP).unwrap_or(1)) {
            let answers = self.connection.call(&script::OPERATE, Repeat::No, |cmd| {
                cmd.arg(name).arg(reason);
                for id in ids {
                    cmd.arg(id.as_bytes().as_slice());
                }
            });
            for answer in answer::array(answers.await?)? {
                outcomes.push(self.outcome(&answer).await?);
            }
        }
        Ok(outcomes)
    }

    async fn outcome(&self, answer: &Value) -> Result<AdminOutcome, Failure> {
        let unknown = Failure::Answer("a script answered with an outcome that is none");
        Ok(match answer::bytes(answer)? {
            b"d" => AdminOutcome::Done,
            b"r" => AdminOutcome::Requested,
            b"n" => AdminOutcome::NotFound,
            [b'h', id @ ..] => {
                AdminOutcome::Duplicate(JobId::from_bytes(id.try_into().map_err(|_| unknown)?))
            }
            [b'w', letter, lane @ ..] => {
                let state = wire::state_of(*letter).ok_or(unknown)?;
                let lane = std::str::from_utf8(lane).ok().and_then(|lane| lane.parse().ok()).unwrap_or(0);
                AdminOutcome::WrongState(self.shown(state, lane).await?)
            }
            _ => return Err(unknown),
        })
    }

    async fn shown(&self, state: JobState, lane: u32) -> Result<JobState, Failure> {
        if state != JobState::Available {
            return Ok(state);
        }
        let view = self.view(false).await?;
        Ok(view.shown(&view.routes(), state, lane))
    }
}
