use extensions::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Q;

#[when(env = "production")]
struct Alone;

#[when(env = "production")]
#[async_handler]
struct ByHand;

#[async_handler]
#[when(env = "production")]
#[when(feature = "a")]
async fn function(_: &Q) {}

#[when(evn = "production")]
fn with_a_mistake() {}

fn main() {}
