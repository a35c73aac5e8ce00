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
pub const RULES: u8 = 42;

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
