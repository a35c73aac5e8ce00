//! The guide's page on telemetry, whose code is tested here: the facade itself does not depend on OpenTelemetry's SDK.

#[cfg(doctest)]
#[doc = include_str!("../../../docs/telemetry.md")]
mod telemetry {}
