#[extension_handler(OrderPlaced, prioritty = 10, awaited)]
#[async_handler(queue = emails, retries = 0, unique_for = "1 hour")]
#[when(env = "production")]
struct Wrong {
    #[inject]
    db: Arc<Db>,
}
