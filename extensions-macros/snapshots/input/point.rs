#[derive(ExtensionPoint)]
pub struct UserSeen {
    pub id: u64,
}
