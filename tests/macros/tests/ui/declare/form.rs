use extensions::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Q;

declare_handler!();
declare_handler!(Q);
declare_handler!(Q, "generate_invoice");
declare_handler!(Q => generate_invoice);
declare_handler!(Q => "generate invoice", queue = "documents");

fn main() {}
