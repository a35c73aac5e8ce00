#[derive(ExtensionPoint)]
#[extension_point(interruptible, crate = "ext")]
pub enum BeforeOrderSubmit {
    Cart { total_cents: u64 },
    Quick(u64),
}
