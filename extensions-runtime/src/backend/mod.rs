//! The stores. Each is re-exported by [`queue`](crate::queue), and only `queue::connect` names them.

#[cfg(any(feature = "postgres", feature = "redis"))]
mod handover;
mod history;
#[cfg(any(feature = "postgres", feature = "redis"))]
mod homes;
pub(crate) mod memory;
#[cfg(any(feature = "postgres", feature = "redis", feature = "sqlite"))]
mod options;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
#[cfg(feature = "redis")]
pub(crate) mod redis;
mod rules;
#[cfg(feature = "sqlite")]
pub(crate) mod sqlite;
