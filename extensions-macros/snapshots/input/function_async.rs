#[extension_handler(OrderPlaced)]
#[async_handler(queue = "documents", max_attempts = 5, backoff_seconds = [10, 30, 60, 300])]
async fn generate_invoice(order: &OrderPlaced, pdf: Res<PdfRenderer>, job: &Job) -> HandlerResult {
    Ok(())
}
