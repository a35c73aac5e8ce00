use extensions::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Q;

#[extension_handler(Q)]
#[async_handler(backoff = "exponental")]
struct Typo;

#[extension_handler(Q)]
#[async_handler(backoff = liner("10s"))]
struct CallTypo;

#[extension_handler(Q)]
#[async_handler(backoff = linear)]
struct Word;

#[extension_handler(Q)]
#[async_handler(backoff = 10)]
struct Number;

#[extension_handler(Q)]
#[async_handler(backoff = [10, 20])]
struct List;

fn main() {}
