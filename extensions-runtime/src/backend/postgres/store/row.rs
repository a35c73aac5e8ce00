//! Reading what may be anything: values that cannot be understood become the nearest harmless thing (Q39).

use crate::job::{AttemptError, FireId, JobMeta};

pub(super) fn meta(bytes: &[u8]) -> JobMeta {
    serde_json::from_slice(bytes).unwrap_or_else(|_| JobMeta::new(FireId::new()))
}

pub(super) fn error(bytes: &[u8]) -> Option<AttemptError> {
    serde_json::from_slice(bytes).ok()
}

/// An error without its time and its opening brace, which the server writes.
pub(super) fn error_tail(error: &AttemptError) -> Vec<u8> {
    let Ok(serde_json::Value::Object(mut fields)) = serde_json::to_value(error) else { return b"}".to_vec() };
    fields.remove("at");
    serde_json::to_vec(&fields).map_or_else(|_| b"}".to_vec(), |text| text[1..].to_vec())
}

pub(super) fn unsigned(number: i64) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

/// A text that was stored as bytes, since the server's own cannot hold all characters.
pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
