//! The clock by which leases count: the time since the machine's boot, so that setting the machine's clock moves none.

use std::fs;

use crate::time::{Clock, SystemClock};

/// The boot whose clock this is; elsewhere than on Linux the wall clock serves, as one endless boot.
pub(super) fn boot_id() -> String {
    let id = if cfg!(target_os = "linux") {
        fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()
    } else {
        None
    };
    id.map_or_else(|| "wall".to_owned(), |id| id.trim().to_owned())
}

/// Milliseconds since the boot.
#[derive(Debug, Clone, Copy)]
pub(super) struct LeaseClock {
    boot_time: bool,
}

impl LeaseClock {
    pub(super) fn new(boot_id: &str) -> Self {
        Self { boot_time: boot_id != "wall" }
    }

    pub(super) fn now(self) -> i64 {
        if self.boot_time { since_boot() } else { SystemClock.now().as_millis() }
    }
}

#[cfg(target_os = "linux")]
fn since_boot() -> i64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    time.tv_sec * 1000 + time.tv_nsec / 1_000_000
}

#[cfg(not(target_os = "linux"))]
fn since_boot() -> i64 {
    SystemClock.now().as_millis()
}
