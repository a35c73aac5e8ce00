//! How much memory this process has.

use std::time::Duration;

use crate::telemetry::names::event;

/// How often it is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// The resident set in bytes; nothing where the system does not say.
pub(super) fn resident() -> Option<u64> {
    in_status(&std::fs::read_to_string("/proc/self/status").ok()?)
}

/// Ends when the resident set is larger than `most`; never without one.
pub(super) async fn outgrown(most: Option<u64>) {
    let Some(most) = most else { return std::future::pending().await };
    loop {
        tokio::time::sleep(LOOK).await;
        if let Some(resident) = resident().filter(|resident| *resident > most) {
            tracing::info!(name: event::MEMORY_OUTGROWN, resident, max_memory = most, "the process has grown too large; the worker ends");
            return;
        }
    }
}

fn in_status(status: &str) -> Option<u64> {
    let size = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    size.trim().strip_suffix("kB")?.trim_end().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::in_status;

    #[test]
    fn the_resident_set_stands_in_the_systems_status() {
        let status = "Name:\tworker\nVmPeak:\t  999 kB\nVmRSS:\t   13004 kB\nRssAnon:\t 1 kB\n";
        assert_eq!(in_status(status), Some(13_004 * 1024));
        assert_eq!(in_status("Name:\tworker\n"), None);
        assert_eq!(in_status("VmRSS:\t many kB\n"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn it_is_known_here() {
        assert!(super::resident().is_some_and(|bytes| bytes > 100_000));
    }
}
