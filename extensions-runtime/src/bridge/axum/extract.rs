//! What a handler of requests takes as its parameters.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::HttpError;
use crate::Extensions;
use crate::job::FireId;

/// The instance, out of the router's state: `async fn place(Ext(ext): Ext) -> …`.
///
/// The state is the instance itself (`Router::with_state(ext)`), or a type of the application's from which it can be had:
/// `impl FromRef<App> for Extensions`, or `#[derive(FromRef)]` on `App` with axum's feature `macros`. It cannot fail: a router whose
/// state has no instance does not compile.
#[derive(Debug, Clone)]
pub struct Ext(pub Extensions);

impl<S: Send + Sync> FromRequestParts<S> for Ext
where
    Extensions: FromRef<S>,
{
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, state: &S) -> Result<Self, Infallible> {
        Ok(Self(Extensions::from_ref(state)))
    }
}

/// The id of the request, which [`RequestScope`](super::RequestScope) gave it.
///
/// As an extractor it answers 500, and says in the log what is missing, where no such layer is around the handler.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RequestId(Arc<str>);

/// The longest id that is taken over from a request.
const LONGEST: usize = 128;

impl RequestId {
    pub(super) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id that the request brings along, if it is one that may be written into logs and headers, or else a new one.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let brought =
            headers.get(Self::HEADER).and_then(|value| value.to_str().ok()).filter(|id| is_sane(id));
        Self(brought.map_or_else(|| FireId::new().to_string().into(), Into::into))
    }

    pub(super) fn header(&self) -> HeaderValue {
        HeaderValue::from_str(self.as_str()).expect("letters, digits and a few signs")
    }
}

fn is_sane(id: &str) -> bool {
    let may = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:=+/".contains(&byte);
    (1..=LONGEST).contains(&id.len()) && id.bytes().all(may)
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RequestId {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, HttpError> {
        let missing = "the request has no id: put `.layer(RequestScope::new(ext))` on the router";
        parts.extensions.get().cloned().ok_or_else(|| missing.into())
    }
}
