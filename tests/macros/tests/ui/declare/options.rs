use extensions::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Q;

declare_handler!(Q => "a", on_failure = Notify, on_retry = Notify, blocking);
declare_handler!(Q => "b", queue = "", quue = "c", retries = 0);

fn main() {}
