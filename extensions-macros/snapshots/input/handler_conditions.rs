#[circuit_breaker(threshold = 3, timeout = 30, half_open_max = 1)]
#[when(env = ["staging", "production"], feature = "new-billing")]
#[extension_handler(OrderPlaced)]
#[extension_handler(OrderChanged, awaited)]
#[when(not_feature = "old-billing", predicate = Self::is_large)]
#[when(predicate = rules::from_europe)]
struct Bill;
