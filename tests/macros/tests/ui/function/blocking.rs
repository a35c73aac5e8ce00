use extensions::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Q;

#[extension_handler(Q)]
#[async_handler(blocking)]
async fn future(_: &Q) {}

#[extension_handler(Q)]
#[async_handler(blocking = false)]
fn plain(_: &Q) {}

fn main() {}
