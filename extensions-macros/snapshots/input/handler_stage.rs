#[extension_handler(ProcessOrder, stage, priority = 10)]
struct Reserve {
    #[inject]
    stock: Arc<Stock>,
}
