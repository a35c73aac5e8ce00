use extensions::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Q;

#[extension_handler(Q)]
#[async_handler]
async fn mutable(_: &mut Q) {}

#[extension_handler(Q)]
#[async_handler]
async fn by_value(_: Q) {}

#[extension_handler(Q)]
#[async_handler]
async fn context(_: &Q, _: &Context) {}

fn main() {}
