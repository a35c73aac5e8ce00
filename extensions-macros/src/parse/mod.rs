//! Reading what the user wrote, without judging how the parts fit together.

pub(crate) mod async_handler;
pub(crate) mod attributes;
pub(crate) mod backoff;
pub(crate) mod circuit_breaker;
pub(crate) mod declare;
pub(crate) mod handler;
pub(crate) mod item;
pub(crate) mod options;
pub(crate) mod point;
pub(crate) mod when;
