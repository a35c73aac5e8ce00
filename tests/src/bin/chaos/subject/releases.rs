//! Two releases of one application, as they stand side by side during an upgrade.

use extensions::prelude::*;
use extensions::{ExtensionsBuilder, handler::AsyncOptions};
use serde::{Deserialize, Serialize};
use tests::crash::{LedgerWriter, Outcome, Release};

use super::handlers::Running;

pub(super) mod old {
    use super::*;

    #[derive(Debug, Clone, Serialize, Deserialize, ExtensionPoint)]
    #[extension_point(queued, name = "shipment")]
    pub(crate) struct Shipment {
        pub(crate) fire: u64,
        pub(crate) grams: u64,
    }
}

pub(super) mod new {
    use super::*;

    #[derive(Debug, Clone, Serialize, Deserialize, ExtensionPoint)]
    #[extension_point(queued, name = "shipment", version = 2, upcast = in_kilos)]
    pub(crate) struct Shipment {
        pub(crate) fire: u64,
        pub(crate) kilos: f64,
    }

    fn in_kilos(version: u32, mut old: serde_json::Value) -> Result<serde_json::Value, BoxError> {
        if version != 1 {
            return Err(format!("version {version} was never released").into());
        }
        let grams = old["grams"].as_f64().ok_or("no grams")?;
        Ok(serde_json::json!({ "fire": old["fire"].take(), "kilos": grams / 1000.0 }))
    }
}

/// Every handler of both: whatever arrives has to weigh a kilo.
struct Handle;

impl AsyncHandler<old::Shipment> for Handle {
    async fn handle(&self, shipment: &old::Shipment, job: &Job) -> HandlerResult {
        run(job, shipment.grams == 1000).await
    }
}

impl AsyncHandler<new::Shipment> for Handle {
    async fn handle(&self, shipment: &new::Shipment, job: &Job) -> HandlerResult {
        run(job, (shipment.kilos - 1.0).abs() < 1e-9).await
    }
}

async fn run(job: &Job, is_right: bool) -> HandlerResult {
    let ledger = job.resource::<LedgerWriter>().expect("the ledger is a resource");
    let run = Running::start(&ledger, job).await;
    run.end(if is_right { Outcome::Done } else { Outcome::Permanent }).await
}

/// Adds what only one release has. The other's point goes by another name, as each is in the one program that plays both.
pub(super) fn register(builder: ExtensionsBuilder, release: Release) -> ExtensionsBuilder {
    let named = |name: &str| AsyncOptions::new().name(name).queue("shipments").max_attempts(1);
    let aside = |release: &str| format!("{}::{release}::Shipment", module_path!());
    match release {
        Release::Old => builder
            .rename_point(aside("new"), "shipment-of-another-release")
            .register_async::<old::Shipment, _>(Handle, named("pack"))
            .register_async::<old::Shipment, _>(Handle, named("label")),
        Release::New => builder
            .rename_point(aside("old"), "shipment-of-another-release")
            .register_async::<new::Shipment, _>(Handle, named("pack"))
            .register_async::<new::Shipment, _>(Handle, named("track")),
    }
}
