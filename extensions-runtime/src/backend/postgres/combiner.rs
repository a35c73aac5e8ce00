//! Pushes that wait at the same time go in one statement; each is answered for itself. Those that may have to wait for somebody
//! else's transaction, for a key or an id, go apart from all others.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::Core;
use super::driver::{Call, Failure};
use super::error;
use super::store::{Store, lane_keys, takes};
use crate::job::NewJob;
use crate::queue::{Pushed, QueueError};

/// How many jobs share a statement; a larger push goes alone.
const GROUP: usize = 1000;

/// How often a push is made anew because the store was replaced.
const REPLACED: u32 = 3;

type Reply = oneshot::Sender<Result<Vec<Pushed>, QueueError>>;

#[derive(Debug)]
struct Waiting {
    jobs: Arc<[NewJob]>,
    reply: Reply,
}

/// How many statements with keys or ids to be taken are under way at once.
const TAKING: usize = 4;

/// The pushes that wait.
#[derive(Debug, Default)]
pub(super) struct Combiner {
    plain: Line,
    taking: Line,
}

/// Pushes that may share a statement.
#[derive(Debug, Default)]
struct Line {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<Waiting>,
    /// How many statements are under way.
    busy: usize,
}

impl Combiner {
    const fn line(&self, takes: bool) -> (&Line, usize) {
        if takes { (&self.taking, TAKING) } else { (&self.plain, 1) }
    }
}

impl Line {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next pushes to go together; none ends the turn.
    fn next(&self) -> Vec<Waiting> {
        let mut state = self.state();
        let mut jobs = 0;
        let fits = |waiting: &&Waiting| {
            jobs += waiting.jobs.len();
            jobs <= GROUP
        };
        let n = state.waiting.iter().take_while(fits).count();
        if n == 0 {
            state.busy -= 1;
        }
        state.waiting.drain(..n).collect()
    }
}

impl Core {
    /// Queues a push at once; its answer comes after the commit.
    pub(super) async fn push(
        self: &Arc<Self>,
        jobs: Arc<[NewJob]>,
    ) -> oneshot::Receiver<Result<Vec<Pushed>, QueueError>> {
        let (reply, answer) = oneshot::channel();
        let core = Arc::clone(self);
        let home = self.homes.here().await;
        if jobs.len() > GROUP {
            Self::begin(home, async move {
                let pushed = core.push_now([jobs].into()).await;
                let _ = reply.send(pushed.map_err(|failure| failure.error));
            });
            return answer;
        }
        let takes = jobs.iter().any(takes);
        let (line, most) = self.combiner(home).line(takes);
        let mut state = line.state();
        state.waiting.push(Waiting { jobs, reply });
        if state.busy < most {
            state.busy += 1;
            drop(state);
            Self::begin(home, async move { core.push_waiting(takes).await });
        }
        answer
    }

    async fn push_waiting(self: Arc<Self>, takes: bool) {
        loop {
            let group = self.combiner(&Handle::current()).line(takes).0.next();
            if group.is_empty() {
                return;
            }
            self.push_group(group).await;
        }
    }

    /// Pushes together; if something in the group is refused, each alone, so that each learns its own outcome.
    async fn push_group(&self, group: Vec<Waiting>) {
        let jobs = group.iter().map(|waiting| Arc::clone(&waiting.jobs)).collect();
        match self.push_now(jobs).await {
            Ok(mut pushed) => {
                for waiting in group {
                    let rest = pushed.split_off(waiting.jobs.len().min(pushed.len()));
                    let _ = waiting.reply.send(Ok(std::mem::replace(&mut pushed, rest)));
                }
            }
            Err(failure) if failure.refused && group.len() > 1 => {
                for waiting in group {
                    let alone = self.push_now([Arc::clone(&waiting.jobs)].into()).await;
                    let _ = waiting.reply.send(alone.map_err(|failure| failure.error));
                }
            }
            Err(failure) => {
                for waiting in group {
                    let _ = waiting.reply.send(Err(failure.error.duplicate()));
                }
            }
        }
    }

    pub(super) async fn push_now(&self, jobs: Arc<[Arc<[NewJob]>]>) -> Result<Vec<Pushed>, Failure> {
        let count = jobs.iter().map(|jobs| jobs.len()).sum();
        let is_one = Store::is_one_statement(count);
        let mut all_new = is_one && !all(&jobs).any(takes);
        let lanes = lane_keys(all(&jobs));
        for _ in 0..REPLACED {
            self.know_lanes("push", &lanes).await?;
            if std::mem::take(&mut all_new) && self.push_new(Arc::clone(&jobs)).await? {
                self.tell_of(&lanes);
                return Ok(vec![Pushed::Queued; count]);
            }
            let call = Call { transaction: !is_one, ..Call::one("push") };
            let pushed = self.driver.run(call, |conn, _| {
                let (store, jobs) = (Arc::clone(&self.store), Arc::clone(&jobs));
                Box::pin(async move { store.push(conn, &all(&jobs).collect::<Vec<_>>()).await })
            });
            match pushed.await? {
                Some(pushed) => {
                    self.tell_of(&lanes);
                    return Ok(pushed);
                }
                None => self.refresh("push").await?,
            }
        }
        Err(Failure { error: error::replaced("push"), unsure: false, refused: false })
    }

    async fn push_new(&self, jobs: Arc<[Arc<[NewJob]>]>) -> Result<bool, Failure> {
        let pushed = self.driver.run(Call::one("push"), |conn, _| {
            let (store, jobs) = (Arc::clone(&self.store), Arc::clone(&jobs));
            Box::pin(async move { store.push_new(conn, &all(&jobs).collect::<Vec<_>>()).await })
        });
        pushed.await
    }
}

fn all(pushes: &[Arc<[NewJob]>]) -> impl Iterator<Item = &NewJob> {
    pushes.iter().flat_map(|jobs| jobs.iter())
}
