use extensions::prelude::*;

#[async_handler(queue = "emails")]
async fn lonely() {}

fn main() {}
