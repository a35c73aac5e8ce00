//! Reports every error to a service outside: what inline handlers say, attempts that fail, and jobs that are dead.
//!
//! ```text
//! cargo run --release -p examples --features axum --example report_errors
//! ```
//!
//! The service is a small HTTP server, here in the same process, that prints what comes in. An observer sees the errors of fires, a layer
//! those of attempts, and `on_failure` the jobs that are given up. They only hand on what they see; a task of its own sends it, so that
//! a slow service slows nothing down.

use std::fmt;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context as TaskContext, Poll};

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use extensions::BoxFuture;
use extensions::fire::{Observed, Observer};
use extensions::prelude::*;
use extensions::tower::{Layer, Service};
use lexopt::prelude::*;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

const USAGE: &str = "\
report_errors [--json]

  --json   print one JSON object";

#[derive(Debug, Clone, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct SignedUp {
    email: String,
}

#[extension_handler(SignedUp)]
fn check_address(user: &mut SignedUp) -> HandlerResult {
    if user.email.contains('@') { Ok(()) } else { Err(format!("`{}` is no address", user.email).into()) }
}

/// Mail for `busy.example` needs a second attempt, `away.example` is never reached, and `odd.example` makes it panic.
#[extension_handler(SignedUp)]
#[async_handler(retries = 2, backoff = fixed(0), on_failure = ReportDead)]
async fn send_welcome(user: &SignedUp, job: &Job) -> HandlerResult {
    match user.email.split_once('@') {
        Some((_, "busy.example")) if job.attempt() == 1 => Err("busy.example: try again".into()),
        Some((_, "away.example")) => Err("away.example does not answer".into()),
        Some((_, "odd.example")) => panic!("odd.example is odd"),
        _ => Ok(()),
    }
}

/// What the service is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Report {
    what: String,
    whose: String,
    attempt: Option<u32>,
    error: String,
}

/// Hands reports on to the task that sends them.
#[derive(Debug, Clone)]
struct Reporter(mpsc::UnboundedSender<Report>);

impl Reporter {
    fn report(&self, what: &str, whose: &str, attempt: Option<u32>, error: impl fmt::Display) {
        let (what, whose, error) = (what.to_owned(), whose.to_owned(), error.to_string());
        let _ = self.0.send(Report { what, whose, attempt, error });
    }
}

impl Observer for Reporter {
    fn fired(&self, fire: &Observed<'_>) {
        for failure in &fire.report().errors {
            self.report("inline", &failure.handler.key().to_string(), None, &failure.error);
        }
        if let Some(error) = fire.error().filter(|_| fire.report().errors.is_empty()) {
            self.report("fire", &fire.report().point, None, error); // such as a push that failed
        }
    }
}

struct ReportDead;
impl<P: QueuedPoint> OnFailure<P> for ReportDead {
    async fn on_failure(&self, _: &P, error: &JobError, job: &Job) {
        let reporter = job.resource::<Reporter>().expect("a reporter");
        reporter.report("dead", job.handler().as_str(), Some(job.attempt()), error);
    }
}

impl<S> Layer<S> for Reporter {
    type Service = Reported<S>;

    fn layer(&self, inner: S) -> Reported<S> {
        Reported { reporter: self.clone(), inner }
    }
}

/// Attempts whose errors are reported.
#[derive(Debug, Clone)]
struct Reported<S> {
    reporter: Reporter,
    inner: S,
}

impl<S> Service<Job> for Reported<S>
where
    S: Service<Job, Response = (), Error = HandlerError, Future: Send + 'static>,
{
    type Response = ();
    type Error = HandlerError;
    type Future = BoxFuture<'static, HandlerResult>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<HandlerResult> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, job: Job) -> Self::Future {
        let attempt = self.inner.call(job.clone());
        let mut running = Running { reporter: self.reporter.clone(), job, ended: false };
        Box::pin(async move {
            let result = attempt.await;
            running.ended = true;
            if let Err(error) = &result
                && error.is_failed_attempt()
            {
                running.report(error);
            }
            result
        })
    }
}

/// An attempt that has not ended; dropped like that, it panicked or is out of time.
struct Running {
    reporter: Reporter,
    job: Job,
    ended: bool,
}

impl Running {
    fn report(&self, error: impl fmt::Display) {
        self.reporter.report("attempt", self.job.handler().as_str(), Some(self.job.attempt()), error);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended && !self.job.is_cancelled() {
            self.report(if std::thread::panicking() { "panicked" } else { "out of time" });
        }
    }
}

/// What the service was told, in the order in which it came in.
#[derive(Debug, Clone, Default)]
struct Inbox(Arc<Mutex<Vec<Report>>>);

async fn receive(State(inbox): State<Inbox>, Json(report): Json<Report>) -> StatusCode {
    inbox.0.lock().unwrap_or_else(PoisonError::into_inner).push(report);
    StatusCode::NO_CONTENT
}

#[derive(Debug, Serialize)]
struct Summary {
    reports: Vec<Report>,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} reports came in", self.reports.len())?;
        for Report { what, whose, attempt, error } in &self.reports {
            let attempt = attempt.map(|attempt| format!(", attempt {attempt}")).unwrap_or_default();
            write!(f, "\n  {what:<8} {whose}{attempt}: {error}")?;
        }
        Ok(())
    }
}

async fn run() -> Result<(), BoxError> {
    let mut json = false;
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        match arg {
            Long("json") => json = true,
            Long("help") | Short('h') => return examples::help(USAGE).map(|_: Option<()>| ()),
            _ => return Err(arg.unexpected().into()),
        }
    }
    let inbox = Inbox::default();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let service = listener.local_addr()?;
    let router = Router::new().route("/reports", post(receive)).with_state(inbox.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });

    let (reports, mut outgoing) = mpsc::unbounded_channel();
    let sending = tokio::spawn(async move {
        while let Some(report) = outgoing.recv().await {
            let body = serde_json::to_string(&report)?;
            let answer = examples::http::send(service, "POST", "/reports", &[], &body).await?;
            if answer.status != 204 {
                eprintln!("the service answered {}", answer.status);
            }
        }
        Ok::<_, BoxError>(())
    });
    let reporter = Reporter(reports);
    let ext = Extensions::builder()
        .discover()
        .queue(extensions::queue::Memory::new())
        .resource(reporter.clone())
        .observer(reporter.clone())
        .attempt_layer(reporter)
        .build()
        .await?;

    std::panic::set_hook(Box::new(|_| ())); // it is reported
    for email in ["ann@mail.example", "nobody", "ben@busy.example", "cai@away.example", "dan@odd.example"] {
        let _reported = ext.fire(SignedUp { email: email.to_owned() }).await;
    }
    ext.worker().concurrency(1).stop_when_drained().run().await?;
    drop(ext); // and with it the last reporter: the rest is sent, and that is all
    sending.await??;
    let reports = std::mem::take(&mut *inbox.0.lock().unwrap_or_else(PoisonError::into_inner));
    examples::print(&Summary { reports }, json)
}

#[tokio::main]
async fn main() -> ExitCode {
    examples::finish(run().await)
}
