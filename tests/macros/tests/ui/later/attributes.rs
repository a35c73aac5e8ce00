use extensions::prelude::*;

#[scheduled(cron = "0 3 * * *", tz = "Europe/Berlin")]
#[derive(ExtensionPoint)]
struct Nightly;

fn main() {}
