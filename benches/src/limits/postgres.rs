//! PostgreSQL: one table, one index, statements prepared once.

use std::hint::black_box;
use std::time::Instant;

use extensions::BoxError;
use tokio::task::JoinSet;
use tokio_postgres::{Client, NoTls};

use super::{BULK, CLAIM, unknown};
use crate::payload::OrderPlaced;
use crate::subject::{Answer, Arguments};

/// The connections of `fire 64`, each with a row at a time.
const PRODUCERS: u64 = 16;
/// The connections that drain.
const DRAINS: u64 = 4;

const TABLE: &str = "\
    CREATE TABLE jobs (
        id bigserial PRIMARY KEY, queue int NOT NULL DEFAULT 1, state smallint NOT NULL DEFAULT 0,
        run_at timestamptz NOT NULL DEFAULT now(), attempts smallint NOT NULL DEFAULT 0, locked_at timestamptz,
        payload jsonb NOT NULL
    );
    CREATE INDEX ON jobs (queue, run_at, id) WHERE state = 0;";

const INSERT: &str = "INSERT INTO jobs (payload) VALUES ($1::text::jsonb)";
const INSERT_MANY: &str = "INSERT INTO jobs (payload) SELECT unnest($1::text[])::jsonb";

const CLAIMED: &str = "\
    UPDATE jobs SET state = 1, locked_at = now(), attempts = attempts + 1 WHERE id = ANY (ARRAY(
        SELECT id FROM jobs WHERE queue = 1 AND state = 0 AND run_at <= now() ORDER BY run_at, id
        FOR UPDATE SKIP LOCKED LIMIT $1
    )) RETURNING id, payload::text";

pub(super) async fn subject(arguments: &Arguments) -> Result<Answer, BoxError> {
    let client = connect(&arguments.url).await?;
    client.batch_execute(TABLE).await?;
    match &*arguments.step {
        "fire-1" => {
            let insert = client.prepare(INSERT).await?;
            let start = Instant::now();
            for n in 0..arguments.jobs {
                client.execute(&insert, &[&OrderPlaced::json(n)]).await?;
            }
            Ok(Answer::rate(arguments.jobs, start))
        }
        "fire-64" => fire_64(arguments).await,
        "bulk" => {
            let start = Instant::now();
            fill(&client, arguments.jobs).await?;
            Ok(Answer::rate(arguments.jobs, start))
        }
        "drain" => {
            fill(&client, arguments.jobs).await?;
            client.batch_execute("VACUUM ANALYZE jobs").await?;
            drain(arguments).await
        }
        _ => unknown(arguments),
    }
}

async fn connect(url: &str) -> Result<Client, BoxError> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

async fn fire_64(arguments: &Arguments) -> Result<Answer, BoxError> {
    let each = arguments.jobs / PRODUCERS;
    let mut clients = Vec::new();
    for _ in 0..PRODUCERS {
        let client = connect(&arguments.url).await?;
        let insert = client.prepare(INSERT).await?;
        clients.push((client, insert));
    }
    let mut producers = JoinSet::new();
    let start = Instant::now();
    for (client, insert) in clients {
        producers.spawn(async move {
            for n in 0..each {
                client.execute(&insert, &[&OrderPlaced::json(n)]).await?;
            }
            Ok::<_, tokio_postgres::Error>(())
        });
    }
    while let Some(producer) = producers.join_next().await {
        producer??;
    }
    Ok(Answer::rate(each * PRODUCERS, start))
}

async fn fill(client: &Client, jobs: u64) -> Result<(), BoxError> {
    let insert = client.prepare(INSERT_MANY).await?;
    let mut next = 0;
    while next < jobs {
        let until = jobs.min(next + BULK);
        let payloads: Vec<String> = (next..until).map(OrderPlaced::json).collect();
        client.execute(&insert, &[&payloads]).await?;
        next = until;
    }
    Ok(())
}

async fn drain(arguments: &Arguments) -> Result<Answer, BoxError> {
    let end = if arguments.keep {
        "UPDATE jobs SET state = 2 WHERE id = ANY ($1)"
    } else {
        "DELETE FROM jobs WHERE id = ANY ($1)"
    };
    let mut clients = Vec::new();
    for _ in 0..DRAINS {
        let client = connect(&arguments.url).await?;
        let (claim, settle) = (client.prepare(CLAIMED).await?, client.prepare(end).await?);
        clients.push((client, claim, settle));
    }
    let mut drains = JoinSet::new();
    let start = Instant::now();
    for (client, claim, settle) in clients {
        drains.spawn(async move {
            let mut done = 0;
            loop {
                let rows = client.query(&claim, &[&(CLAIM as i64)]).await?;
                if rows.is_empty() {
                    return Ok::<_, BoxError>(done);
                }
                for row in &rows {
                    black_box(serde_json::from_str::<OrderPlaced>(row.get(1))?);
                }
                let ids: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
                client.execute(&settle, &[&ids]).await?;
                done += ids.len() as u64;
            }
        });
    }
    let mut done = 0;
    while let Some(drained) = drains.join_next().await {
        done += drained??;
    }
    Ok(Answer::rate(done, start))
}
