//! `#[cfg]` on items, fields and what we generate for them; deprecated points and handlers.
#![deny(warnings)]

use std::sync::Arc;

use extensions::prelude::*;

#[derive(ExtensionPoint)]
struct P;

#[extension_handler(P)]
#[cfg(any())]
fn never(_: &Missing) {}

#[cfg(any())]
#[extension_handler(Missing)]
struct Never;

#[extension_handler(P)]
#[cfg(all())]
struct Always {
    #[inject]
    #[cfg(any())]
    missing: Arc<Missing>,
    #[inject]
    #[cfg(all())]
    present: Arc<u64>,
    #[cfg(any())]
    also_missing: Missing,
}

impl Handler<P> for Always {
    fn handle(&self, _: &mut P, _: &Context) -> HandlerResult {
        let _ = &self.present;
        Ok(())
    }
}

#[extension_handler(P)]
#[cfg_attr(any(), async_handler(queue = "never"))]
#[cfg_attr(all(), allow(dead_code))]
fn inline(_: &mut P) {}

#[derive(serde::Serialize, serde::Deserialize, ExtensionPoint)]
#[cfg_attr(all(), extension_point(queued))]
struct Q;

#[cfg_attr(all(), extension_handler(Q))]
#[cfg_attr(all(), async_handler(queue = "emails"))]
async fn queued(_: &Q, _: &Job) {}

#[derive(ExtensionPoint)]
#[deprecated(since = "1.2.0", note = "fire `P`")]
struct Old;

#[extension_handler(Old)]
#[allow(deprecated)]
fn on_old(_: &Old) {}

#[extension_handler(P)]
#[deprecated]
struct OldHandler;

impl Handler<P> for OldHandler {
    fn handle(&self, _: &mut P, _: &Context) -> HandlerResult {
        Ok(())
    }
}

#[extension_handler(P)]
#[deprecated = "none"]
fn old_function() {}

fn main() {
    #[allow(deprecated)]
    let deprecated = Old::info().deprecated.unwrap();
    assert_eq!((deprecated.since, deprecated.note), (Some("1.2.0"), Some("fire `P`")));
}
