use extensions::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Q;

struct Notify;

#[extension_handler(Q)]
#[async_handler(on_failure = Notify, on_retry = Notify)]
fn handle(_: &Q) {}

fn main() {}
