use extensions::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Q;

struct Notify;

#[async_handler(on_failure = Notify, on_retry = Notify)]
struct ByHand;

#[extension_handler(Q)]
#[async_handler(on_failure = Notify::new())]
struct Called;

#[extension_handler(Q)]
#[async_handler(on_retry = |_| ())]
struct Closure;

fn main() {}
