//! Pushes that come at the same time share a call of the script; each still learns its own outcome.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redis::{Cmd, Value};
use tokio::sync::oneshot;

use super::super::error::{self, Failure};
use super::answer;
use super::connection::{Connection, Repeat};
use super::script;
use super::wire::{Batch, LaneTable, Runs, bounded_millis};
use crate::job::QueueName;
use crate::queue::{ClaimRequest, Pushed, QueueError};
use crate::time::Timestamp;

/// A call takes no more pushes in when it has this many jobs or bytes, so that no script runs for long.
const MOST_JOBS: usize = 1000;
const MOST_BYTES: usize = 8 << 20;

pub(super) type Answer = Result<Vec<Pushed>, QueueError>;

type Push = (Batch, oneshot::Sender<Answer>);

/// What is under way.
#[derive(Debug, Default)]
struct Under {
    /// Whether a push is that its own caller sees to.
    alone: bool,
    /// Whether the last call was for several: then the next one is the thread's too, and those that come meanwhile wait for it.
    crowded: bool,
    /// The pushes that wait for the call before to end; none while there is no call for several.
    waiting: Option<VecDeque<Push>>,
}

#[derive(Debug)]
pub(super) struct Pusher {
    connection: Arc<Connection>,
    under_way: Mutex<Under>,
}

/// The only push under way, until it ends.
struct Alone<'a>(&'a Pusher);

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        self.0.under_way().alone = false;
    }
}

/// Calls for several, one after the other. Where they end early, with the queue's thread, nobody waits for them in vain.
struct Running {
    pusher: Arc<Pusher>,
    is_over: bool,
}

impl Running {
    async fn run(mut self, first: Push) {
        let (mut group, mut replies) = (vec![first.0], vec![first.1]);
        loop {
            send(&self.pusher.connection, &group, replies).await;
            let Some(next) = self.pusher.next() else {
                self.is_over = true;
                return;
            };
            (group, replies) = next;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_over {
            let left = self.pusher.under_way().waiting.take();
            drop(left);
        }
    }
}

impl Pusher {
    pub(super) fn new(connection: Arc<Connection>) -> Self {
        Self { connection, under_way: Mutex::default() }
    }

    fn under_way(&self) -> MutexGuard<'_, Under> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call for several runs on the queue's thread, since none of them may depend on another's caller.
    pub(super) async fn push(self: Arc<Self>, batch: Batch) -> Answer {
        if let Some(_alone) = self.alone() {
            return single(&self.connection, &batch).await;
        }
        let (reply, answer) = oneshot::channel();
        if let Some(first) = self.join((batch, reply)) {
            let running = Running { pusher: Arc::clone(&self), is_over: false };
            self.connection.homes.spawn(running.run(first));
        }
        answer.await.unwrap_or_else(|_| Err(error::gone("push")))
    }

    fn alone(&self) -> Option<Alone<'_>> {
        let mut under_way = self.under_way();
        if under_way.alone || under_way.crowded || under_way.waiting.is_some() {
            return None;
        }
        under_way.alone = true;
        Some(Alone(self))
    }

    /// Lets a push wait for the call before; the push itself where there is none.
    fn join(&self, push: Push) -> Option<Push> {
        let mut under_way = self.under_way();
        if let Some(waiting) = &mut under_way.waiting {
            waiting.push_back(push);
            return None;
        }
        under_way.crowded = false;
        under_way.waiting = Some(VecDeque::new());
        Some(push)
    }

    /// The pushes of the next call.
    fn next(&self) -> Option<(Vec<Batch>, Vec<oneshot::Sender<Answer>>)> {
        let mut under_way = self.under_way();
        let waiting = under_way.waiting.as_mut()?;
        let (mut jobs, mut bytes, mut fit) = (0, 0, 0);
        for (batch, _) in &*waiting {
            jobs += batch.len();
            bytes += batch.size();
            if fit > 0 && (jobs > MOST_JOBS || bytes > MOST_BYTES) {
                break;
            }
            fit += 1;
        }
        if fit == 0 {
            under_way.waiting = None;
            return None;
        }
        let next = waiting.drain(..fit).unzip();
        under_way.crowded = fit > 1;
        Some(next)
    }
}

/// Makes the call of a group. What the server refuses is tried again one by one, so that nobody's push fails for another's.
async fn send(connection: &Arc<Connection>, group: &[Batch], replies: Vec<oneshot::Sender<Answer>>) {
    match call(connection, group).await {
        Ok(outcomes) => {
            for (reply, outcome) in replies.into_iter().zip(outcomes) {
                let _ = reply.send(Ok(outcome));
            }
        }
        Err(failure) if group.len() == 1 || failure.ends_connection() => {
            for reply in replies {
                let _ = reply.send(Err(error::map(&failure, "push")));
            }
        }
        Err(_) => {
            for (batch, reply) in group.iter().zip(replies) {
                let _ = reply.send(single(connection, batch).await);
            }
        }
    }
}

async fn single(connection: &Arc<Connection>, batch: &Batch) -> Answer {
    let outcomes = call(connection, std::slice::from_ref(batch)).await;
    let outcomes = outcomes.map(|mut outcomes| outcomes.pop().unwrap_or_default());
    outcomes.map_err(|failure| error::map(&failure, "push"))
}

async fn call(connection: &Arc<Connection>, group: &[Batch]) -> Result<Vec<Vec<Pushed>>, Failure> {
    outcomes(connection.call(&script::PUSH, Repeat::Yes, |cmd| write(group, cmd)).await?, group)
}

/// Pushes jobs that are claimed by the request in the same step, where nothing is to be had from the queues `before` theirs; when, or what came of the push alone.
pub(super) async fn hand_over(
    connection: &Arc<Connection>,
    batch: &Batch,
    request: &ClaimRequest,
    before: &[&QueueName],
    claim: u64,
) -> Result<Result<Timestamp, Vec<Pushed>>, Failure> {
    let group = std::slice::from_ref(batch);
    let write = |cmd: &mut Cmd| {
        write(group, cmd);
        for queue in before {
            cmd.arg(queue.as_str());
        }
        cmd.arg(before.len())
            .arg(request.worker.as_bytes().as_slice())
            .arg(claim)
            .arg(bounded_millis(request.lease));
    };
    match connection.call(&script::HAND_OVER, Repeat::No, write).await? {
        Value::Int(now) => Ok(Ok(Timestamp::from_millis(now))),
        answer => Ok(Err(outcomes(answer, group)?.pop().unwrap_or_default())),
    }
}

fn write(group: &[Batch], cmd: &mut Cmd) {
    let mut table = LaneTable::default();
    let places: Vec<_> = group.iter().map(|batch| table.places(batch)).collect();
    table.write(cmd);
    Runs::of(group.iter().zip(places.iter().map(Vec::as_slice))).write(cmd);
}

/// The script names only the jobs that were not stored for another one's key: their places in the call, and the holders.
fn outcomes(answer: Value, group: &[Batch]) -> Result<Vec<Vec<Pushed>>, Failure> {
    let mut outcomes: Vec<_> = group.iter().map(|batch| vec![Pushed::Queued; batch.len()]).collect();
    for (place, holder) in answer::pairs(answer)? {
        let of = answer::id(&holder)?;
        let mut at = answer::count(&place)? as usize - 1;
        for own in &mut outcomes {
            if let Some(outcome) = own.get_mut(at) {
                *outcome = Pushed::Duplicate { of };
                break;
            }
            at -= own.len();
        }
    }
    Ok(outcomes)
}
