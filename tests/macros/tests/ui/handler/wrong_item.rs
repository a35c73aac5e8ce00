use extensions::prelude::*;

#[derive(ExtensionPoint)]
struct P;

struct H;

#[extension_handler(P)]
impl Handler<P> for H {
    fn handle(&self, _: &mut P, _: &Context) -> HandlerResult {
        Ok(())
    }
}

#[extension_handler(P)]
mod module {}

#[extension_handler(P)]
enum Choice {
    A,
    B,
}

fn main() {}
