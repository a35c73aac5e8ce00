//! The payload that all sides carry: 76 bytes of JSON.

use extensions::prelude::*;
use serde::{Deserialize, Serialize};

/// An order was placed.
#[derive(Debug, Clone, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued, name = "bench.order_placed")]
pub struct OrderPlaced {
    /// Which one; in the cases of latency the time of the fire.
    pub order_id: u64,
    /// Whose.
    pub email: String,
    /// What it comes to.
    pub total_cents: u64,
}

impl OrderPlaced {
    /// The `n`th one.
    #[must_use]
    pub fn new(n: u64) -> Self {
        Self { order_id: n, email: format!("customer-{n}@example.com"), total_cents: 1_000 + n % 5_000 }
    }

    /// Its JSON.
    ///
    /// # Panics
    ///
    /// Never: three plain fields are JSON.
    #[must_use]
    pub fn json(n: u64) -> String {
        serde_json::to_string(&Self::new(n)).expect("plain fields are JSON")
    }
}
