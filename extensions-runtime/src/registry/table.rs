//! The handlers of one point type, as the dispatcher runs through them.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::BoxFuture;
use crate::handler::{AwaitedHandler, Context, Handler, HandlerInfo, HandlerResult, JobOptions};
use crate::point::ExtensionPoint;

/// Turns a point into its payload.
pub(crate) type Encode<P> = fn(&P) -> Result<Vec<u8>, serde_json::Error>;

/// An inline handler, ready to be called.
pub(crate) enum InlineCall<P: ExtensionPoint> {
    Plain(Arc<dyn DynHandler<P>>),
    Awaited(Arc<dyn DynAwaited<P>>),
}

pub(crate) trait DynHandler<P: ExtensionPoint>: Send + Sync {
    fn call(&self, point: &mut P, cx: &Context) -> HandlerResult<P::Output>;
}

pub(crate) trait DynAwaited<P: ExtensionPoint>: Send + Sync {
    fn call<'a>(&'a self, point: &'a mut P, cx: &'a Context) -> BoxFuture<'a, HandlerResult<P::Output>>;
}

impl<P: ExtensionPoint, H: Handler<P>> DynHandler<P> for H {
    fn call(&self, point: &mut P, cx: &Context) -> HandlerResult<P::Output> {
        self.handle(point, cx)
    }
}

pub(crate) struct AwaitedShim<H>(pub(crate) Arc<H>);

impl<P: ExtensionPoint, H: AwaitedHandler<P>> DynAwaited<P> for AwaitedShim<H> {
    fn call<'a>(&'a self, point: &'a mut P, cx: &'a Context) -> BoxFuture<'a, HandlerResult<P::Output>> {
        Box::pin(self.0.handle(point, cx))
    }
}

pub(crate) struct InlineEntry<P: ExtensionPoint> {
    pub(crate) call: InlineCall<P>,
    pub(crate) info: Arc<HandlerInfo>,
}

pub(crate) struct QueuedEntry {
    pub(crate) info: Arc<HandlerInfo>,
    pub(crate) options: JobOptions,
}

/// The handlers of the point type `P` in one instance.
pub(crate) struct PointTable<P: ExtensionPoint> {
    /// The wire name in this instance.
    pub(crate) name: Arc<str>,
    pub(crate) inline: Box<[InlineEntry<P>]>,
    /// Whether no inline handler is awaited.
    pub(crate) all_plain: bool,
    pub(crate) queued: Box<[QueuedEntry]>,
    /// Set where the point has queued handlers.
    pub(crate) encode: Option<Encode<P>>,
    /// Whether the warning about a large payload was given.
    pub(crate) warned_large: std::sync::atomic::AtomicBool,
}

impl<P: ExtensionPoint> PointTable<P> {
    pub(crate) fn len(&self) -> usize {
        self.inline.len() + self.queued.len()
    }

    /// In the order in which they run.
    pub(crate) fn infos(&self) -> Vec<Arc<HandlerInfo>> {
        let inline = self.inline.iter().map(|entry| &entry.info);
        inline.chain(self.queued.iter().map(|entry| &entry.info)).cloned().collect()
    }

    pub(crate) fn awaited_names(&self) -> Vec<String> {
        let awaited = self.inline.iter().filter(|entry| matches!(entry.call, InlineCall::Awaited(_)));
        awaited.map(|entry| entry.info.name.clone().into_owned()).collect()
    }
}

/// A table whose point type is forgotten.
pub(crate) trait AnyTable: Send + Sync {
    fn as_any(&self) -> &dyn Any;
}

impl<P: ExtensionPoint> AnyTable for PointTable<P> {
    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl fmt::Debug for dyn AnyTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PointTable")
    }
}
