//! What `work --listen` serves: a worker's probes, its metrics, and its store's.

use std::net::SocketAddr;
use std::sync::Arc;

use super::super::outcome::{Failure, Outcome};
use super::super::screen::Screen;
use crate::queue::QueueBackend;
use crate::telemetry::{Endpoints, Health, Prometheus, QueueGauges, Server, serve};
use crate::worker::{Control, WorkerStatus};

/// Serves what is known of the worker that has this control. It ends with the answer.
pub(super) async fn watch(
    address: SocketAddr,
    control: &Control,
    queue: Option<&Arc<dyn QueueBackend>>,
    screen: &Screen,
) -> Result<Server, Failure> {
    let [of_live, of_ready] = [control.clone(), control.clone()];
    let endpoints =
        Endpoints::new().live(move || live(&of_live.status())).ready(move || ready(&of_ready.status()));
    let endpoints = match Prometheus::install() {
        Ok(prometheus) => with_metrics(endpoints, prometheus, queue),
        Err(taken) => {
            screen.note(&format!("note: /metrics is not served: {taken}"));
            endpoints
        }
    };
    let server = serve(address, endpoints).await.map_err(|error| {
        let message = format!("nothing can be served at {address}: {error}; give `--listen` another address");
        Failure::new(Outcome::Failed, message)
    })?;
    screen.note(&format!("serving http://{}/live, /ready and /metrics", server.address()));
    Ok(server)
}

fn with_metrics(
    endpoints: Endpoints,
    prometheus: Prometheus,
    queue: Option<&Arc<dyn QueueBackend>>,
) -> Endpoints {
    let gauges = queue.map(|queue| Arc::new(QueueGauges::new(Arc::clone(queue))));
    endpoints.metrics(move || {
        let (prometheus, gauges) = (prometheus.clone(), gauges.clone());
        async move {
            match &gauges {
                Some(gauges) => prometheus.scrape(gauges).await,
                None => prometheus.render(),
            }
        }
    })
}

/// A worker that has not started yet has no complaint.
fn live(status: &WorkerStatus) -> Health {
    Health::well().unless(
        status.live || status.worker.is_none(),
        "the worker's heartbeat stands still, or its watchdog complains",
    )
}

fn ready(status: &WorkerStatus) -> Health {
    if status.ready {
        return Health::well();
    }
    Health::unwell(match status {
        WorkerStatus { worker: Some(_), up: false, .. } => "the queue cannot be reached",
        WorkerStatus { last_claim: None, .. } => "the first claim was not answered yet",
        _ => "the worker ends",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::WorkerId;
    use std::time::Duration;

    fn status(ready: bool, up: bool, claimed: bool) -> WorkerStatus {
        let last_claim = claimed.then_some(Duration::ZERO);
        WorkerStatus {
            worker: Some(WorkerId::new()),
            ready,
            live: true,
            up,
            last_claim,
            ..WorkerStatus::default()
        }
    }

    #[test]
    fn a_worker_that_is_not_ready_says_why() {
        assert_eq!(ready(&status(true, true, true)), Health::well());
        for (status, why) in [
            (WorkerStatus::default(), "the first claim was not answered yet"),
            (status(false, true, false), "the first claim was not answered yet"),
            (status(false, false, true), "the queue cannot be reached"),
            (status(false, true, true), "the worker ends"),
        ] {
            assert_eq!(ready(&status), Health::unwell(why));
        }
    }

    #[test]
    fn a_worker_is_live_until_something_is_wrong_with_it() {
        assert!(live(&WorkerStatus::default()).is_well());
        assert!(live(&status(false, false, false)).is_well());
        assert!(!live(&WorkerStatus { live: false, ..status(true, true, true) }).is_well());
    }
}
