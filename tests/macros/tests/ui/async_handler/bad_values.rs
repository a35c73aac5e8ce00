use extensions::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Q;

#[extension_handler(Q)]
#[async_handler(queue = "")]
struct Queue;

#[extension_handler(Q)]
#[async_handler(queue = "very urgent")]
struct QueueWithSpace;

#[extension_handler(Q)]
#[async_handler(queue)]
struct NoQueue;

#[extension_handler(Q)]
#[async_handler(priority = 10)]
struct Priority;

#[extension_handler(Q)]
#[async_handler(blocking = "yes")]
struct Blocking;

#[extension_handler(Q)]
#[async_handler(tags = pdf)]
struct Tags;

#[extension_handler(Q)]
#[async_handler(missing = "cancel")]
struct Missing;

#[extension_handler(Q)]
#[async_handler(missing = discard)]
struct MissingWord;

#[extension_handler(Q)]
#[async_handler(missing)]
struct MissingAlone;

fn main() {}
