//! Many points at once: each has its inline handlers, all share one push.

use std::sync::Arc;

use super::dispatch::Run;
use super::jobs::Prepared;
use super::{FireError, Fired};
use crate::handler::Context;
use crate::instance::Extensions;
use crate::job::NewJob;
use crate::point::ExtensionPoint;

impl Extensions {
    /// Fires many points: the inline handlers of each in turn, then one push for all. One point's veto or error keeps back
    /// only its own jobs. The results stand in the points' order.
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
        let points: Vec<P> = points.into_iter().collect();
        let Some(table) = self.registry().table::<P>() else {
            let mut results = Vec::with_capacity(points.len());
            for point in points {
                results.push(self.fire(point).await);
            }
            return results;
        };
        let mode = self.default_mode();
        let mut prepared: Vec<Result<Prepared<P>, FireError>> = Vec::with_capacity(points.len());
        let mut jobs: Vec<NewJob> = Vec::new();
        let mut counts = Vec::with_capacity(points.len());
        for mut point in points {
            let cx = Context::new(self.id(), P::info().name);
            let mut run = Run::new(self, table, mode, &cx);
            if table.all_plain {
                run.plain(&mut point)
            } else {
                run.awaited(&mut point).await
            }
            let mut one = run.prepare(point);
            let own = one.as_mut().map(Prepared::take_jobs).unwrap_or_default();
            counts.push(own.len());
            jobs.extend(own);
            prepared.push(one);
        }
        if jobs.is_empty() {
            return prepared.into_iter().map(|one| one.map(|one| one.into_fired(None))).collect();
        }
        self.push_many(prepared, &counts, jobs.into()).await
    }

    async fn push_many<P: ExtensionPoint>(
        &self,
        prepared: Vec<Result<Prepared<P>, FireError>>,
        counts: &[usize],
        jobs: Arc<[NewJob]>,
    ) -> Vec<Result<Fired<P>, FireError>> {
        let pushed = self.push(Arc::clone(&jobs)).await;
        let mut results = Vec::with_capacity(prepared.len());
        let mut start = 0;
        for (one, &count) in prepared.into_iter().zip(counts) {
            let own = start..start + count;
            start += count;
            results.push(match (one, &pushed) {
                (Err(error), _) => Err(error),
                (Ok(one), _) if count == 0 => Ok(one.into_fired(None)),
                (Ok(mut one), Ok(pushed)) => {
                    one.note_pushed(&jobs[own.clone()], &pushed[own]);
                    Ok(one.into_fired(None))
                }
                (Ok(one), Err(error)) => Err(one.push_failed(error.duplicate(), jobs[own].into())),
            });
        }
        results
    }
}
