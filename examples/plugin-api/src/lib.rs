//! What an application opens to its plugins: points, and nothing else. The application and every plugin depend on this
//! crate; they don't depend on each other.

use extensions::prelude::*;

/// A parcel is to be sent. Each carrier that takes it answers with its price in cents.
#[derive(Debug, ExtensionPoint)]
#[extension_point(output = Option<u64>)]
pub struct ShippingQuoted {
    /// How heavy the parcel is, in grams.
    pub grams: u64,
    /// Where it goes: a two-letter country code.
    pub country: String,
}
