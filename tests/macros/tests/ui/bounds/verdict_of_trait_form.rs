use extensions::prelude::*;

#[derive(ExtensionPoint)]
struct P;

#[extension_handler(P)]
struct Guard;

impl Handler<P> for Guard {
    fn handle(&self, _: &mut P, _: &Context) -> HandlerResult<Verdict> {
        Ok(Verdict::Continue)
    }
}

fn main() {}
