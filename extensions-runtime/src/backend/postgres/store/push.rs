//! Storing jobs (Q6–Q11, Q41).

use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::{Store, Who, job_id, span, uuid};
use crate::job::{NewJob, UniqueUntil};
use crate::queue::Pushed;

pub(super) const PUSH: &str = "SELECT {p}push($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) FROM {p}store s WHERE s.id = $15 AND s.xmin::text = $16";

/// How many jobs one statement stores.
const CHUNK: usize = 10_000;

/// Jobs as columns.
#[derive(Debug, Default, Clone)]
pub(in super::super) struct Columns {
    ids: Vec<Uuid>,
    lanes: Vec<i32>,
    priorities: Vec<i16>,
    delays: Vec<i64>,
    max_attempts: Vec<i64>,
    on_failures: Vec<bool>,
    metas: Vec<Vec<u8>>,
    payloads: Vec<Vec<u8>>,
    special: bool,
    keys: Vec<Option<String>>,
    ttls: Vec<Option<i64>>,
    starts: Vec<Option<bool>>,
    onces: Vec<Option<i64>>,
    touched: Vec<i32>,
    /// Whose lanes these are.
    of: Who,
}

impl Columns {
    fn add(&mut self, job: &NewJob, (lane, queue): (i32, i32)) {
        let unique = job.unique.as_ref();
        self.ids.push(uuid(job.id));
        self.lanes.push(lane);
        self.priorities.push(job.priority.into());
        self.delays.push(span(job.delay));
        self.max_attempts.push(job.max_attempts.into());
        self.on_failures.push(job.on_failure);
        self.metas.push(serde_json::to_vec(&job.meta).unwrap_or_default());
        self.payloads.push(job.payload.as_bytes().to_vec());
        self.keys.push(unique.map(|unique| unique.key.as_str().to_owned()));
        self.ttls.push(unique.and_then(|unique| unique.ttl.map(span)));
        self.starts.push(unique.map(|unique| unique.until == UniqueUntil::Start));
        self.onces.push(job.once.map(span));
        self.special |= unique.is_some() || job.once.is_some();
        if !self.touched.contains(&queue) {
            self.touched.push(queue);
        }
    }
}

impl Store {
    /// The jobs as columns, in parts that are not too large; nothing if one of their lanes is not known.
    pub(in super::super) fn columns<'a>(
        &self,
        jobs: impl Iterator<Item = &'a NewJob>,
    ) -> Option<Vec<Columns>> {
        let names = self.names();
        let part = || Columns { of: names.of().clone(), ..Columns::default() };
        let mut parts = vec![part()];
        for job in jobs {
            let lane = names.lane_of(job)?;
            if parts.last().is_none_or(|part| part.ids.len() >= CHUNK) {
                parts.push(part());
            }
            parts.last_mut()?.add(job, lane);
        }
        Some(parts)
    }

    /// Stores jobs; nothing is done, and nothing answered, where the store is another one than that of the columns' lanes.
    pub(in super::super) async fn push(
        &self,
        conn: &mut PgConnection,
        parts: Vec<Columns>,
    ) -> sqlx::Result<Option<Vec<Pushed>>> {
        let mut answers = Vec::new();
        for part in parts.into_iter().filter(|part| !part.ids.is_empty()) {
            let n = part.ids.len();
            let push = self
                .query(&self.sql.push)
                .bind(part.ids)
                .bind(part.lanes)
                .bind(part.priorities)
                .bind(part.delays)
                .bind(part.max_attempts)
                .bind(part.on_failures)
                .bind(part.metas)
                .bind(part.payloads)
                .bind(part.special)
                .bind(part.keys)
                .bind(part.ttls)
                .bind(part.starts)
                .bind(part.onces)
                .bind(part.touched)
                .bind(part.of.id)
                .bind(part.of.xmin);
            let Some(row) = push.fetch_optional(&mut *conn).await? else { return Ok(None) };
            let holders: Option<Vec<Option<Uuid>>> = row.try_get(0)?;
            let pushed = |holder: Option<Uuid>| {
                holder.map_or(Pushed::Queued, |of| Pushed::Duplicate { of: job_id(of) })
            };
            match holders {
                None => answers.resize(answers.len() + n, Pushed::Queued),
                Some(holders) => answers.extend(holders.into_iter().map(pushed)),
            }
        }
        Ok(Some(answers))
    }
}
