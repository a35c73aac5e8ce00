use extensions::prelude::*;

#[derive(ExtensionPoint)]
struct P;

struct Type;

#[when(env = "production")]
impl Handler<P> for Type {
    fn handle(&self, _: &mut P, _: &Context) -> HandlerResult {
        Ok(())
    }
}

#[when(evn = "production")]
const NUMBER: u64 = 1;

fn main() {}
