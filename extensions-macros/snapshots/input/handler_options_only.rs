#[async_handler]
struct SyncCrm {
    client: Client,
}
