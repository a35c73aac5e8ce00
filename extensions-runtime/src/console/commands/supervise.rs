//! `supervise`.

use super::super::outcome::{Done, Failure, Outcome};
use super::Session;
use crate::config::Config;
use crate::queue::{QueueErrorKind, connect_existing};
use crate::supervisor::{Supervisor, SupervisorError};

pub(super) async fn supervise(session: Session<'_>) -> Done {
    let Session { app, url, screen, .. } = session;
    let (config, given) = app.supervised(url.as_deref())?;
    if given.is_none() {
        refuse_missing_store(&config).await?;
    }
    let mut supervisor = Supervisor::new(config);
    if let Some(queue) = given {
        supervisor = supervisor.queue(queue);
    }
    if let Some(url) = url {
        supervisor = supervisor.queue_url(url);
    }
    let report = supervisor.run().await?;
    if screen.is_json() {
        screen.json(&report)?;
    } else {
        let (started, restarts) = (report.started, report.restarts);
        screen.line(format!("ended: {started} processes started, {restarts} of them in place of others"))?;
    }
    Ok(Outcome::OfProcesses(report.exit_code))
}

/// Processes without a store would end and be started for ever. One that cannot be reached may come back.
async fn refuse_missing_store(config: &Config) -> Result<(), Failure> {
    let missing = "no queue is named; write `--queue-url URL`, set EXTENSIONS_QUEUE_URL, or `queue_url` in extensions.toml";
    let url = config.queue_url().ok_or_else(|| Failure::usage(missing))?;
    match connect_existing(&url).await {
        Err(error) if !matches!(error.kind(), QueueErrorKind::Unavailable | QueueErrorKind::Timeout) => {
            Err(error.into())
        }
        _ => Ok(()),
    }
}

impl From<SupervisorError> for Failure {
    fn from(error: SupervisorError) -> Self {
        Self::new(Outcome::Failed, error.to_string())
    }
}
