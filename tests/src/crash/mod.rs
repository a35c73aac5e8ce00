//! The crash tests' parts: ledgers outside the system under test, its processes and their faults, and the invariants.
//!
//! Nothing here knows a concrete backend: a run is judged by its ledgers and by what any [`QueueBackend`] shows.
//!
//! [`QueueBackend`]: extensions::queue::QueueBackend

mod arena;
mod book;
mod campaign;
mod clock;
mod evidence;
mod garbage;
mod invariants;
mod ledger;
mod moment;
mod orders;
mod process;
mod site;
mod store_faults;
mod verdict;

pub use self::arena::Arena;
pub use self::book::{Answer, Book, Fault, Fire, Run, STORE};
pub use self::campaign::{Campaign, FaultKind, Outcome as CampaignOutcome, Target};
pub use self::clock::FakeClock;
pub use self::evidence::{Evidence, Terms};
pub use self::garbage::{DEEP, HUGE, Planted, garbage, plant};
pub use self::invariants::judge;
pub use self::ledger::{Entry, Event, Ledger, LedgerWriter, Outcome, RunId};
pub use self::moment::Moment;
pub use self::orders::{
    ClaimPlan, FirePlan, Mix, Orders, PROBES, RacePlan, Release, Role, Wickedness, WorkPlan,
};
pub use self::process::Subject;
pub use self::site::{Engine, Site};
pub use self::store_faults::Disturbance;
pub use self::verdict::{Counts, Invariant, Judgement, Verdict};
