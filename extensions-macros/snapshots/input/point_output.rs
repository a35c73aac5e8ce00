#[derive(ExtensionPoint)]
#[extension_point(output = Result<Option<u64>, String>)]
pub struct QuotePrice(u64);
