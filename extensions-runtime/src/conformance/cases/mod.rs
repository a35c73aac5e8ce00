//! The cases, by what they are about.

mod calls;
mod leases;
mod operator;
mod push;
mod reserve;
mod settle;
mod upkeep;
mod waiting;

use super::Case;

/// Every case.
pub fn all() -> impl Iterator<Item = &'static Case> {
    [
        calls::CASES,
        push::CASES,
        reserve::CASES,
        leases::CASES,
        settle::CASES,
        waiting::CASES,
        upkeep::CASES,
        operator::CASES,
    ]
    .into_iter()
    .flatten()
}

/// Writes cases: the rules, what is needed, and the proof on a bench.
macro_rules! cases {
    ($([$($rule:literal)+] $($need:ident)* => $name:ident($bench:ident) $body:block)+) => {
        pub(super) const CASES: &[$crate::conformance::Case] = &[$($crate::conformance::Case {
            name: stringify!($name),
            rules: &[$($rule),+],
            needs: &[$($crate::conformance::Need::$need),*],
            run: |$bench| Box::pin(async move $body),
        }),+];
    };
}
use cases;
