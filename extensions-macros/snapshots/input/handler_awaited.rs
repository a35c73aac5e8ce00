#[extension_handler(OrderPlaced, priority = -20, awaited, name = "reserve", aliases = ["Reserve"], group = "stock")]
#[cfg(feature = "stock")]
#[allow(dead_code)]
struct ReserveStock {
    #[inject]
    db: Arc<Db>,
    count: AtomicU64,
    #[inject]
    #[cfg(feature = "cache")]
    cache: Res<dyn Cache>,
}
