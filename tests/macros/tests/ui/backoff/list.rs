use extensions::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Q;

#[extension_handler(Q)]
#[async_handler(backoff_seconds = [])]
struct Empty;

#[extension_handler(Q)]
#[async_handler(backoff_seconds = [10, "soon"])]
struct Entry;

#[extension_handler(Q)]
#[async_handler(backoff = "linear", backoff_seconds = [10, 20])]
struct WithStrategy;

fn main() {}
