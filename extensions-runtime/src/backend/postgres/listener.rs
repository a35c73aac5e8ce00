//! The one connection that hears of changes.

use std::sync::Weak;
use std::time::Duration;

use sqlx::postgres::{PgListener, PgPoolOptions};

use super::Core;
use crate::queue::Link;

/// Listens once somebody waits, for as long as there is a queue; from a new connection after each loss.
pub(super) async fn listen(core: Weak<Core>) {
    let mut failures = 0;
    loop {
        let Some(alive) = core.upgrade() else { return };
        alive.signal.wanted().await;
        let forgotten = alive.driver.forgotten();
        let connected = connect(&alive).await;
        drop(alive);
        match connected {
            Ok(listener) => {
                failures = 0;
                tokio::select! {
                    () = hear(&core, listener) => {}
                    () = forgotten => {}
                }
            }
            Err(error) => {
                failures += 1;
                tracing::debug!(%error, failures, "no connection for LISTEN; looking for jobs at intervals");
            }
        }
        tokio::time::sleep(Link::back_off(failures.max(1))).await;
    }
}

async fn connect(core: &Core) -> sqlx::Result<PgListener> {
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(Duration::from_secs(10))
        .connect_lazy_with(core.driver.server().clone());
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.eager_reconnect(false);
    listener.listen(&core.store.place().channel()).await?;
    Ok(listener)
}

/// Nothing is heard any more once this is dropped, be it with its runtime; those who wait need somebody to listen again.
struct Hearing<'a>(&'a Weak<Core>);

impl Drop for Hearing<'_> {
    fn drop(&mut self) {
        if let Some(core) = self.0.upgrade() {
            core.signal.set_listening(false);
            core.signal.want();
        }
    }
}

async fn hear(core: &Weak<Core>, mut listener: PgListener) {
    if let Some(core) = core.upgrade() {
        core.signal.set_listening(true);
    }
    let _hearing = Hearing(core);
    loop {
        let heard = listener.try_recv();
        let Ok(Some(notification)) = heard.await else { return };
        let Some(core) = core.upgrade() else { return };
        let queue = core.store.queue_name(notification.payload());
        core.signal.changed(queue);
    }
}
