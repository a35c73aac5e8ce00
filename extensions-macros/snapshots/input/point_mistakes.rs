#[derive(ExtensionPoint)]
#[extension_point(interruptible, output = u64, version = 2, nmae = "a b")]
pub struct Wrong<T> {
    pub value: T,
}
