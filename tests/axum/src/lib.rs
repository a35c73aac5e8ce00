//! The guide's pages on layers and on axum, whose code is tested here: the facade itself does not depend on a server.

#[cfg(doctest)]
#[doc = include_str!("../../../extensions/src/docs/layers.md")]
mod layers {}

#[cfg(doctest)]
#[doc = include_str!("../../../extensions/src/docs/axum.md")]
mod axum {}
