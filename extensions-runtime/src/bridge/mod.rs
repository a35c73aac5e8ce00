//! Other libraries' types as parts of points, handlers and fires, each behind its feature.

#[cfg(feature = "axum")]
pub mod axum;
#[cfg(feature = "sea-orm")]
pub mod sea_orm;
