//! The runtime of the `extensions` framework. Use it through the crate `extensions`, whose docs explain everything;
//! this crate's own paths are not a stable surface.

#![forbid(unsafe_code)]

mod backend;
pub mod breaker;
pub mod bridge;
mod builder;
pub mod config;
#[cfg(feature = "testing")]
pub mod conformance;
#[cfg(feature = "console")]
pub mod console;
pub mod features;
pub mod fire;
pub mod handler;
mod instance;
pub mod job;
#[cfg(feature = "console")]
mod operator;
pub mod point;
pub mod policy;
pub mod queue;
pub mod registry;
pub mod scope;
#[cfg(all(feature = "supervisor", unix))]
pub mod supervisor;
mod task;
pub mod telemetry;
pub mod testing;
pub mod time;
pub mod worker;

use std::future::Future;
use std::pin::Pin;

pub use self::builder::ExtensionsBuilder;
pub use self::instance::{Extensions, JobHandle, Registration, SilenceGuard, SwitchGuard, SwitchedOff};

/// Any error that can be sent between threads.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// A boxed future that can be sent between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Fires a point through the installed instance ([`Extensions::install_global`]).
///
/// # Errors
///
/// As [`Extensions::fire`].
///
/// # Panics
///
/// If no instance is installed.
pub async fn fire<P: point::ExtensionPoint>(point: P) -> Result<fire::Fired<P>, fire::FireError> {
    installed().fire(point).await
}

/// Fires a point through the installed instance, from code without a runtime.
///
/// # Errors
///
/// As [`Extensions::fire_sync`].
///
/// # Panics
///
/// If no instance is installed.
#[track_caller]
pub fn fire_sync<P: point::ExtensionPoint>(point: P) -> Result<fire::Fired<P>, fire::FireError> {
    installed().fire_sync(point)
}

#[track_caller]
fn installed() -> Extensions {
    Extensions::global().expect("no instance is installed; call `ext.install_global()` at start-up")
}

/// What the macros' expansions name. No stable surface.
#[doc(hidden)]
pub mod __private {
    pub use core::any::TypeId;
    pub use core::clone::Clone;
    pub use core::convert::{From, Into};
    pub use core::default::Default;
    pub use core::future::Future;
    pub use core::marker::{Send, Sync};
    pub use core::option::Option::{self, None, Some};
    pub use core::result::Result::{self, Err, Ok};
    pub use core::time::Duration;
    pub use core::{column, concat, file, line, module_path, stringify};
    pub use std::boxed::Box;
    pub use std::string::String;
    pub use std::sync::Arc;

    pub use {inventory, serde, serde_json, typetag};

    pub use crate::BoxError;
    pub use crate::fire::{Plan, WithOutput};
    pub use crate::handler::{
        AsyncHandler, AsyncOptions, AwaitedHandler, BlockingHandler, Context, Handler, HandlerError,
        HandlerResult, IntoOutput, OnFailure, OnRetry, OnUnavailable, Verdict, Veto,
    };
    pub use crate::instance::Extensions;
    pub use crate::point::{
        Deprecation, DynFire, ExtensionPoint, Interruptible, Location, Optionally, PointInfo, PointSlot,
        QueuedPoint, QueuedType, assert_interruptible, fire_boxed, plan_boxed,
    };
    pub use crate::policy::Backoff;
    pub use crate::registry::{
        BreakerDecl, ConditionDecl, FieldDefault, HandlerDecl, Injectable, Injector, LinkedAsyncOptions,
        LinkedDeclaration, LinkedHandler, LinkedPoint, Predicate, Registrar, Res, Resources,
    };
    pub use crate::worker::Job;
}
