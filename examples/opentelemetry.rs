//! One trace for a fire and its job, though they are in two processes.
//!
//! ```text
//! alias example='cargo run -q -p examples --features opentelemetry --example opentelemetry --'
//! example fire --queue jobs.db    # a request that fires a point
//! example work --queue jobs.db    # a worker that runs its job, and ends
//! ```
//!
//! Each prints its spans, a JSON object a line: all have the same `trace`, and the worker's `attempt` has the fire's span as `parent`.
//! A real program exports to a collector instead, with `opentelemetry-otlp`: only `exporting` differs.

use std::future::pending;
use std::path::PathBuf;
use std::process::ExitCode;

use extensions::prelude::*;
use extensions_telemetry::tracer_provider;
use lexopt::prelude::*;
use opentelemetry::trace::TracerProvider;
use serde::{Deserialize, Serialize};
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

/// Writes spans to standard output, where a real program has `opentelemetry_otlp::SpanExporter`.
mod extensions_telemetry {
    use opentelemetry_sdk::error::OTelSdkResult;
    use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
    use serde_json::json;

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
                println!("{line}");
            }
            Ok(())
        }
    }

    pub(super) fn tracer_provider() -> SdkTracerProvider {
        SdkTracerProvider::builder().with_simple_exporter(Lines).build()
    }
}

fn main() -> ExitCode {
    let (role, queue) = match arguments() {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("{error}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let provider = tracer_provider();
    // Info shows the attempts; debug the fires and inline handlers too.
    let exported = tracing_opentelemetry::layer().with_tracer(provider.tracer("shop"));
    tracing_subscriber::registry().with(exported.with_filter(LevelFilter::DEBUG)).init();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let done = runtime.block_on(run(&role, queue));
    // What was not exported yet goes out now.
    let exported = provider.shutdown();
    match (done, exported) {
        (Ok(()), Ok(())) => ExitCode::SUCCESS,
        (Err(error), _) => fail(&error),
        (_, Err(error)) => fail(&error.into()),
    }
}

async fn run(role: &str, queue: PathBuf) -> Result<(), BoxError> {
    let url = format!("sqlite://{}", queue.display());
    let ext = Extensions::builder().discover().queue_url(url).opentelemetry().build().await?;
    if role == "fire" {
        ext.fire(OrderPlaced { id: 7 }).instrument(tracing::info_span!("POST /orders")).await?;
    } else {
        ext.worker().stop_when_drained().run_until(pending()).await?;
    }
    Ok(())
}

fn fail(error: &BoxError) -> ExitCode {
    eprintln!("{error}");
    ExitCode::FAILURE
}

fn arguments() -> Result<(String, PathBuf), lexopt::Error> {
    let (mut role, mut queue) = (None, PathBuf::from("jobs.db"));
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Value(value) if role.is_none() => role = Some(value.string()?),
            Long("queue") => queue = parser.value()?.into(),
            Long("help") => {
                println!("{USAGE}");
                std::process::exit(0);
            }
            _ => return Err(argument.unexpected()),
        }
    }
    match role {
        Some(role) if ["fire", "work"].contains(&&*role) => Ok((role, queue)),
        _ => Err("say `fire` or `work`".into()),
    }
}
