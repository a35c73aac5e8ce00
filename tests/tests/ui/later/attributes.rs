use extensions::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Q;

#[extension_handler(Q)]
#[when(env = ["staging", "production"])]
#[circuit_breaker(threshold = 3, timeout = 30, half_open_max = 1)]
fn conditional(_: &Q) {}

#[scheduled(cron = "0 3 * * *", tz = "Europe/Berlin")]
#[derive(ExtensionPoint)]
struct Nightly;

fn main() {}
