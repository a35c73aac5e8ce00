//! The parts of `compare`: a case measures ours and its limit in interleaved rounds, a report holds them against the goals.

pub mod depth;
pub mod idle;
pub mod inline;
pub mod report;
pub mod rounds;
pub mod stores;
