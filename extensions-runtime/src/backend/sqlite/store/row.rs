//! Reading what may be anything: values that cannot be understood become the nearest harmless thing (Q39).

use rusqlite::types::ValueRef;

use crate::job::{AttemptError, FireId, JobMeta, Progress};

pub(super) fn blob(value: ValueRef<'_>) -> &[u8] {
    match value {
        ValueRef::Blob(bytes) | ValueRef::Text(bytes) => bytes,
        _ => &[],
    }
}

pub(super) fn meta(value: ValueRef<'_>) -> JobMeta {
    serde_json::from_slice(blob(value)).unwrap_or_else(|_| JobMeta::new(FireId::new()))
}

pub(super) fn progress(value: ValueRef<'_>) -> Option<Progress> {
    serde_json::from_slice(blob(value)).ok()
}

pub(super) fn text(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Null => None,
        other => Some(String::from_utf8_lossy(blob(other)).into_owned()),
    }
}

/// A name; one that is no text names nothing that anybody asks for.
pub(super) fn name(value: ValueRef<'_>) -> String {
    text(value).unwrap_or_default()
}

/// The errors, or nothing if they cannot be read.
pub(super) fn errors(value: ValueRef<'_>) -> Option<Vec<AttemptError>> {
    match value {
        ValueRef::Null => Some(Vec::new()),
        other => serde_json::from_slice(blob(other)).ok(),
    }
}

pub(super) fn last_error(value: ValueRef<'_>) -> Option<AttemptError> {
    errors(value)?.pop()
}
