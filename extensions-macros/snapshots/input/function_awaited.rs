#[extension_handler(OrderPlaced)]
pub(crate) async fn reserve(cx: &Context, db: &Res<Db>, order: &mut OrderPlaced) {
    half::typed
}
