//! What a test says of a fake.

use super::record::{AnyFire, QueuedRecord, RecordedFire, listed};
use crate::handler::Which;
use crate::instance::Extensions;
use crate::job::NewJob;
use crate::point::{ExtensionPoint, Queued};
use crate::registry::decode;

/// Assertions on what a fake recorded. Each panics at the line of its caller, with what was recorded instead; and, all of them, where
/// the instance is no fake.
///
/// A fire counts whatever became of it: one that was vetoed, failed or was silenced, one nested in another, one of `fire_many`. A job
/// counts once it is queued, and still when it has run; a duplicate that was not queued does not.
impl Extensions {
    /// What was fired of a point, in order: with the points, and how the fires ended.
    ///
    /// # Panics
    ///
    /// If the instance is no fake.
    #[must_use]
    #[track_caller]
    pub fn fired<P: ExtensionPoint>(&self) -> Vec<RecordedFire<P>> {
        self.as_fake().records().fires.iter().filter_map(AnyFire::of::<P>).collect()
    }

    /// The jobs that were queued for a handler, in order: with queue, delay, tags and all else that was chosen for them.
    ///
    /// # Panics
    ///
    /// If the instance is no fake.
    #[must_use]
    #[track_caller]
    pub fn queued<H: 'static>(&self) -> Vec<NewJob> {
        self.queued_for(&Which::of::<H>()).into_iter().map(|queued| queued.job).collect()
    }

    /// The jobs that were queued for a handler, by its name.
    ///
    /// # Panics
    ///
    /// If the instance is no fake.
    #[must_use]
    #[track_caller]
    pub fn queued_named(&self, handler: &str) -> Vec<NewJob> {
        self.queued_for(&Which::Name(handler.to_owned())).into_iter().map(|queued| queued.job).collect()
    }

    /// Forgets all fires and queued jobs so far; the jobs stay in the queue.
    ///
    /// # Panics
    ///
    /// If the instance is no fake.
    #[track_caller]
    pub fn forget_recorded(&self) {
        // Dropped behind the lock: a point's own drop may fire.
        let _forgotten = std::mem::take(&mut *self.as_fake().records());
    }

    /// A fire of this point, as its inline handlers left it, satisfies the predicate.
    ///
    /// # Panics
    ///
    /// If there is none, or if points of this type cannot be kept: they must be `Clone` or queued.
    #[track_caller]
    pub fn assert_fired<P: ExtensionPoint>(&self, predicate: impl Fn(&P) -> bool) {
        let fired = self.fired::<P>();
        let mut satisfies = false;
        for fire in fired.iter().filter(|fire| !fire.is_lost()) {
            satisfies |= predicate(fire.point());
        }
        assert!(satisfies, "{}; fired were: {}", none_of::<P>(fired.len()), self.list_fires());
    }

    /// The point was fired exactly this often.
    ///
    /// # Panics
    ///
    /// If not.
    #[track_caller]
    pub fn assert_fired_times<P: ExtensionPoint>(&self, times: usize) {
        let (name, count) = (P::info().type_name, self.fired::<P>().len());
        assert!(
            count == times,
            "`{name}` was fired {count} times, not {times}; fired were: {}",
            self.list_fires()
        );
    }

    /// The point was not fired.
    ///
    /// # Panics
    ///
    /// If it was.
    #[track_caller]
    pub fn assert_not_fired<P: ExtensionPoint>(&self) {
        self.assert_fired_times::<P>(0);
    }

    /// No point at all was fired.
    ///
    /// # Panics
    ///
    /// If one was.
    #[track_caller]
    pub fn assert_nothing_fired(&self) {
        let is_empty = self.as_fake().records().fires.is_empty();
        assert!(is_empty, "something was fired: {}", self.list_fires());
    }

    /// A fire of this point was vetoed.
    ///
    /// # Panics
    ///
    /// If none was.
    #[track_caller]
    pub fn assert_vetoed<P: ExtensionPoint>(&self) {
        let vetoed = self.fired::<P>().iter().any(|fire| fire.veto().is_some());
        let name = P::info().type_name;
        assert!(vetoed, "no fire of `{name}` was vetoed; fired were: {}", self.list_fires());
    }

    /// Exactly this many jobs were queued for the handler, on all its points together.
    ///
    /// # Panics
    ///
    /// If not, or if no handler of this type is registered.
    #[track_caller]
    pub fn assert_queued<H: 'static>(&self, jobs: usize) {
        self.assert_queued_for(&Which::of::<H>(), std::any::type_name::<H>(), jobs);
    }

    /// Exactly this many jobs were queued for the handlers of this name: for functions, which have no type.
    ///
    /// # Panics
    ///
    /// If not, or if no handler of this name is registered.
    #[track_caller]
    pub fn assert_queued_named(&self, handler: &str, jobs: usize) {
        self.assert_queued_for(&Which::Name(handler.to_owned()), handler, jobs);
    }

    /// A job of the handler was queued whose point satisfies the predicate.
    ///
    /// # Panics
    ///
    /// If there is none.
    #[track_caller]
    pub fn assert_queued_with<P: Queued, H: 'static>(&self, predicate: impl Fn(&P) -> bool) {
        self.assert_payload(&Which::of::<H>(), std::any::type_name::<H>(), predicate);
    }

    /// A job of a handler of this name was queued whose point satisfies the predicate.
    ///
    /// # Panics
    ///
    /// If there is none.
    #[track_caller]
    pub fn assert_queued_named_with<P: Queued>(&self, handler: &str, predicate: impl Fn(&P) -> bool) {
        self.assert_payload(&Which::Name(handler.to_owned()), handler, predicate);
    }

    /// No job was queued for the handler.
    ///
    /// # Panics
    ///
    /// If one was, or if no handler of this type is registered.
    #[track_caller]
    pub fn assert_not_queued<H: 'static>(&self) {
        self.assert_queued::<H>(0);
    }

    /// No job at all was queued.
    ///
    /// # Panics
    ///
    /// If one was.
    #[track_caller]
    pub fn assert_nothing_queued(&self) {
        let is_empty = self.as_fake().records().jobs.is_empty();
        assert!(is_empty, "something was queued: {}", self.list_queued());
    }

    #[track_caller]
    fn queued_for(&self, which: &Which) -> Vec<QueuedRecord> {
        self.as_fake().records().jobs.iter().filter(|queued| queued.is(which)).cloned().collect()
    }

    #[track_caller]
    fn assert_queued_for(&self, which: &Which, name: &str, jobs: usize) {
        let count = self.queued_for(which).len();
        self.assert_registered(which, name, count);
        assert!(
            count == jobs,
            "{count} jobs were queued for `{name}`, not {jobs}; queued were: {}",
            self.list_queued()
        );
    }

    /// A name that nothing has would make every assertion that there is no job true.
    #[track_caller]
    fn assert_registered(&self, which: &Which, name: &str, queued: usize) {
        let registry = self.registry();
        let known = registry.handlers().iter().filter(|info| info.kind.is_queued());
        let is_known = queued > 0 || known.clone().any(|info| which.is(info));
        let names: Vec<_> = known.map(|info| info.key()).collect();
        assert!(is_known, "no async handler `{name}` is registered; registered are: {}", listed(&names));
    }

    #[track_caller]
    fn assert_payload<P: Queued>(&self, which: &Which, name: &str, predicate: impl Fn(&P) -> bool) {
        let queued = self.queued_for(which);
        self.assert_registered(which, name, queued.len());
        let of_point = self.premises().renames.point(P::info());
        let mut satisfies = false;
        for queued in queued.iter().filter(|queued| queued.job.handler.point() == of_point) {
            match decode::<P>(queued.job.payload.as_bytes(), queued.job.point_version) {
                Ok(point) => satisfies |= predicate(&point),
                Err(error) => panic!("the point of a job cannot be read: {error}"),
            }
        }
        let point = P::info().type_name;
        assert!(
            satisfies,
            "no job of `{name}` with a `{point}` that satisfies the predicate was queued; queued were: {}",
            self.list_queued()
        );
    }

    fn list_fires(&self) -> String {
        listed(&self.as_fake().records().fires)
    }

    fn list_queued(&self) -> String {
        listed(&self.as_fake().records().jobs)
    }
}

fn none_of<P: ExtensionPoint>(fired: usize) -> String {
    let name = P::info().type_name;
    match fired {
        0 => format!("`{name}` was not fired"),
        1 => format!("`{name}` was fired once, and does not satisfy the predicate"),
        n => format!("`{name}` was fired {n} times, and none satisfies the predicate"),
    }
}
