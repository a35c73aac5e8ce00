//! Unique keys: what makes two jobs the same.

use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::HandlerKey;

/// The key of a unique lock: a hash of handler, point name and the chosen part of the payload.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UniqueKey(Arc<str>);

impl UniqueKey {
    /// The key for a handler and the part of the payload that counts.
    #[must_use]
    pub fn of(handler: &HandlerKey, chosen: &Value) -> Self {
        let mut hash = Sha256::new();
        hash.update(handler.as_str().as_bytes());
        hash.update([0]);
        hash.update(canonical_json(chosen).as_bytes());
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

/// JSON with the keys of every object sorted, so that equal values give equal text.
#[must_use]
pub fn canonical_json(value: &Value) -> String {
    let mut out = String::new();
    write_canonical(value, &mut out);
    out
}

fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            out.push('{');
            for (i, (key, value)) in entries.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                let _ = write!(out, "{}", Value::String(key.clone()));
                out.push(':');
                write_canonical(value, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_canonical(item, out);
            }
            out.push(']');
        }
        scalar => {
            let _ = write!(out, "{scalar}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{HandlerKey, UniqueKey, canonical_json};
    use serde_json::{Map, Value, json};

    fn reversed(value: &Value) -> Value {
        match value {
            Value::Object(map) => {
                Value::Object(map.iter().rev().map(|(k, v)| (k.clone(), reversed(v))).collect::<Map<_, _>>())
            }
            other => other.clone(),
        }
    }

    #[test]
    fn the_order_of_keys_does_not_matter_at_any_depth() {
        let value = json!({"b": {"y": 1, "x": [1, {"q": 2, "p": "\"quoted\""}]}, "a": null});
        assert_eq!(canonical_json(&value), canonical_json(&reversed(&value)));
        assert_eq!(canonical_json(&value), r#"{"a":null,"b":{"x":[1,{"p":"\"quoted\"","q":2}],"y":1}}"#);
    }

    #[test]
    fn handler_and_payload_both_count() {
        let (a, b) = (HandlerKey::new("P", "a"), HandlerKey::new("P", "b"));
        assert_eq!(UniqueKey::of(&a, &json!({"n": 1})), UniqueKey::of(&a, &json!({"n": 1})));
        assert_ne!(UniqueKey::of(&a, &json!({"n": 1})), UniqueKey::of(&b, &json!({"n": 1})));
        assert_ne!(UniqueKey::of(&a, &json!({"n": 1})), UniqueKey::of(&a, &json!({"n": 2})));
    }
}
