//! Pushes that come at the same time share a call of the script; each still learns its own outcome.

use std::sync::Arc;

use redis::Value;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use super::super::driver::Driver;
use super::super::error::{self, Failure};
use super::answer;
use super::connection::{Connection, Repeat};
use super::script;
use super::wire::{Batch, LaneTable, Runs};
use crate::queue::{Pushed, QueueError};

/// A call takes no more pushes in when it has this many jobs or bytes, so that no script runs for long.
const MOST_JOBS: usize = 1000;
const MOST_BYTES: usize = 8 << 20;

pub(super) type Answer = Result<Vec<Pushed>, QueueError>;

#[derive(Debug)]
struct Push {
    batch: Batch,
    reply: oneshot::Sender<Answer>,
}

#[derive(Debug)]
pub(super) struct Pusher {
    pushes: UnboundedSender<Push>,
}

impl Pusher {
    pub(super) fn start(driver: &Driver, connection: Arc<Connection>) -> Self {
        let (pushes, inbox) = unbounded_channel();
        driver.spawn(run(connection, inbox));
        Self { pushes }
    }

    pub(super) fn push(&self, batch: Batch) -> oneshot::Receiver<Answer> {
        let (reply, answer) = oneshot::channel();
        let _ = self.pushes.send(Push { batch, reply });
        answer
    }
}

async fn run(connection: Arc<Connection>, mut inbox: UnboundedReceiver<Push>) {
    let mut group = Vec::new();
    let mut next = None;
    loop {
        let first = match next.take() {
            Some(push) => push,
            None => match inbox.recv().await {
                Some(push) => push,
                None => return,
            },
        };
        let (mut jobs, mut bytes) = (first.batch.len(), first.batch.size());
        group.push(first);
        while let Ok(push) = inbox.try_recv() {
            jobs += push.batch.len();
            bytes += push.batch.size();
            if jobs > MOST_JOBS || bytes > MOST_BYTES {
                next = Some(push);
                break;
            }
            group.push(push);
        }
        send(&connection, &mut group).await;
    }
}

/// Sends a group in one call. What the server refuses is tried again one by one, so that nobody's push fails for another's.
async fn send(connection: &Connection, group: &mut Vec<Push>) {
    match call(connection, group).await {
        Ok(outcomes) => {
            for (push, outcome) in group.drain(..).zip(outcomes) {
                let _ = push.reply.send(Ok(outcome));
            }
        }
        Err(failure) if group.len() == 1 || failure.ends_connection() => {
            for push in group.drain(..) {
                let _ = push.reply.send(Err(error::map(&failure, "push")));
            }
        }
        Err(_) => {
            for push in group.drain(..) {
                let outcome = call(connection, std::slice::from_ref(&push)).await;
                let outcome = outcome.map(|mut outcomes| outcomes.pop().unwrap_or_default());
                let _ = push.reply.send(outcome.map_err(|failure| error::map(&failure, "push")));
            }
        }
    }
}

async fn call(connection: &Connection, group: &[Push]) -> Result<Vec<Vec<Pushed>>, Failure> {
    let mut table = LaneTable::default();
    let places: Vec<_> = group.iter().map(|push| table.places(&push.batch)).collect();
    let runs = Runs::of(group.iter().map(|push| &push.batch).zip(places.iter().map(Vec::as_slice)));
    let answer = connection
        .call(&script::PUSH, Repeat::Yes, |cmd| {
            table.write(cmd);
            runs.write(cmd);
        })
        .await?;
    outcomes(answer, group)
}

/// The script names only the jobs that were not stored for another one's key: their places in the call, and the holders.
fn outcomes(answer: Value, group: &[Push]) -> Result<Vec<Vec<Pushed>>, Failure> {
    let mut outcomes: Vec<_> = group.iter().map(|push| vec![Pushed::Queued; push.batch.len()]).collect();
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
