//! Breakers that follow those of other processes.

use std::fmt;
use std::sync::{Arc, Mutex, Weak};

use serde::{Deserialize, Serialize};

use super::{Breakers, lock};
use crate::policy::BreakerStatus;

/// A change of a breaker's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BreakerChange {
    /// The breaker's name; of a handler's: `point/handler`.
    pub name: String,
    /// Its state before.
    pub from: BreakerStatus,
    /// Its state now.
    pub to: BreakerStatus,
}

/// Where the changes of breakers are shared with other instances and processes.
///
/// A breaker that opens or closes in one of them does so in all; failures are counted by each for itself.
pub trait BreakerStore: fmt::Debug + Send + Sync + 'static {
    /// Given once, when the instance is made. What others publish goes to [`BreakerLink::follow`].
    fn attach(&self, link: BreakerLink);

    /// Told of every change in this instance. It is called on the path of a fire and must not block.
    fn publish(&self, change: &BreakerChange);
}

/// The breakers of an instance, for the store that tells them what others did.
#[derive(Debug, Clone)]
pub struct BreakerLink(Weak<Breakers>);

impl BreakerLink {
    pub(crate) fn new(breakers: &Arc<Breakers>) -> Self {
        Self(Arc::downgrade(breakers))
    }

    /// Takes over what another process published. A breaker that is not known here is passed over. It is not published again.
    pub fn follow(&self, change: &BreakerChange) {
        let Some(breakers) = self.0.upgrade() else { return };
        for breaker in breakers.all().iter().filter(|breaker| breaker.name == change.name) {
            breaker.follow(change.to);
        }
    }

    fn is(&self, other: &Self) -> bool {
        Weak::ptr_eq(&self.0, &other.0)
    }
}

/// Shares breakers between the instances of one process. Each instance is given its own [`member`](Self::member).
#[derive(Debug, Clone, Default)]
pub struct SharedBreakers {
    links: Arc<Mutex<Vec<BreakerLink>>>,
    own: Arc<Mutex<Option<BreakerLink>>>,
}

impl SharedBreakers {
    /// A store with no instance in it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The store for one more instance.
    #[must_use]
    pub fn member(&self) -> Self {
        Self { links: Arc::clone(&self.links), own: Arc::default() }
    }
}

impl BreakerStore for SharedBreakers {
    fn attach(&self, link: BreakerLink) {
        *lock(&self.own) = Some(link.clone());
        lock(&self.links).push(link);
    }

    fn publish(&self, change: &BreakerChange) {
        let own = lock(&self.own).clone();
        let links = lock(&self.links).clone();
        for link in links.iter().filter(|link| own.as_ref().is_none_or(|own| !link.is(own))) {
            link.follow(change);
        }
    }
}
