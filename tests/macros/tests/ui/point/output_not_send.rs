use extensions::prelude::*;

#[derive(ExtensionPoint)]
#[extension_point(output = std::rc::Rc<u64>)]
struct NotSend;

fn main() {}
