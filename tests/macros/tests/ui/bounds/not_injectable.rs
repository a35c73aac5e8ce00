use extensions::prelude::*;

#[derive(ExtensionPoint)]
struct P;

struct Db;

#[extension_handler(P)]
struct Bare {
    #[inject]
    db: Db,
}

impl Handler<P> for Bare {
    fn handle(&self, _: &mut P, _: &Context) -> HandlerResult {
        Ok(())
    }
}

fn main() {}
