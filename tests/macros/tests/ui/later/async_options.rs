use extensions::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Q;

#[extension_handler(Q)]
#[async_handler(rate_limit = "100/m", max_concurrency = 5, limit_by = tenant_id, encrypt, batch = 100)]
struct Later;

fn main() {}
