use extensions::prelude::*;

#[derive(ExtensionPoint)]
struct P;

struct Client;

#[extension_handler(P)]
struct Bare {
    client: Client,
}

impl Handler<P> for Bare {
    fn handle(&self, _: &mut P, _: &Context) -> HandlerResult {
        Ok(())
    }
}

struct Db;

#[extension_handler(P)]
struct ForgotInject {
    db: std::sync::Arc<Db>,
}

impl Handler<P> for ForgotInject {
    fn handle(&self, _: &mut P, _: &Context) -> HandlerResult {
        Ok(())
    }
}

fn main() {}
