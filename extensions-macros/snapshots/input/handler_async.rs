#[extension_handler(OrderPlaced)]
#[async_handler(queue = "emails", delay = 0, retries = 3, backoff = "exponential", backoff_seconds = 10,
                timeout = 120, on_failure = NotifyAdmin, on_retry = LogRetry, unique = true, unique_for = 3600, missing = "discard")]
#[deprecated = "write letters"]
struct SendConfirmation {
    #[inject]
    mailer: Arc<Mailer>,
}
