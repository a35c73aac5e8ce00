//! The cases, by what they are about.

mod calls;
mod explain;
mod extremes;
mod follow_ups;
mod handover;
mod history;
mod leases;
mod once;
mod operator;
mod order;
mod push;
mod races;
mod reserve;
mod settle;
mod transactions;
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
        handover::CASES,
        upkeep::CASES,
        operator::CASES,
        follow_ups::CASES,
        once::CASES,
        order::CASES,
        extremes::CASES,
        races::CASES,
        transactions::CASES,
        history::CASES,
        explain::CASES,
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
