use extensions::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued, interruptible)]
struct Process;

#[extension_handler(Process, stage)]
fn function(_: &mut Process) {}

#[extension_handler(Process, stage, awaited, on_unavailable = "allow")]
struct Awaited;

#[extension_handler(Process, stage)]
#[async_handler]
struct Queued;

fn main() {}
