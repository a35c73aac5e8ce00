use extensions::prelude::*;

#[derive(ExtensionPoint)]
#[extension_point(queued)]
struct NoSerde {
    id: u64,
}

// Its handlers say nothing more.
#[extension_handler(NoSerde)]
#[async_handler]
async fn handler(_: &NoSerde) {}

fn main() {}
