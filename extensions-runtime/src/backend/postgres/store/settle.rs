//! Ending and extending claims (Q19–Q31, Q40).

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::row::error_tail;
use super::{Store, span, stored, uuid};
use crate::job::{JobId, NewJob};
use crate::queue::{Extend, Extended, Settle, Settled, Settlement};

pub(super) const SETTLE: &str = "SELECT {p}settle($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";

/// A settling call of which nobody knows whether it took effect.
#[derive(Debug)]
pub(in super::super) struct Unsure {
    call: i64,
    held: HashSet<(JobId, i64)>,
}

/// How many such calls are remembered.
const UNSURE: usize = 64;

/// Settlements by the way in which they are made, each with its place in the call.
#[derive(Debug, Default)]
struct Columns {
    drops: Vec<usize>,
    drop_ids: Vec<Uuid>,
    drop_tokens: Vec<i64>,
    keeps: Vec<usize>,
    keep_ids: Vec<Uuid>,
    keep_tokens: Vec<i64>,
    keep_results: Vec<Option<Vec<u8>>>,
    others: Vec<usize>,
    ids: Vec<Uuid>,
    tokens: Vec<i64>,
    kinds: Vec<i16>,
    delays: Vec<i64>,
    errors: Vec<Option<Vec<u8>>>,
    reasons: Vec<Option<Vec<u8>>>,
}

impl Columns {
    fn of(settlements: &[Settlement]) -> Self {
        let mut columns = Self::default();
        let mut seen = HashSet::with_capacity(settlements.len());
        for (at, settlement) in settlements.iter().enumerate() {
            let (id, token) = (uuid(settlement.job), stored(settlement.token));
            let first = seen.insert(token);
            match &settlement.end {
                Settle::Complete { keep: false, .. } if first => {
                    columns.drops.push(at);
                    columns.drop_ids.push(id);
                    columns.drop_tokens.push(token);
                }
                Settle::Complete { keep: true, result, .. } if first => {
                    columns.keeps.push(at);
                    columns.keep_ids.push(id);
                    columns.keep_tokens.push(token);
                    columns.keep_results.push(result.as_ref().map(|result| result.as_bytes().to_vec()));
                }
                end => {
                    columns.others.push(at);
                    columns.ids.push(id);
                    columns.tokens.push(token);
                    columns.add(end);
                }
            }
        }
        columns
    }

    fn add(&mut self, end: &Settle) {
        let (kind, delay, error, reason) = match end {
            Settle::Complete { keep, .. } => (i16::from(*keep), None, None, None),
            Settle::Retry { delay, error } => (2, Some(*delay), Some(error), None),
            Settle::Snooze { delay } => (3, Some(*delay), None, None),
            Settle::Release => (4, None, None, None),
            Settle::Cancel { reason, keep } => {
                (5 + i16::from(*keep), None, None, Some(reason.as_bytes().to_vec()))
            }
            Settle::Bury { error, owe_on_failure } => {
                (7 + i16::from(*owe_on_failure), None, Some(error), None)
            }
            Settle::CallbackDone => (9, None, None, None),
        };
        self.kinds.push(kind);
        self.delays.push(delay.map_or(0, span));
        self.errors.push(error.map(error_tail));
        self.reasons.push(reason);
    }

    /// The answers in the order of the call: the server says which were not current.
    fn answers(places: &Places, missed: &[i64]) -> Vec<Settled> {
        let mut answers = vec![Settled::Done; places.len];
        for missed in missed {
            let place = match usize::try_from(*missed) {
                Ok(_) => places.by_token.get(missed).copied(),
                Err(_) => usize::try_from(-missed - 1).ok().and_then(|at| places.others.get(at).copied()),
            };
            if let Some(answer) = place.and_then(|place| answers.get_mut(place)) {
                *answer = Settled::LeaseLost;
            }
        }
        answers
    }

    fn places(&self) -> Places {
        let drops = self.drop_tokens.iter().zip(&self.drops);
        let keeps = self.keep_tokens.iter().zip(&self.keeps);
        Places {
            len: self.drops.len() + self.keeps.len() + self.others.len(),
            by_token: drops.chain(keeps).map(|(token, place)| (*token, *place)).collect(),
            others: self.others.clone(),
        }
    }
}

/// Where in the call the columns' rows stand.
struct Places {
    len: usize,
    by_token: HashMap<i64, usize>,
    others: Vec<usize>,
}

/// The jobs to be stored with the completions of a call.
pub(in super::super) fn follow_ups(settlements: &[Settlement]) -> impl Iterator<Item = &NewJob> {
    settlements.iter().flat_map(|settlement| follow_ups_of(&settlement.end))
}

fn follow_ups_of(end: &Settle) -> &[NewJob] {
    match end {
        Settle::Complete { follow_ups, .. } => follow_ups,
        _ => &[],
    }
}

impl Store {
    /// Ends claims and stores what follows. With a number, the call is written down, and a second try of it is answered as the
    /// first if that took effect.
    pub(in super::super) async fn settle(
        &self,
        conn: &mut PgConnection,
        settlements: &[Settlement],
        call: Option<i64>,
        is_repeat: bool,
    ) -> sqlx::Result<Vec<Settled>> {
        let columns = Columns::of(settlements);
        let places = columns.places();
        if let Some(call) = call.filter(|_| is_repeat)
            && let Some(missed) = self.missed(conn, call).await?
        {
            return Ok(Columns::answers(&places, &missed));
        }
        let settle = self
            .query(&self.sql.settle)
            .bind(call)
            .bind(columns.drop_ids)
            .bind(columns.drop_tokens)
            .bind(columns.keep_ids)
            .bind(columns.keep_tokens)
            .bind(columns.keep_results)
            .bind(columns.ids)
            .bind(columns.tokens)
            .bind(columns.kinds)
            .bind(columns.delays)
            .bind(columns.errors)
            .bind(columns.reasons);
        let missed: Option<Vec<i64>> = settle.fetch_one(&mut *conn).await?.try_get(0)?;
        let answers = Columns::answers(&places, &missed.unwrap_or_default());
        let done = settlements.iter().zip(&answers).filter(|(_, answer)| **answer == Settled::Done);
        let follow_ups: Vec<_> = done.flat_map(|(settlement, _)| follow_ups_of(&settlement.end)).collect();
        if !follow_ups.is_empty() {
            self.push(conn, &follow_ups).await?.ok_or(sqlx::Error::RowNotFound)?;
        }
        Ok(answers)
    }

    /// What the call did not find, if it took effect.
    async fn missed(&self, conn: &mut PgConnection, call: i64) -> sqlx::Result<Option<Vec<i64>>> {
        let row = self.query(&self.sql.settled).bind(call).fetch_optional(conn).await?;
        row.map(|row| Ok(row.try_get::<Option<Vec<i64>>, _>(0)?.unwrap_or_default())).transpose()
    }

    /// Remembers a call of which nobody knows whether it took effect.
    pub(in super::super) fn remember(&self, call: i64, settlements: &[Settlement]) {
        let held = settlements.iter().map(|settlement| (settlement.job, stored(settlement.token))).collect();
        let mut unsure = self.unsure.lock().unwrap_or_else(PoisonError::into_inner);
        if unsure.len() >= UNSURE {
            unsure.remove(0);
        }
        unsure.push(Unsure { call, held });
    }

    /// The earlier calls that may have done what these settlements no longer found to do.
    pub(in super::super) fn earlier(
        &self,
        settlements: &[Settlement],
        answers: &[Settled],
    ) -> Vec<(i64, Vec<usize>)> {
        let unsure = self.unsure.lock().unwrap_or_else(PoisonError::into_inner);
        if unsure.is_empty() {
            return Vec::new();
        }
        let lost = |at: &usize| answers[*at] == Settled::LeaseLost;
        let of = |call: &Unsure| {
            let held =
                |at: &usize| call.held.contains(&(settlements[*at].job, stored(settlements[*at].token)));
            (call.call, (0..settlements.len()).filter(lost).filter(held).collect::<Vec<_>>())
        };
        unsure.iter().map(of).filter(|(_, places)| !places.is_empty()).collect()
    }

    /// Whether the call took effect, for all it held.
    pub(in super::super) async fn took_effect(
        &self,
        conn: &mut PgConnection,
        call: i64,
    ) -> sqlx::Result<bool> {
        Ok(self.missed(conn, call).await?.is_some_and(|missed| missed.is_empty()))
    }

    pub(in super::super) async fn extend(
        &self,
        conn: &mut PgConnection,
        claims: &Arc<[Extend]>,
        lease: Duration,
    ) -> sqlx::Result<Vec<Extended>> {
        let note =
            |claim: &Extend| claim.progress.as_ref().and_then(|progress| serde_json::to_vec(progress).ok());
        let extend = self
            .query(&self.sql.extend)
            .bind(claims.iter().map(|claim| uuid(claim.job)).collect::<Vec<_>>())
            .bind(claims.iter().map(|claim| stored(claim.token)).collect::<Vec<_>>())
            .bind(claims.iter().map(note).collect::<Vec<_>>())
            .bind(span(lease));
        let answers: Vec<i32> = extend.fetch_one(conn).await?.try_get(0)?;
        let answer = |answer| match answer {
            0 => Extended::Held,
            1 => Extended::CancelRequested,
            _ => Extended::LeaseLost,
        };
        Ok(answers.into_iter().map(answer).collect())
    }
}
