#[extension_handler(OrderPlaced)]
#[circuit_breaker(off)]
struct Count;
