/// An import of a catalog.
#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued, name = "catalog.import", version = 2, upcast = import_from_v1, unique_by = [catalog_id, source])]
#[serde(rename_all = "camelCase")]
#[deprecated(since = "1.2.0", note = "fire `ImportCatalogs`")]
pub struct ImportCatalog {
    pub catalog_id: u64,
    pub source: String,
}
