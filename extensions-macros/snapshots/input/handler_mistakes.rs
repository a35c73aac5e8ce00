#[extension_handler(OrderPlaced, prioritty = 10, awaited)]
#[async_handler(queue = emails, retries = 0, unique_for = "1 hour")]
#[when(env = production, predicate = "is_large")]
#[when()]
#[circuit_breaker(off, threshold = 0)]
#[scheduled(cron = "0 3 * * *")]
struct Wrong {
    #[inject]
    db: Arc<Db>,
}
