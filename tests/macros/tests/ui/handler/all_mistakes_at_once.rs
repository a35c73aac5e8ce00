use extensions::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Q;

#[extension_handler(Q, prioritty = 10, awaited)]
#[async_handler(queue = emails, retries = 0, unique_for = "1 hour")]
#[when(env = production)]
#[circuit_breaker(off, threshold = 3)]
struct Wrong {
    #[inject]
    db: std::sync::Arc<u64>,
}

fn main() {}
