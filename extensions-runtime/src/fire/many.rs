//! Many points at once: each has its inline handlers, all share one push.

use std::sync::Arc;

use super::destination::Destination;
use super::dispatch::Start;
use super::jobs::Prepared;
use super::{FireError, Fired};
use crate::instance::Extensions;
use crate::job::NewJob;
use crate::point::ExtensionPoint;

impl Extensions {
    /// Fires many points: the inline handlers of each in turn, then one push for all. One point's veto or error keeps back
    /// only its own jobs. The results stand in the points' order. Fire layers wrap single fires and not these.
    ///
    /// Where the push fails, every point with jobs gets an error with those jobs.
    ///
    /// # Cancel safety
    ///
    /// As [`fire`](Self::fire), for all points together.
    pub async fn fire_many<P: ExtensionPoint>(
        &self,
        points: impl IntoIterator<Item = P> + Send,
    ) -> Vec<Result<Fired<P>, FireError>> {
        self.fire_many_to(points.into_iter().collect(), Destination::Queue).await
    }

    pub(super) async fn fire_many_to<P: ExtensionPoint>(
        &self,
        points: Vec<P>,
        to: Destination<'_>,
    ) -> Vec<Result<Fired<P>, FireError>> {
        let mut prepared: Vec<Result<Prepared<P>, FireError>> = Vec::with_capacity(points.len());
        let mut jobs: Vec<NewJob> = Vec::new();
        let mut counts = Vec::with_capacity(points.len());
        for point in points {
            let before = jobs.len();
            let one = self.prepare(point, self.default_mode(), Start::Outermost(to), None, &mut jobs);
            prepared.push(one.await);
            counts.push(jobs.len() - before);
        }
        let fired = if jobs.is_empty() {
            prepared.into_iter().map(|one| one.map(Prepared::into_fired)).collect()
        } else {
            self.push_all(prepared, &counts, jobs.into(), to).await
        };
        self.observe_all(&fired);
        fired
    }

    async fn push_all<P: ExtensionPoint>(
        &self,
        prepared: Vec<Result<Prepared<P>, FireError>>,
        counts: &[usize],
        jobs: Arc<[NewJob]>,
        to: Destination<'_>,
    ) -> Vec<Result<Fired<P>, FireError>> {
        let pushed = self.push_layered(Arc::clone(&jobs), to).await;
        let mut results = Vec::with_capacity(prepared.len());
        let mut start = 0;
        for (one, &count) in prepared.into_iter().zip(counts) {
            let own = start..start + count;
            start += count;
            results.push(match (one, &pushed) {
                (Err(error), _) => Err(error),
                (Ok(one), _) if count == 0 => Ok(one.into_fired()),
                (Ok(mut one), Ok(pushed)) => {
                    one.note_pushed(&jobs[own.clone()], &pushed[own]);
                    Ok(one.into_fired())
                }
                (Ok(one), Err(error)) => {
                    Err(one.push_failed(to.refused(error.duplicate()), jobs[own].into()))
                }
            });
        }
        results
    }
}
