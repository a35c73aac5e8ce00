//! Derive and attribute macros of the `extensions` framework; use them through the crate `extensions`.
