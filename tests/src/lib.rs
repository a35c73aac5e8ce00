//! Shared parts of the tests, and the pages of the guide whose code needs database drivers.

pub mod crash;
pub mod kit;
pub mod moody;
pub mod os;
pub mod raw;
pub mod servers;
pub mod shop;
pub mod transactional;
pub mod transcript;

#[cfg(doctest)]
#[doc = include_str!("../../extensions/src/docs/transactions.md")]
mod guide {}
