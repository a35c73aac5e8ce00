use extensions::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued, nmae = "q")]
struct Q;

#[derive(ExtensionPoint)]
#[extension_point(interruptible, output = u64)]
struct Guarded;

#[extension_handler(Q)]
#[async_handler]
async fn on_queued(_: &Q) {}

#[extension_handler(Guarded, on_unavailable = "allow")]
fn guard(_: &Guarded) -> Verdict {
    Verdict::Continue
}

#[extension_handler(Guarded, prioritty = 1)]
fn still_callable(_: &Guarded) -> Verdict {
    Verdict::Continue
}

#[extension_handler(Q, prioritty = 1)]
struct StillAType {
    #[inject]
    resource: std::sync::Arc<u8>,
}

impl Handler<Q> for StillAType {
    fn handle(&self, _: &mut Q, _: &Context) -> HandlerResult {
        let _ = &self.resource;
        Ok(())
    }
}

fn main() {
    still_callable(&Guarded);
}
