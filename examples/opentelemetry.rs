//! One trace for a fire and its job, though they are in two processes.
//!
//! ```text
//! alias example='cargo run -q -p examples --features opentelemetry --example opentelemetry --'
//! example fire --queue jobs.db    # a request that fires a point
//! example work --queue jobs.db    # a worker that runs its job, and ends
//! ```
//!
//! Each prints its spans, a JSON object a line: all have the same `trace`, and the worker's `attempt` has the fire's span as `parent`.
//! A real program exports to a collector instead, with `opentelemetry-otlp`: only `Lines` goes.

use std::future::pending;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use extensions::prelude::*;
use lexopt::prelude::*;
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tracing::Instrument;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

const USAGE: &str = "\
opentelemetry fire|work [--queue FILE]

  fire           fires a point, as a request to a shop would
  work           runs the jobs that are there, and ends
  --queue FILE   the SQLite file between the two (default jobs.db)";

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct OrderPlaced {
    id: u64,
}

#[extension_handler(OrderPlaced)]
#[async_handler]
async fn send_mail(order: &OrderPlaced) {
    async { tokio::task::yield_now().await }.instrument(tracing::info_span!("smtp", order.id)).await;
}

/// Writes spans to standard output, where a real program has the exporter of `opentelemetry-otlp`.
#[derive(Debug)]
struct Lines;

impl SpanExporter for Lines {
    async fn export(&self, spans: Vec<SpanData>) -> OTelSdkResult {
        for span in spans {
            let line = json!({
                "name": span.name,
                "trace": span.span_context.trace_id().to_string(),
                "span": span.span_context.span_id().to_string(),
                "parent": span.parent_span_id.to_string(),
            });
            let written = writeln!(std::io::stdout(), "{line}");
            written.map_err(|error| OTelSdkError::InternalFailure(error.to_string()))?;
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Fire,
    Work,
}

#[tokio::main]
async fn main() -> ExitCode {
    examples::finish(run().await)
}

async fn run() -> Result<(), BoxError> {
    let Some((role, queue)) = arguments()? else { return Ok(()) };
    let provider = SdkTracerProvider::builder().with_simple_exporter(Lines).build();
    // Info shows the attempts; debug the fires, pushes and inline handlers too.
    let exported = tracing_opentelemetry::layer().with_tracer(provider.tracer("shop"));
    tracing_subscriber::registry().with(exported.with_filter(LevelFilter::DEBUG)).init();
    let url = examples::sqlite_url(&queue);
    let ext = Extensions::builder().discover().queue_url(url).opentelemetry().build().await?;
    match role {
        Role::Fire => {
            ext.fire(OrderPlaced { id: 7 }).instrument(tracing::info_span!("POST /orders")).await?;
        }
        Role::Work => {
            ext.worker().stop_when_drained().run_until(pending()).await?;
        }
    }
    // What was not exported yet goes out now.
    Ok(provider.shutdown()?)
}

fn arguments() -> Result<Option<(Role, PathBuf)>, BoxError> {
    let (mut role, mut queue) = (None, PathBuf::from("jobs.db"));
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Value(word) if word == "fire" => role = Some(Role::Fire),
            Value(word) if word == "work" => role = Some(Role::Work),
            Long("queue") => queue = parser.value()?.into(),
            Short('h') | Long("help") => return examples::help(USAGE),
            other => return Err(other.unexpected().into()),
        }
    }
    let role = role.ok_or_else(|| lexopt::Error::from("say `fire` or `work`"))?;
    Ok(Some((role, queue)))
}
