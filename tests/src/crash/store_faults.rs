//! What happens to the store, and with it to everyone; what happens to single processes is [`Subject`](super::Subject)'s.

use std::time::Duration;

use super::{Arena, Moment, STORE};

/// How the line between the subjects and their server is disturbed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disturbance {
    /// Every connection is cut, again and again.
    Reset,
    /// Whatever is sent is swallowed.
    HalfOpen,
    /// 200 ms each way.
    Latency,
    /// 1 KB a second.
    Bandwidth,
    /// Nobody is let in.
    Refuse,
}

impl Disturbance {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Reset, Self::HalfOpen, Self::Latency, Self::Bandwidth, Self::Refuse];

    const fn what(self) -> &'static str {
        match self {
            Self::Reset => "cut off again and again",
            Self::HalfOpen => "swallowed by the line",
            Self::Latency => "far away",
            Self::Bandwidth => "at the end of a thin line",
            Self::Refuse => "refused",
        }
    }
}

impl Arena {
    /// Kills the site's server, and starts it again after a while.
    ///
    /// # Panics
    ///
    /// If the site has none, or it does not start again.
    pub async fn kill_server(&mut self, down: Duration) {
        let from = Moment::now();
        self.site_mut().own_server_mut().kill().await;
        tokio::time::sleep(down).await;
        self.site_mut().own_server_mut().restart().await;
        self.fault_of(STORE, "killed and started again", from).await;
    }

    /// Freezes the site's server for a while.
    ///
    /// # Panics
    ///
    /// If the site has none.
    pub async fn freeze_server(&mut self, how_long: Duration) {
        let from = Moment::now();
        self.site().own_server().freeze().await;
        tokio::time::sleep(how_long).await;
        self.site().own_server().thaw();
        self.fault_of(STORE, "frozen", from).await;
    }

    /// Disturbs the line to the site's server for a while.
    ///
    /// # Panics
    ///
    /// If the site is behind no proxy.
    pub async fn disturb(&mut self, how: Disturbance, how_long: Duration) {
        let from = Moment::now();
        let proxy = self.site().proxy().clone();
        match how {
            Disturbance::Reset => {
                for _ in 0..5 {
                    proxy.reset();
                    tokio::time::sleep(how_long / 5).await;
                }
            }
            Disturbance::HalfOpen => proxy.half_open(),
            Disturbance::Latency => proxy.latency(Duration::from_millis(200)),
            Disturbance::Bandwidth => proxy.bandwidth(1000),
            Disturbance::Refuse => proxy.refuse(),
        }
        if how != Disturbance::Reset {
            tokio::time::sleep(how_long).await;
        }
        proxy.heal();
        self.fault_of(STORE, how.what(), from).await;
    }
}
