//! The guide, page by page. Every block of code is compiled and run as a test.
//!
//! | page | what it says |
//! |---|---|
//! | [`points`] | how points are declared, their versions, points of mixed types |
//! | [`handlers`] | inline, awaited, async and blocking handlers; order, options, resources |
//! | [`firing`] | building an instance, what a fire does and reports, its options and errors |
//! | [`workers`] | a worker's options, shut-down, what it does while it runs |
//! | [`async_handlers`] | every option of async handlers, back-off, callbacks, unique jobs, monitoring, practice |
//! | [`testing`] | the memory queue and a clock that is moved by hand |
//! | [`lifecycle`] | the states of a job and the roads between them |
//! | [`guarantees`] | what is promised when a process dies, step by step |
//! | [`backends`] | what each queue can do, and how further ones fit the contract |
//! | [`plugins`] | handlers from other crates, and linkers that drop them |
//! | [`upgrading`] | new names, new versions, programs of different age side by side |

#[doc = include_str!("docs/points.md")]
pub mod points {}

#[doc = include_str!("docs/handlers.md")]
pub mod handlers {}

#[doc = include_str!("docs/firing.md")]
pub mod firing {}

#[doc = include_str!("docs/workers.md")]
pub mod workers {}

#[doc = include_str!("docs/testing.md")]
pub mod testing {}

// The pages of the folder `docs` link to each other by file. A definition before a page wins over its own, and points to the module.

/// [guarantees]: guarantees
#[doc = include_str!("docs/async.md")]
pub mod async_handlers {}

#[doc = include_str!("docs/lifecycle.md")]
pub mod lifecycle {}

#[doc = include_str!("docs/guarantees.md")]
pub mod guarantees {}

#[doc = include_str!("docs/backends.md")]
pub mod backends {}

#[doc = include_str!("docs/plugins.md")]
pub mod plugins {}

/// [plugins]: plugins
#[doc = include_str!("docs/upgrading.md")]
pub mod upgrading {}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
