use extensions::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(ExtensionPoint)]
struct P;

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Q;

#[extension_handler(P)]
fn verdict(_: &P) -> Verdict {
    Verdict::Continue
}

#[extension_handler(P)]
fn number(_: &P) -> Result<u8, std::io::Error> {
    Ok(1)
}

#[extension_handler(Q)]
#[async_handler]
async fn queued(_: &Q) -> Verdict {
    Verdict::Continue
}

fn main() {}
