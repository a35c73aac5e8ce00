//! Tests across the crates; see `tests/tests`.
