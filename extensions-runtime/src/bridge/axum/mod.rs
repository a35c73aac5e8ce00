//! Fires from programs with [axum](https://docs.rs/axum): an [extractor](Ext) of the instance, a [layer](RequestScope) that runs each
//! request inside its scopes, and an [error](HttpError) that is an answer.

mod error;
mod extract;
mod scope;

pub use self::error::HttpError;
pub use self::extract::{Ext, RequestId};
pub use self::scope::{InRequestScope, RequestScope};
