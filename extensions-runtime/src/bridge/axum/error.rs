//! Errors as answers, with nothing in them that is not the client's business.

use std::fmt;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::BoxError;
use crate::fire::{FireError, FireErrorKind, VetoedBy};
use crate::queue::QueueError;
use crate::scope;
use crate::telemetry::names::event;

/// After how many seconds a client may try again.
const RETRY_IN: HeaderValue = HeaderValue::from_static("5");

/// The error of a handler of requests: `async fn place(…) -> Result<…, HttpError>` with `ext.fire(point).await?.into_result()?`.
///
/// Any standard error becomes one with `?`. The answer is an `application/problem+json` (RFC 9457):
///
/// | error | status | what the client is told |
/// |---|---|---|
/// | a veto ([`Fired::into_result`](crate::fire::Fired::into_result)) | 422 | the point, who vetoed, and as `detail` the reason |
/// | a payload that is too large | 413 | its size and the limit |
/// | a guard that could not be asked: muted, circuit open, silenced | 503 and `Retry-After: 5` | nothing |
/// | a queue that is away, busy or full ([`QueueError::is_retryable`]) | 503 and `Retry-After: 5` | nothing |
/// | a handler's or a layer's error, and everything else | 500 | nothing |
///
/// So a veto's reason is written for the client, and errors are for the log: each answer of 500 and above is logged once, with the whole
/// error and the request's id.
pub struct HttpError(BoxError);

/// What becomes of an error.
struct Answer<'a> {
    status: StatusCode,
    problem: Problem<'a>,
}

#[derive(Serialize)]
struct Problem<'a> {
    title: &'static str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(flatten)]
    about: Option<About<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum About<'a> {
    Veto { point: &'a str, vetoed_by: &'a str },
    Size { size: usize, limit: usize },
}

impl HttpError {
    /// The answer's status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.answer().status
    }

    /// The error itself.
    #[must_use]
    pub fn error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        &*self.0
    }

    fn answer(&self) -> Answer<'_> {
        if let Some(error) = self.0.downcast_ref::<FireError>() {
            of_fire(error)
        } else if let Some(error) = self.0.downcast_ref::<QueueError>() {
            of_queue(error)
        } else {
            Answer::new(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }

    /// Writes the error where its operators look.
    fn log(&self, status: StatusCode) {
        let request = scope::current_request();
        tracing::error!(
            name: event::REQUEST_FAILED,
            status = status.as_u16(),
            request,
            error = Causes(&*self.0).to_string(),
            "a request failed"
        );
    }
}

fn of_fire(error: &FireError) -> Answer<'_> {
    let report = error.report();
    match (error.kind(), &report.veto) {
        (FireErrorKind::Vetoed, Some(VetoedBy { unavailable: false, handler, veto })) => {
            let about = About::Veto { point: &report.point, vetoed_by: &handler.name };
            Answer::new(StatusCode::UNPROCESSABLE_ENTITY).saying(veto.reason().to_owned(), about)
        }
        (&FireErrorKind::TooLarge { size, limit }, _) => {
            let detail = format!("{size} bytes, of at most {limit}");
            Answer::new(StatusCode::PAYLOAD_TOO_LARGE).saying(detail, About::Size { size, limit })
        }
        (FireErrorKind::Vetoed | FireErrorKind::Silenced, _) => Answer::new(StatusCode::SERVICE_UNAVAILABLE),
        (FireErrorKind::PushFailed(error), _) => of_queue(error),
        _ => Answer::new(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

fn of_queue<'a>(error: &QueueError) -> Answer<'a> {
    let may_succeed_later = error.is_retryable();
    Answer::new(if may_succeed_later {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::INTERNAL_SERVER_ERROR
    })
}

impl<'a> Answer<'a> {
    fn new(status: StatusCode) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        Self { status, problem: Problem { title, status: status.as_u16(), detail: None, about: None } }
    }

    fn saying(mut self, detail: String, about: About<'a>) -> Self {
        self.problem.detail = Some(detail);
        self.problem.about = Some(about);
        self
    }
}

impl<E: Into<BoxError>> From<E> for HttpError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let Answer { status, problem } = self.answer();
        if status.is_server_error() {
            self.log(status);
        }
        let body = serde_json::to_vec(&problem).expect("texts and numbers");
        let mut response = (status, body).into_response();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, RETRY_IN);
        }
        response
    }
}

/// An error with all that caused it.
struct Causes<'a>(&'a (dyn std::error::Error + 'static));

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.0, f)?;
        let mut source = self.0.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

impl fmt::Debug for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
