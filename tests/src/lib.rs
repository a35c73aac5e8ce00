//! Shared parts of the tests.

pub mod crash;
pub mod kit;
pub mod moody;
