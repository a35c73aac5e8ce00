#[when(env = "production")]
#[circuit_breaker(timeout = "1500ms")]
#[async_handler(queue = "emails")]
#[extension_handler(OrderPlaced)]
#[when(predicate = is_large::<OrderPlaced>)]
async fn confirm(order: &OrderPlaced) {}
