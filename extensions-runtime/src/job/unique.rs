//! Unique keys: what makes two jobs the same.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::HandlerKey;

/// The key of a unique lock: a hash of handler, point name and the chosen part of the payload.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UniqueKey(Arc<str>);

impl UniqueKey {
    /// The key for a handler and the canonical JSON of the part of the payload that counts.
    #[must_use]
    pub fn of(handler: &HandlerKey, canonical: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(handler.as_str().as_bytes());
        hash.update([0]);
        hash.update(canonical.as_bytes());
        let mut text = String::with_capacity(32);
        for byte in hash.finalize().iter().take(16) {
            let _ = write!(text, "{byte:02x}");
        }
        Self(text.into())
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for UniqueKey {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for UniqueKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// When a unique lock ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UniqueUntil {
    /// When the job is completed, dead, cancelled or quarantined.
    #[default]
    End,
    /// When the job is first claimed.
    Start,
}

/// JSON with the keys of every object sorted, so that equal values give equal text. Numbers stay as they are written, however
/// many digits they have.
///
/// # Errors
///
/// If the text is not JSON.
pub fn canonical_json(json: &str) -> serde_json::Result<String> {
    let mut out = String::with_capacity(json.len());
    write_canonical(serde_json::from_str(json)?, &mut out)?;
    Ok(out)
}

/// The canonical JSON of some of an object's fields; null for one that is not there.
///
/// # Errors
///
/// If the text is not the JSON of an object.
pub fn canonical_fields(json: &str, fields: &[String]) -> serde_json::Result<String> {
    let all: BTreeMap<String, &RawValue> = serde_json::from_str(json)?;
    let chosen = fields.iter().map(|field| (field.clone(), all.get(field).copied())).collect();
    let mut out = String::new();
    write_object(chosen, &mut out)?;
    Ok(out)
}

fn write_canonical(value: &RawValue, out: &mut String) -> serde_json::Result<()> {
    let text = value.get();
    match text.as_bytes().first() {
        Some(b'{') => {
            let fields: BTreeMap<String, &RawValue> = serde_json::from_str(text)?;
            write_object(fields.into_iter().map(|(key, value)| (key, Some(value))).collect(), out)
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text)?;
            out.push('[');
            for (i, item) in items.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_canonical(item, out)?;
            }
            out.push(']');
            Ok(())
        }
        Some(b'"') => {
            out.push_str(&serde_json::to_string(&serde_json::from_str::<String>(text)?)?);
            Ok(())
        }
        _ => {
            out.push_str(text);
            Ok(())
        }
    }
}

fn write_object(fields: BTreeMap<String, Option<&RawValue>>, out: &mut String) -> serde_json::Result<()> {
    out.push('{');
    for (i, (key, value)) in fields.into_iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        out.push_str(&serde_json::to_string(&key)?);
        out.push(':');
        match value {
            Some(value) => write_canonical(value, out)?,
            None => out.push_str("null"),
        }
    }
    out.push('}');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{HandlerKey, UniqueKey, canonical_fields, canonical_json};

    #[test]
    fn the_order_of_keys_and_the_spelling_of_strings_do_not_matter_at_any_depth() {
        let canonical = r#"{"a":null,"b":{"x":[1,{"p":"\"quoted\"","q":2}],"y":1.50}}"#;
        let other = r#" {"b": {"y": 1.50, "x": [1, {"q": 2, "\u0070": "\u0022quoted\""}]}, "a": null} "#;
        assert_eq!(canonical_json(other).unwrap(), canonical);
        assert_eq!(canonical_json(canonical).unwrap(), canonical);
        assert!(canonical_json("{").is_err());
    }

    #[test]
    fn every_digit_counts() {
        let (a, b) = (u128::MAX.to_string(), (u128::MAX - 1).to_string());
        assert_ne!(canonical_json(&a).unwrap(), canonical_json(&b).unwrap());
    }

    #[test]
    fn fields_are_chosen_in_any_order_and_a_missing_one_is_null() {
        let chosen = |json: &str| canonical_fields(json, &["b".into(), "a".into()]).unwrap();
        assert_eq!(chosen(r#"{"c":1,"b":[2],"a":{"y":1,"x":2}}"#), r#"{"a":{"x":2,"y":1},"b":[2]}"#);
        assert_eq!(chosen(r#"{"b":1}"#), r#"{"a":null,"b":1}"#);
    }

    #[test]
    fn handler_and_payload_both_count() {
        let (a, b) = (HandlerKey::new("P", "a"), HandlerKey::new("P", "b"));
        assert_eq!(UniqueKey::of(&a, "1"), UniqueKey::of(&a, "1"));
        assert_ne!(UniqueKey::of(&a, "1"), UniqueKey::of(&b, "1"));
        assert_ne!(UniqueKey::of(&a, "1"), UniqueKey::of(&a, "2"));
    }
}
