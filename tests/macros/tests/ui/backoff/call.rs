use extensions::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Q;

#[extension_handler(Q)]
#[async_handler(backoff = exponential("10s", maximum = "1h"))]
struct Unknown;

#[extension_handler(Q)]
#[async_handler(backoff = exponential("1h", max = "10s", jitter = 2))]
struct Values;

#[extension_handler(Q)]
#[async_handler(backoff = exponential("10s", jitter = "half", jitter = 0.1))]
struct Jitter;

fn main() {}
