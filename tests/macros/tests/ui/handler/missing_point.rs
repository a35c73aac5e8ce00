use extensions::prelude::*;

#[extension_handler]
struct Bare;

#[extension_handler()]
struct Empty;

#[extension_handler(priority = 10)]
struct OnlyOptions;

#[extension_handler(awaited)]
struct OnlyFlag;

#[extension_handler("P")]
struct Text;

fn main() {}
