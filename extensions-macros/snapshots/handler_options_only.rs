struct SyncCrm {
    client: Client,
}
const _: () = {
    use ::extensions::__private as __ext;
    fn __ext_options() -> __ext::AsyncOptions {
        __ext::AsyncOptions::new()
    }
    __ext::inventory::submit! {
        __ext::LinkedAsyncOptions { type_id : __ext::TypeId::of:: < SyncCrm >, type_name
        : "SyncCrm", options : __ext_options, }
    }
};
