//! Ids that the same fire derives again, so that pushing its jobs twice is pushing them once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::{HandlerKey, JobId};

/// The ids of one fire's jobs: each follows from what the fire is about, the handler, and the how manieth job of that handler it is.
#[derive(Debug)]
pub(crate) struct DerivedIds {
    seed: Sha256,
    once: Option<Duration>,
    made: Mutex<HashMap<HandlerKey, u64>>,
}

impl DerivedIds {
    /// The ids under an idempotency key of a tenant's, taken for `once` after the push.
    pub(crate) fn of_key(tenant: Option<&str>, key: &str, once: Duration) -> Self {
        let tenant = tenant.map_or_else(|| "all".to_owned(), |tenant| format!("of {tenant}"));
        Self::new("key", &[&tenant, key], Some(once))
    }

    /// The ids of a job's follow-ups.
    pub(crate) fn of_job(job: JobId) -> Self {
        Self::new("job", &[&job.to_string()], None)
    }

    fn new(kind: &str, parts: &[&str], once: Option<Duration>) -> Self {
        let mut seed = Sha256::new();
        for part in [&[kind], parts].concat() {
            seed.update((part.len() as u64).to_be_bytes());
            seed.update(part);
        }
        Self { seed, once, made: Mutex::default() }
    }

    /// The id of the next job of a handler.
    pub(crate) fn next(&self, handler: &HandlerKey) -> JobId {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let n = made.entry(handler.clone()).or_default();
        let mut hash = self.seed.clone();
        hash.update(n.to_be_bytes());
        hash.update(handler.as_str());
        *n += 1;
        let mut id = [0; 16];
        id.copy_from_slice(&hash.finalize()[..16]);
        JobId::derived(id)
    }

    /// How long the ids stay taken, whatever becomes of the jobs.
    pub(crate) const fn once(&self) -> Option<Duration> {
        self.once
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::Duration;

    use super::{DerivedIds, HandlerKey};
    use crate::job::JobId;

    fn of_key(tenant: Option<&str>, key: &str) -> DerivedIds {
        DerivedIds::of_key(tenant, key, Duration::from_secs(1))
    }

    #[test]
    fn the_same_fire_derives_the_same_ids_and_no_other_does() {
        let (mail, book) = (HandlerKey::new("P", "mail"), HandlerKey::new("P", "book"));
        let all = |ids: &DerivedIds| [ids.next(&mail), ids.next(&book), ids.next(&mail)];
        let mut seen = HashSet::new();
        let job = JobId::new();
        for make in [
            || of_key(None, "a"),
            || of_key(None, "b"),
            || of_key(Some("a"), ""),
            || of_key(Some("a"), "a"),
            || of_key(Some("all"), "a"),
        ] {
            assert_eq!(all(&make()), all(&make()));
            seen.extend(all(&make()));
        }
        seen.extend(all(&DerivedIds::of_job(job)));
        assert_eq!(all(&DerivedIds::of_job(job)), all(&DerivedIds::of_job(job)));
        assert_eq!(seen.len(), 18);
    }

    #[test]
    fn the_ids_of_a_key_are_the_same_in_every_version_of_the_program() {
        let id = of_key(None, "order-7").next(&HandlerKey::new("P", "mail"));
        assert_eq!(id.to_string(), "212f18b0-d630-8e10-913a-1a72af238f5b");
    }
}
