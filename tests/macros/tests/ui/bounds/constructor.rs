use extensions::prelude::*;

#[derive(ExtensionPoint)]
struct P;

#[extension_handler(P, with = build)]
struct Built;

fn build() -> Built {
    Built
}

impl Handler<P> for Built {
    fn handle(&self, _: &mut P, _: &Context) -> HandlerResult {
        Ok(())
    }
}

fn main() {}
