//! Cases `inline` and `awaited`: one fire with k inline handlers that count, against the same closures or boxed futures in a loop.

use extensions::BoxError;
use inline_path::{Path, subject};

use crate::peers::Observers;
use crate::report::{Better, Row};
use crate::rounds::nanoseconds;

/// The rows `inline k` (with `fire_sync`), `inline k await`, for k = 0, 1, 4, 16.
///
/// # Errors
///
/// If an instance cannot be built, or the peer fails.
pub async fn inline(rounds: usize, runs: u64, with_peers: bool) -> Result<Vec<Row>, BoxError> {
    let mut rows = Vec::new();
    for (k, of_sync, of_await) in
        [(0, None, None), (1, Some(1.9), Some(3.0)), (4, Some(1.4), Some(1.6)), (16, Some(1.2), Some(1.25))]
    {
        let mut subjects =
            [subject(Path::Sync, k).await?, subject(Path::Await, k).await?, subject(Path::Loop, k).await?];
        let runs = runs / (1 + k / 2);
        let mut bevy = Observers::new(if with_peers { k } else { 0 }, runs);
        let [by_sync, by_await, limit] = nanoseconds(rounds, runs, &mut subjects, || bevy.round());
        let peers = bevy.medians()?;
        for (case, ours, goal) in
            [(format!("inline {k}"), &by_sync, of_sync), (format!("inline {k} await"), &by_await, of_await)]
        {
            let row = Row::new(case, ours, "ns").limit(&limit).peers(peers.clone(), Better::Less);
            rows.push(match goal {
                Some(goal) => row.at_most(goal).not_behind(),
                None => row,
            });
        }
    }
    Ok(rows)
}

/// The rows `awaited k`, for k = 1, 4, 16.
///
/// # Errors
///
/// If an instance cannot be built.
pub async fn awaited(rounds: usize, runs: u64) -> Result<Vec<Row>, BoxError> {
    let mut rows = Vec::new();
    for k in [1, 4, 16] {
        let mut subjects = [subject(Path::Awaited, k).await?, subject(Path::Futures, k).await?];
        let [ours, limit] = nanoseconds(rounds, runs / (4 * k), &mut subjects, || {});
        rows.push(Row::new(format!("awaited {k}"), &ours, "ns").limit(&limit).at_most(1.2));
    }
    Ok(rows)
}
