//! Extension points: what can be fired.
//!
//! [`ExtensionPoint`] is derived, never written by hand. A point that may cross a process boundary is also a
//! [`QueuedPoint`].

mod optional;

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

#[doc(hidden)]
pub use self::optional::Optionally;
use crate::BoxError;
use crate::fire::{FireError, FireReport, Plan};
use crate::handler::{Verdict, Veto};
use crate::instance::Extensions;

/// Turns the payload of an older version into today's: `fn(version, payload)`.
pub type Upcast = fn(u32, Value) -> Result<Value, BoxError>;

/// A typed place in the application where handlers can be attached.
///
/// Derived with `#[derive(ExtensionPoint)]`; the derive macro's docs list its options.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no extension point",
    label = "not an extension point",
    note = "add `#[derive(ExtensionPoint)]` to `{Self}`"
)]
pub trait ExtensionPoint: Sized + Send + Sync + 'static {
    /// What each inline handler returns: `()`, the type of `output = …`, or `Verdict` on an interruptible point.
    type Output: Send + Sync + 'static;

    /// The point's description.
    fn info() -> &'static PointInfo;

    #[doc(hidden)]
    fn __slot() -> &'static PointSlot;

    #[doc(hidden)]
    fn __veto(_output: &Self::Output) -> Option<&Veto> {
        None
    }

    /// The point as JSON, where its type is `Serialize`.
    #[doc(hidden)]
    fn __view(&self) -> Option<Result<Value, serde_json::Error>> {
        None
    }

    /// A copy, where its type is `Clone`.
    #[doc(hidden)]
    fn __copy(&self) -> Option<Self> {
        None
    }
}

/// A point whose type is not known here.
#[derive(Clone, Copy)]
pub struct AnyPoint<'a> {
    name: &'a str,
    point: &'a dyn Erased,
}

trait Erased {
    fn info(&self) -> &'static PointInfo;
    fn view(&self) -> Option<Result<Value, serde_json::Error>>;
    fn as_any(&self) -> &dyn Any;
    fn keep(&self) -> Option<Arc<dyn Any + Send + Sync>>;
}

impl<P: ExtensionPoint> Erased for P {
    fn info(&self) -> &'static PointInfo {
        P::info()
    }
    fn view(&self) -> Option<Result<Value, serde_json::Error>> {
        self.__view()
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn keep(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        let copy = self.__copy().or_else(|| written_and_read(self))?;
        Some(Arc::new(copy))
    }
}

/// A copy of a queued point by way of its JSON.
fn written_and_read<P: ExtensionPoint>(point: &P) -> Option<P> {
    if !P::info().queued {
        return None;
    }
    let mut fields = match point.__view()?.ok()? {
        Value::Object(fields) => fields,
        Value::Null => serde_json::Map::new(),
        _ => return None,
    };
    fields.insert("type".to_owned(), P::info().name.into());
    let read: Box<dyn QueuedPoint> = serde_json::from_value(Value::Object(fields)).ok()?;
    let read: Box<dyn Any> = read;
    read.downcast::<P>().ok().map(|point| *point)
}

impl<'a> AnyPoint<'a> {
    pub(crate) fn new<P: ExtensionPoint>(name: &'a str, point: &'a P) -> Self {
        Self { name, point }
    }

    /// The wire name in this instance.
    #[must_use]
    pub const fn name(&self) -> &'a str {
        self.name
    }

    /// The description of its type.
    #[must_use]
    pub fn info(&self) -> &'static PointInfo {
        self.point.info()
    }

    /// The point as JSON; none where its type is not `Serialize`.
    ///
    /// # Errors
    ///
    /// What the type's own `Serialize` says.
    pub fn view(&self) -> Option<Result<Value, serde_json::Error>> {
        self.point.view()
    }

    /// A copy that outlives the fire; none where the point is neither `Clone` nor queued.
    pub(crate) fn keep(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        self.point.keep()
    }

    /// The point, if it is a `P`.
    #[must_use]
    pub fn downcast<P: ExtensionPoint>(&self) -> Option<&'a P> {
        self.point.as_any().downcast_ref()
    }
}

impl fmt::Debug for AnyPoint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyPoint").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A point that may cross a process boundary, as an object.
///
/// `Box<dyn QueuedPoint>` serialises as `{"type": "OrderPlaced", …}` and comes back as the right type. It is implemented by
/// `#[derive(ExtensionPoint)]` with `#[extension_point(queued)]`.
#[typetag::serde(tag = "type")]
pub trait QueuedPoint: Any + Send + Sync {
    /// The point's description.
    fn point_info(&self) -> &'static PointInfo;

    #[doc(hidden)]
    fn __fire_boxed(self: Box<Self>, extensions: &Extensions) -> DynFire<'_>;

    #[doc(hidden)]
    fn __plan_boxed(&self, extensions: &Extensions) -> Plan;
}

/// The future of a fire of a boxed point.
#[doc(hidden)]
pub type DynFire<'a> = Pin<Box<dyn Future<Output = Result<FireReport, FireError>> + Send + 'a>>;

#[doc(hidden)]
pub fn fire_boxed<P: ExtensionPoint>(point: P, extensions: &Extensions) -> DynFire<'_> {
    Box::pin(async move { extensions.fire(point).await.map(crate::fire::Fired::into_report) })
}

#[doc(hidden)]
pub fn plan_boxed<P: ExtensionPoint>(point: &P, extensions: &Extensions) -> Plan {
    extensions.plan(point)
}

/// A queued point as a bound for generic code: it can be fired, boxed, written and read. All that
/// `#[derive(ExtensionPoint)]` with `#[extension_point(queued)]` is on has it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a queued point",
    label = "this point cannot cross a process boundary",
    note = "add `#[extension_point(queued)]` to `{Self}` and derive `Serialize` and `Deserialize` for it"
)]
pub trait Queued: QueuedType + Serialize + DeserializeOwned {}

#[diagnostic::do_not_recommend]
impl<P: QueuedType + Serialize + DeserializeOwned> Queued for P {}

/// What the derive implements for a queued point, and what the framework itself asks of one.
///
/// It is no more than [`Queued`], but without `serde`'s traits as bounds: where they are missing, the derive's first error says
/// what to write, and the handlers of the point have none.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a queued point",
    label = "this point cannot cross a process boundary",
    note = "add `#[extension_point(queued)]` to `{Self}` and derive `Serialize` and `Deserialize` for it"
)]
pub trait QueuedType: ExtensionPoint + QueuedPoint + QueuedPayload {}

/// What a queued point's type must be able to do: be written and read. All that is `Serialize` and `DeserializeOwned` is.
///
/// It has methods instead of these two as bounds, so that where one is missing the compiler says what to write and doesn't list
/// what else implements `serde`'s traits.
#[diagnostic::on_unimplemented(
    message = "the queued point `{Self}` cannot be written and read",
    label = "this point is missing `Serialize`, `Deserialize`, or both",
    note = "add `#[derive(serde::Serialize, serde::Deserialize)]` to `{Self}`; no field of it may be borrowed"
)]
pub trait QueuedPayload: Sized {
    #[doc(hidden)]
    fn __to_vec(&self) -> Result<Vec<u8>, serde_json::Error>;
    #[doc(hidden)]
    fn __from_slice(json: &[u8]) -> Result<Self, serde_json::Error>;
    #[doc(hidden)]
    fn __from_value(json: Value) -> Result<Self, serde_json::Error>;
}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned> QueuedPayload for T {
    fn __to_vec(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }
    fn __from_slice(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
    }
    fn __from_value(json: Value) -> Result<Self, serde_json::Error> {
        serde_json::from_value(json)
    }
}

/// A point whose inline handlers can veto, as a bound. Implemented by `#[derive(ExtensionPoint)]` with
/// `#[extension_point(interruptible)]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an interruptible point",
    label = "its handlers cannot veto, so none of them is a guard",
    note = "add `#[extension_point(interruptible)]` to `{Self}`; only guards can be asked (`allows`) or be `on_unavailable`"
)]
pub trait Interruptible: ExtensionPoint<Output = Verdict> {}

#[doc(hidden)]
pub const fn assert_interruptible<P: Interruptible>() {}

/// What is known of a point's type.
#[derive(Debug)]
pub struct PointInfo {
    /// The wire name, as declared: the name under which its jobs are stored.
    pub name: &'static str,
    /// The type's own name.
    pub type_name: &'static str,
    /// The module that defines it.
    pub module_path: &'static str,
    /// Where it is defined.
    pub location: Location,
    /// Whether it may have async handlers.
    pub queued: bool,
    /// Whether its inline handlers can veto.
    pub interruptible: bool,
    /// The version of its payload.
    pub version: u32,
    /// The keys of its payload; empty where they are not known (enums, flattened fields).
    pub fields: &'static [&'static str],
    /// The fields that make two of it the same, for unique jobs; empty: the whole payload.
    pub unique_by: &'static [&'static str],
    /// What turns older payloads into today's.
    pub upcast: Option<Upcast>,
    /// Set where the type is marked `#[deprecated]`.
    pub deprecated: Option<Deprecation>,
}

impl PointInfo {
    /// The type's path: `shop::orders::OrderPlaced`.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}::{}", self.module_path, self.type_name)
    }
}

impl PointInfo {
    /// Whether the payload may have this key, as far as is known.
    pub(crate) fn may_have(&self, key: &str) -> bool {
        self.fields.is_empty() || self.fields.contains(&key)
    }
}

/// A place in the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Location {
    /// The file, as the compiler names it.
    pub file: &'static str,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
}

impl Location {
    /// The place of the caller.
    #[track_caller]
    #[must_use]
    pub fn caller() -> Self {
        let at = std::panic::Location::caller();
        Self { file: at.file(), line: at.line(), column: at.column() }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// That something should not be used any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Deprecation {
    /// Since which version.
    pub since: Option<&'static str>,
    /// What to use instead.
    pub note: Option<&'static str>,
}

/// A point type's place in every instance's table: found without hashing.
#[doc(hidden)]
#[derive(Debug)]
pub struct PointSlot(AtomicU32);

static NEXT_SLOT: AtomicU32 = AtomicU32::new(1);

impl PointSlot {
    #[must_use]
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    #[inline]
    pub(crate) fn index(&self) -> usize {
        match self.0.load(Ordering::Relaxed) {
            0 => self.assign(),
            index => index as usize,
        }
    }

    #[cold]
    fn assign(&self) -> usize {
        let fresh = NEXT_SLOT.fetch_add(1, Ordering::Relaxed);
        match self.0.compare_exchange(0, fresh, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => fresh as usize,
            Err(taken) => taken as usize,
        }
    }
}
