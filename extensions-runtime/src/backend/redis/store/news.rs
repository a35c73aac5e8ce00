//! Wake-ups: what this process heard of changes in the queues, and the connection on which it hears.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::{PushInfo, PushKind, Value};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, sleep, timeout};

use super::answer;
use super::connection::Connection;
use crate::job::QueueName;
use crate::queue::{Link, WaitCursor};

/// How often a connection on which nothing is heard is asked whether it is still there.
const SILENCE: Duration = Duration::from_secs(5);

/// What was heard.
#[derive(Debug, Default)]
pub(in crate::backend::redis) struct News {
    /// The newest generation of each queue.
    heard: Mutex<HashMap<String, u64>>,
    /// Changes up to this generation may have gone unheard.
    floor: AtomicU64,
    up: AtomicBool,
    changed: Notify,
}

impl News {
    /// To be enabled before looking.
    pub(in crate::backend::redis) fn next(&self) -> Notified<'_> {
        self.changed.notified()
    }

    pub(in crate::backend::redis) fn changed_since(&self, queues: &[QueueName], cursor: WaitCursor) -> bool {
        if cursor.0 < self.floor.load(Ordering::SeqCst) {
            return true;
        }
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        queues.iter().any(|queue| heard.get(queue.as_str()).is_some_and(|at| *at > cursor.0))
    }

    /// Whether changes are heard at once.
    pub(in crate::backend::redis) fn is_up(&self) -> bool {
        self.up.load(Ordering::SeqCst)
    }

    fn hear(&self, info: &PushInfo) {
        if info.kind != PushKind::Message {
            return;
        }
        let Some((generation, queue)) =
            info.data.last().and_then(|message| answer::text(message).ok()?.split_once(' '))
        else {
            return;
        };
        let Ok(generation) = generation.parse() else { return };
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).insert(queue.to_owned(), generation);
        self.changed.notify_waiters();
    }

    fn starts(&self, generation: u64) {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.floor.store(generation, Ordering::SeqCst);
        self.up.store(true, Ordering::SeqCst);
        self.changed.notify_waiters();
    }

    fn ends(&self) {
        self.up.store(false, Ordering::SeqCst);
        self.changed.notify_waiters();
    }
}

/// Listens for as long as anyone may wait.
pub(super) async fn listen(connection: Arc<Connection>, news: Arc<News>) {
    let mut failures = 0;
    loop {
        let began = Instant::now();
        let _ = listen_once(&connection, &news).await;
        news.ends();
        failures = if began.elapsed() > SILENCE { 1 } else { failures + 1 };
        sleep(Link::back_off(failures)).await;
    }
}

async fn listen_once(connection: &Arc<Connection>, news: &News) -> Option<()> {
    let (sender, mut inbox) = unbounded_channel();
    let mut open = connection.subscribe(&connection.key("wake"), sender).await.ok()?;
    // Read after the subscription: what came before is below it, what comes after is heard.
    let mut ask = redis::cmd("HGET");
    ask.arg(connection.key("meta")).arg("gen");
    let generation = match connection.command(&ask).await.ok()? {
        Value::Nil => 0,
        value => answer::count(&value).ok()?,
    };
    news.starts(generation);
    hear_until_lost(connection, news, &mut open, &mut inbox).await
}

async fn hear_until_lost(
    connection: &Arc<Connection>,
    news: &News,
    open: &mut redis::aio::MultiplexedConnection,
    inbox: &mut UnboundedReceiver<PushInfo>,
) -> Option<()> {
    loop {
        match timeout(SILENCE, inbox.recv()).await {
            Ok(Some(info)) if info.kind == PushKind::Disconnection => return None,
            Ok(Some(info)) => news.hear(&info),
            Ok(None) => return None,
            Err(_) if connection.answers(open).await => {}
            Err(_) => return None,
        }
    }
}
