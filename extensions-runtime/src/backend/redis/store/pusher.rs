//! Pushes that come at the same time share a call of the script; each still learns its own outcome.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redis::{Cmd, Value};
use tokio::sync::oneshot;

use super::super::error::{self, Failure};
use super::answer;
use super::connection::{Begun, Connection, Repeat};
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

/// The pushes that wait for the call before to end; none while there is no call.
type Waiting = Option<VecDeque<Push>>;

#[derive(Debug)]
pub(super) struct Pusher {
    connection: Arc<Connection>,
    waiting: Mutex<Waiting>,
}

impl Pusher {
    pub(super) fn new(connection: Arc<Connection>) -> Self {
        Self { connection, waiting: Mutex::default() }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A push, and what is to be done for it on the driver.
    pub(super) fn push(
        self: &Arc<Self>,
        batch: Batch,
    ) -> (oneshot::Receiver<Answer>, Option<impl Future<Output = ()> + Send + 'static>) {
        let (reply, answer) = oneshot::channel();
        let push = Push { batch, reply };
        match &mut *self.waiting() {
            Some(waiting) => {
                waiting.push_back(push);
                return (answer, None);
            }
            none => *none = Some(VecDeque::new()),
        }
        let group = vec![push];
        let begun = begin(&self.connection, &group);
        (answer, Some(Arc::clone(self).run(group, begun)))
    }

    async fn run(self: Arc<Self>, mut group: Vec<Push>, mut begun: Begun) {
        loop {
            send(&self.connection, group, begun).await;
            let Some(next) = self.next() else { return };
            begun = begin(&self.connection, &next);
            group = next;
        }
    }

    /// The pushes of the next call.
    fn next(&self) -> Option<Vec<Push>> {
        let mut all = self.waiting();
        let waiting = all.as_mut()?;
        let (mut jobs, mut bytes, mut fit) = (0, 0, 0);
        for push in &*waiting {
            jobs += push.batch.len();
            bytes += push.batch.size();
            if fit > 0 && (jobs > MOST_JOBS || bytes > MOST_BYTES) {
                break;
            }
            fit += 1;
        }
        if fit == 0 {
            *all = None;
            return None;
        }
        Some(waiting.drain(..fit).collect())
    }
}

fn write(group: &[Push], cmd: &mut Cmd) {
    let mut table = LaneTable::default();
    let places: Vec<_> = group.iter().map(|push| table.places(&push.batch)).collect();
    table.write(cmd);
    Runs::of(group.iter().map(|push| &push.batch).zip(places.iter().map(Vec::as_slice))).write(cmd);
}

fn begin(connection: &Connection, group: &[Push]) -> Begun {
    connection.begin(&script::PUSH, |cmd| write(group, cmd))
}

/// Ends the call of a group. What the server refuses is tried again one by one, so that nobody's push fails for another's.
async fn send(connection: &Connection, group: Vec<Push>, begun: Begun) {
    match call(connection, &group, begun).await {
        Ok(outcomes) => {
            for (push, outcome) in group.into_iter().zip(outcomes) {
                let _ = push.reply.send(Ok(outcome));
            }
        }
        Err(failure) if group.len() == 1 || failure.ends_connection() => {
            for push in group {
                let _ = push.reply.send(Err(error::map(&failure, "push")));
            }
        }
        Err(_) => {
            for push in group {
                let alone = std::slice::from_ref(&push);
                let outcome = call(connection, alone, begin(connection, alone)).await;
                let outcome = outcome.map(|mut outcomes| outcomes.pop().unwrap_or_default());
                let _ = push.reply.send(outcome.map_err(|failure| error::map(&failure, "push")));
            }
        }
    }
}

async fn call(connection: &Connection, group: &[Push], begun: Begun) -> Result<Vec<Vec<Pushed>>, Failure> {
    let answer = connection.finish(begun, &script::PUSH, Repeat::Yes, |cmd| write(group, cmd)).await?;
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
