//! Other libraries' types as parts of points and handlers, each behind its feature.

#[cfg(feature = "sea-orm")]
pub mod sea_orm;
