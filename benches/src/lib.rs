//! The parts of `compare`: a case measures ours, its limit and the peers in interleaved rounds, a report holds them against the goals.

pub mod compile;
pub mod depth;
pub mod idle;
pub mod inline;
pub mod limits;
pub mod ours;
pub mod payload;
pub mod peers;
pub mod queue;
pub mod report;
pub mod rounds;
pub mod stores;
pub mod subject;
