use extensions::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Q;

#[extension_handler(Q)]
#[async_handler(delay = "10m", expires_in = "10m")]
async fn never_started(_: &Q) {}

#[extension_handler(Q)]
#[async_handler(expires_in = 0)]
async fn at_once(_: &Q) {}

#[extension_handler(Q)]
#[async_handler(expires_in = "soon")]
async fn vague(_: &Q) {}

#[extension_handler(Q)]
#[async_handler(expires_in)]
async fn when(_: &Q) {}

fn main() {}
