use extensions::prelude::*;

#[derive(ExtensionPoint)]
struct P;

#[extension_handler(P)]
#[async_handler]
async fn function(_: &P) {}

#[extension_handler(P)]
#[async_handler]
struct Type;

impl AsyncHandler<P> for Type {
    async fn handle(&self, _: &P, _: &Job) -> HandlerResult {
        Ok(())
    }
}

fn main() {}
