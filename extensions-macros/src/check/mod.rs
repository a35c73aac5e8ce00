//! Judging what was read, and turning it into models that cannot be wrong any more.

pub(crate) mod async_options;
pub(crate) mod breaker;
pub(crate) mod conditions;
pub(crate) mod declare;
pub(crate) mod function;
pub(crate) mod handler;
pub(crate) mod names;
pub(crate) mod point;
pub(crate) mod serialized;
