#[extension_handler(OrderPlaced)]
#[extension_handler(OrderChanged)]
#[async_handler(crate = "ext")]
fn count(counter: Arc<Counter>) -> Result<(), Error> {
    counter.increment()
}
