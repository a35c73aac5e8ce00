//! A layer that runs each request inside its scopes.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::Request;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use http_body::{Frame, SizeHint};
use tower_layer::Layer;
use tower_service::Service;

use super::RequestId;
use crate::scope::{Inside, Scope};
use crate::{BoxFuture, Extensions};

/// Runs each request inside [`ext.request(id)`](Extensions::request), and where it is told how, inside the scopes of its tenant and its
/// user: `Router::layer(RequestScope::new(ext).tenant(|parts| …))`.
///
/// The id is that of the request's header `x-request-id` if it has up to 128 letters, digits and `-_.:=+/`, and else a new UUID.
/// [`RequestId`] extracts it, and the answer carries it in the same header. A layer inside of another one keeps the id that is there.
///
/// The scopes hold for extractors, handlers and layers further in, and for an answer's body while it is sent. They follow the request,
/// not the thread; tasks that it spawns are outside. The jobs of its fires carry them along.
#[derive(Clone)]
pub struct RequestScope {
    extensions: Extensions,
    tenant: Option<Name>,
    user: Option<Name>,
}

type Name = Arc<dyn Fn(&Parts) -> Option<String> + Send + Sync>;

impl RequestScope {
    /// The scope of the request's id alone.
    #[must_use]
    pub fn new(extensions: Extensions) -> Self {
        Self { extensions, tenant: None, user: None }
    }

    /// Where the tenant's name is in a request; `None` means that it has no tenant.
    ///
    /// What has to be awaited first (a look at a session) is done by a layer further out, which leaves it in the request's extensions.
    #[must_use]
    pub fn tenant(mut self, name: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static) -> Self {
        self.tenant = Some(Arc::new(name));
        self
    }

    /// Where the user's name is in a request; `None` means that it has no user.
    #[must_use]
    pub fn user(mut self, name: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static) -> Self {
        self.user = Some(Arc::new(name));
        self
    }
}

impl fmt::Debug for RequestScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestScope")
            .field("tenant", &self.tenant.is_some())
            .field("user", &self.user.is_some())
            .finish_non_exhaustive()
    }
}

impl<S> Layer<S> for RequestScope {
    type Service = InRequestScope<S>;

    fn layer(&self, inner: S) -> Self::Service {
        InRequestScope { scope: self.clone(), inner }
    }
}

/// What [`RequestScope`] makes of a service.
#[derive(Debug, Clone)]
pub struct InRequestScope<S> {
    scope: RequestScope,
    inner: S,
}

impl<S, B> Service<Request<B>> for InRequestScope<S>
where
    S: Service<Request<B>, Response: IntoResponse, Future: Send> + Clone + Send + 'static,
    B: Send + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        let id = parts.extensions.get().cloned().unwrap_or_else(|| RequestId::of(&parts.headers));
        parts.extensions.insert(id.clone());
        let RequestScope { extensions, tenant, user } = &self.scope;
        let named = |name: &Option<Name>| name.as_ref().and_then(|name| name(&parts));
        let tenant = named(tenant).map(|name| extensions.tenant(name));
        let user = named(user).map(|name| extensions.user(name));
        let request = extensions.request(id.as_str());
        // The one that was asked whether it is ready is the one to call.
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        let extensions = extensions.clone();
        Box::pin(async move {
            let answering = async move {
                let response = inner.call(Request::from_parts(parts, body)).await?.into_response();
                let inside = Inside::current(&extensions);
                Ok(response.map(|body| Body::new(ScopedBody { body, inside })))
            };
            let mut response = request.run(within(tenant, within(user, answering))).await?;
            response.headers_mut().insert(RequestId::HEADER, id.header());
            Ok(response)
        })
    }
}

async fn within<F: Future>(scope: Option<Scope>, future: F) -> F::Output {
    match scope {
        Some(scope) => scope.run(future).await,
        None => future.await,
    }
}

/// The body of an answer, which may be made while it is sent.
struct ScopedBody {
    body: Body,
    inside: Option<Inside>,
}

impl HttpBody for ScopedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Self { body, inside } = &mut *self;
        let poll = || Pin::new(body).poll_frame(cx);
        match inside {
            Some(inside) => inside.sync(poll),
            None => poll(),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
