//! The payload.

use serde::{Deserialize, Serialize};

/// What every job carries: the same 76 bytes of JSON for everyone who is compared.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Order {
    /// Its number.
    pub order_id: u64,
    /// Whose it is.
    pub email: String,
    /// What it costs.
    pub total_cents: u64,
}

impl Order {
    /// The order of a number.
    #[must_use]
    pub fn new(order_id: u64) -> Self {
        Self { order_id, email: format!("customer-{order_id}@example.com"), total_cents: 4_999 }
    }
}
