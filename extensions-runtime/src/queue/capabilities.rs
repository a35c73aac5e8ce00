//! What a backend can do beyond the least that every backend must.

use serde::Serialize;

/// The abilities of a backend. What one lacks is answered with an error of kind `Unsupported`, never silently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Capabilities {
    /// All jobs of one push are stored, or none.
    pub atomic_push: bool,
    /// Unique locks are taken in the same atomic step as the push.
    pub unique: bool,
    /// Claims end by the backend's clock unless they are extended.
    pub lease: bool,
    /// A claim leaves alone, without cost, the jobs of handlers that it does not name.
    pub filter_by_handler: bool,
    /// Jobs can be found by id, state, queue or handler.
    pub list: bool,
    /// Jobs are claimed by priority within a queue.
    pub priority: bool,
    /// A queue can be paused for all workers.
    pub pause: bool,
    /// Jobs outlive the process.
    pub durable: bool,
    /// Follow-ups are stored in the same atomic step as their job's completion.
    pub follow_ups: bool,
    /// Jobs can be stored, and claims ended, in a transaction of the caller's.
    pub transactions: bool,
    /// What workers did is kept by the minute.
    pub history: bool,
}

impl Capabilities {
    /// None at all.
    pub const NONE: Self = Self {
        atomic_push: false,
        unique: false,
        lease: false,
        filter_by_handler: false,
        list: false,
        priority: false,
        pause: false,
        durable: false,
        follow_ups: false,
        transactions: false,
        history: false,
    };

    /// Everything.
    pub const ALL: Self = Self {
        atomic_push: true,
        unique: true,
        lease: true,
        filter_by_handler: true,
        list: true,
        priority: true,
        pause: true,
        durable: true,
        follow_ups: true,
        transactions: true,
        history: true,
    };

    /// The abilities by name, for tables.
    #[must_use]
    pub const fn by_name(&self) -> [(&'static str, bool); 11] {
        [
            ("atomic_push", self.atomic_push),
            ("unique", self.unique),
            ("lease", self.lease),
            ("filter_by_handler", self.filter_by_handler),
            ("list", self.list),
            ("priority", self.priority),
            ("pause", self.pause),
            ("durable", self.durable),
            ("follow_ups", self.follow_ups),
            ("transactions", self.transactions),
            ("history", self.history),
        ]
    }

    /// These without `durable`.
    #[must_use]
    pub const fn not_durable(mut self) -> Self {
        self.durable = false;
        self
    }

    /// These without `transactions`.
    #[must_use]
    pub const fn without_transactions(mut self) -> Self {
        self.transactions = false;
        self
    }
}
