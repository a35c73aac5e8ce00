#[async_handler(blocking, backoff = linear("1500ms", max = "1h 30m", jitter = "full"), timeout = "none", priority = 0,
                tags = ["pdf", "slow"], retry_until = "1d", expires_in = "2d", unique, unique_by = [order_id, "email"], unique_until = "start")]
#[extension_handler(OrderPlaced, with = Self::connect)]
#[extension_handler(OrderChanged, name = "again", with = Self::connect)]
struct Render(Connection);
