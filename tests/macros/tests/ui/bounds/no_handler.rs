use extensions::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Q;

#[extension_handler(Q)]
struct Inline;

#[extension_handler(Q, awaited)]
struct Awaited;

#[extension_handler(Q)]
#[async_handler]
struct Async;

#[extension_handler(Q)]
#[async_handler(blocking)]
struct Blocking;

fn main() {}
