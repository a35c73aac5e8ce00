//! The crash tests' parts: ledgers outside the system under test, its processes and their faults, and the invariants.
//!
//! Nothing here knows a concrete backend: a run is judged by its ledgers and by what any [`QueueBackend`] shows.
//!
//! [`QueueBackend`]: extensions::queue::QueueBackend

mod arena;
mod book;
mod evidence;
mod invariants;
mod ledger;
mod moment;
mod orders;
mod process;
mod verdict;

pub use self::arena::Arena;
pub use self::book::{Answer, Book, Fault, Fire, Run};
pub use self::evidence::{Evidence, Terms};
pub use self::invariants::judge;
pub use self::ledger::{Entry, Event, Ledger, LedgerWriter, Outcome, RunId};
pub use self::moment::Moment;
pub use self::orders::{ClaimPlan, FirePlan, Mix, Orders, PROBES, RacePlan, Role, WorkPlan};
pub use self::process::Subject;
pub use self::verdict::{Counts, Invariant, Judgement, Verdict};
