use extensions::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Q;

#[extension_handler(Q)]
#[async_handler(queu = "emails")]
struct Typo;

#[extension_handler(Q)]
#[async_handler(group = "billing")]
struct Other;

#[extension_handler(Q)]
#[async_handler(retry = 3, que = "emails", prio = 1, uniq, ttl = 60, queue_name = "emails")]
struct Near;

#[extension_handler(Q)]
#[async_handler(max_retries = 3)]
struct Synonym;

fn main() {}
