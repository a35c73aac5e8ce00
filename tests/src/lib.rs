//! Shared parts of the tests.

pub mod crash;
pub mod kit;
pub mod moody;
pub mod os;
pub mod raw;
pub mod servers;
pub mod shop;
pub mod transactional;
