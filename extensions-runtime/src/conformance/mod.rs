//! The proof that a backend keeps the contract of [`QueueBackend`].
//!
//! Many small cases, each of which cites the rules it proves and runs on a fresh store. An author of a backend writes
//! a [`Fixture`] and one test target without libtest's harness:
//!
//! ```toml
//! [[test]]
//! name = "conformance"
//! harness = false
//! ```
//!
//! ```no_run
//! use std::sync::Arc;
//! use extensions_runtime::conformance::Fixture;
//! use extensions_runtime::queue::{Memory, QueueBackend};
//!
//! struct MyFixture(Memory);
//!
//! impl Fixture for MyFixture {
//!     fn backend(&self) -> Arc<dyn QueueBackend> {
//!         Arc::new(self.0.clone())
//!     }
//! }
//!
//! async fn make_backend() -> MyFixture {
//!     MyFixture(Memory::new())
//! }
//!
//! extensions_runtime::conformance!(make_backend);
//! ```
//!
//! Each case is then one test, with the usual arguments (a part of the name, `--exact`, `--list`, `--test-threads`).
//! What a backend's capabilities exclude is shown as ignored, with the reason in its name.
//!
//! # What a fixture does
//!
//! | method | what the suite expects | without it |
//! |---|---|---|
//! | `backend` | a handle to a store that is empty and that no other case sees: a schema, a key prefix, a file of its own | – |
//! | `reopen` | a further handle as another process has it: other connections, the time-outs of a user, nothing shared but the store | the cases of two handles race on one, and prove less |
//! | `advance` | time passes for the store's clock; a real one is waited for, some 120 ms at a time | waits |
//! | `spoil` | overwrites a part of a stored job with bytes that nobody can read | its cases are ignored |
//! | `obstruct` | the store refuses writes until the guard is dropped (a lock, a cut connection, a stopped server); calls of the first handle should give up within a second or two | its cases are ignored |
//! | `transact` | does the [`Work`] in a transaction of the caller's | its cases are ignored, even with the capability `transactions` |
//!
//! The cases run at once, eight of them by default, each with a runtime of its own, so handles are made and dropped often: keep
//! pools small and let the fixture's `Drop` take the store away. A case may take two minutes and waits for an event for at most 15 s;
//! nearly all are done in a fraction of a second.
//!
//! # What the cases hold a backend to
//!
//! - *Time is the store's.* A case compares only times that the store gave, and never takes for granted that something is quick: a lease
//!   of 120 ms is only ever there to end, and what must hold for a while holds for ten minutes.
//! - *A claim may bring less than it was asked for*, but not nothing while something is left; and nothing beyond.
//! - *Lists are longer than a statement or a script may like*: 5,000 jobs in a push, 1,000 settlements in a call, 1 MiB in a payload.
//! - *Names and texts are anything*: quotes, colons, braces, stars, backslashes, 200 characters; errors, reasons, notes and
//!   tags also with zero bytes.
//! - *Numbers go to their ends*: `u32::MAX`, `usize::MAX`, `Duration::MAX`, none of which may fail or wrap.
//! - *One thing twice in one call* is treated as in two calls: the first settlement of a claim counts, the second is `LeaseLost`.
//! - *Calls that cross do not fail.* Two handles push, settle, extend, retry and cancel the same things in opposite order; a store in
//!   which that is a deadlock takes its locks in one order or tries again by itself.
//! - *Counters agree with lists* after every road that a job can take.
//!
//! # Is the suite any good?
//!
//! [`mutants`] are backends broken on purpose, one rule each; the case that a mutant names must fail on it. A new case
//! comes with the mutant that it catches, unless an older one shows that it can fail.

mod bench;
mod cases;
mod fixture;
pub mod mutants;
mod runner;

pub use self::bench::Bench;
pub use self::cases::all;
pub use self::fixture::{Fixture, MemoryFixture, Part, Step, Work, WorkDone};
pub use self::runner::{Backend, Make, Outcome, main, trials};
#[cfg(doc)]
use crate::queue::QueueBackend;

use std::future::Future;
use std::pin::Pin;

/// How many rules the contract has; every one has a case.
pub const RULES: u8 = 47;

/// What a case does.
pub type CaseFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One proof.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// What it proves, as a sentence with underscores.
    pub name: &'static str,
    /// The rules it proves.
    pub rules: &'static [u8],
    /// What a backend must be able to do for it.
    pub needs: &'static [Need],
    /// Panics where the backend breaks a rule.
    pub run: fn(Bench) -> CaseFuture,
}

/// What a case needs beyond the least that every backend can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Need {
    /// The capability `atomic_push`.
    AtomicPush,
    /// The capability `unique`.
    Unique,
    /// The capability `lease`.
    Lease,
    /// The capability `filter_by_handler`.
    Filter,
    /// The capability `list`.
    List,
    /// The capability `priority`.
    Priority,
    /// The capability `pause`.
    Pause,
    /// The capability `durable`.
    Durable,
    /// The capability `follow_ups`.
    FollowUps,
    /// The capability `history`.
    History,
    /// The capability `transactions`, and a fixture that opens them.
    Transactions,
    /// A fixture that can spoil what is stored.
    Spoil,
    /// A fixture that can make the store refuse.
    Obstruct,
}

impl Case {
    /// The rules as text: `Q7 Q8`.
    #[must_use]
    pub fn rules_text(&self) -> String {
        self.rules.iter().map(|rule| format!("Q{rule}")).collect::<Vec<_>>().join(" ")
    }

    /// Why the case cannot be run on this fixture, if so.
    #[must_use]
    pub fn excluded(&self, fixture: &dyn Fixture) -> Option<String> {
        let can = fixture.backend().capabilities();
        self.needs.iter().find_map(|need| {
            let (able, what) = match need {
                Need::AtomicPush => (can.atomic_push, "no capability `atomic_push`"),
                Need::Unique => (can.unique, "no capability `unique`"),
                Need::Lease => (can.lease, "no capability `lease`"),
                Need::Filter => (can.filter_by_handler, "no capability `filter_by_handler`"),
                Need::List => (can.list, "no capability `list`"),
                Need::Priority => (can.priority, "no capability `priority`"),
                Need::Pause => (can.pause, "no capability `pause`"),
                Need::Durable => (can.durable, "no capability `durable`"),
                Need::FollowUps => (can.follow_ups, "no capability `follow_ups`"),
                Need::History => (can.history, "no capability `history`"),
                Need::Transactions if can.transactions => {
                    (fixture.can_transact(), "its fixture opens no transactions")
                }
                Need::Transactions => (false, "no capability `transactions`"),
                Need::Spoil => (fixture.can_spoil(), "its store cannot be spoiled from outside"),
                Need::Obstruct => (fixture.can_obstruct(), "its store cannot be made to refuse"),
            };
            (!able).then(|| what.to_owned())
        })
    }
}

/// The `main` of a test target that proves a backend: `conformance!(make_backend)`, where `make_backend` is an
/// `async fn() -> impl Fixture`. See the [module](mod@crate::conformance).
#[macro_export]
macro_rules! conformance {
    ($make:path) => {
        fn main() -> ::std::process::ExitCode {
            $crate::conformance::main(::std::stringify!($make), || {
                ::std::boxed::Box::pin(async {
                    ::std::boxed::Box::new($make().await)
                        as ::std::boxed::Box<dyn $crate::conformance::Fixture>
                })
            })
        }
    };
}

#[cfg(test)]
mod tests {
    use super::{RULES, all};
    use std::collections::HashSet;

    #[test]
    fn every_rule_has_a_case_and_every_case_a_rule() {
        let proved: HashSet<u8> = all().flat_map(|case| case.rules.iter().copied()).collect();
        let missing: Vec<_> = (1..=RULES).filter(|rule| !proved.contains(rule)).collect();
        assert!(missing.is_empty(), "no case for {missing:?}");
        assert!(proved.iter().all(|rule| (1..=RULES).contains(rule)));
        assert!(all().all(|case| !case.rules.is_empty()));
        assert!(all().count() >= 60, "only {} cases", all().count());
    }

    #[test]
    fn the_written_contract_has_the_rules_that_are_counted() {
        let contract = include_str!("../queue/mod.rs");
        for rule in 1..=RULES {
            assert!(contract.contains(&format!("**Q{rule}**")), "Q{rule} is not written down");
        }
        assert!(!contract.contains(&format!("**Q{}**", RULES + 1)));
    }

    #[test]
    fn names_are_unique() {
        let names: HashSet<_> = all().map(|case| case.name).collect();
        assert_eq!(names.len(), all().count());
    }
}
