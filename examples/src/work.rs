//! Working while jobs still come in.

use std::future::Future;
use std::ops::AddAssign;
use std::sync::LazyLock;
use std::time::Duration;

use extensions::job::JobState;
use extensions::queue::QueueError;
use extensions::{Extensions, WorkerReport};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use tokio::sync::oneshot;

/// What the workers of a program did.
#[derive(Debug, Default, Clone, Copy, Serialize)]
pub struct Done {
    /// Jobs completed.
    pub completed: u64,
    /// Failed attempts after which the job was tried again.
    pub retried: u64,
    /// Jobs given up.
    pub dead: u64,
}

impl AddAssign<WorkerReport> for Done {
    fn add_assign(&mut self, report: WorkerReport) {
        self.completed += report.completed;
        self.retried += report.retried;
        self.dead += report.dead;
    }
}

/// Runs a worker beside `producing`, and then until nothing is left to do.
///
/// # Errors
///
/// As [`run`](extensions::WorkerBuilder::run).
pub async fn work_while<T>(
    ext: &Extensions,
    producing: impl Future<Output = T>,
) -> Result<(T, Done), QueueError> {
    let shown = tokio::spawn(show_jobs(ext.clone()));
    let (produced, all_in) = oneshot::channel::<()>();
    let beside = ext.worker().run_until(async { drop(all_in.await) });
    let producing = async {
        let product = producing.await;
        drop(produced);
        product
    };
    let (product, beside) = tokio::join!(producing, beside);
    let mut done = Done::default();
    done += beside?;
    done += ext.worker().stop_when_drained().run().await?;
    shown.abort();
    Ok((product, done))
}

/// A progress bar on standard error, or nothing at all where that is no terminal. Without a length it counts.
#[must_use]
pub fn bar(what: &'static str, length: Option<u64>) -> ProgressBar {
    static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);
    let bar = BARS.add(ProgressBar::with_draw_target(length, ProgressDrawTarget::hidden()));
    let shape = if length.is_some() { "{msg:>12} {wide_bar} {pos}/{len}" } else { "{msg:>12} {pos}" };
    if let Ok(style) = ProgressStyle::with_template(shape) {
        bar.set_style(style);
    }
    bar.with_message(what)
}

/// Shows on a terminal how many of the queued jobs have been completed.
async fn show_jobs(ext: Extensions) {
    let bar = bar("jobs", Some(0));
    while let (Some(queue), false) = (ext.queue(), bar.is_hidden()) {
        if let Ok(stats) = queue.stats().await {
            let completed = stats.iter().map(|queue| queue.count(JobState::Completed)).sum();
            bar.set_length(
                completed + stats.iter().map(extensions::queue::QueueStats::unfinished).sum::<u64>(),
            );
            bar.set_position(completed);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
