use extensions::prelude::*;

#[async_handler(blocking)]
struct Blocking;

#[async_handler]
struct Generic<T>(T);

fn main() {}
