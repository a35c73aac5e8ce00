//! What scripts answer, taken apart.

use redis::Value;

use super::super::error::Failure;
use crate::job::JobId;

type Read<T> = Result<T, Failure>;

pub(super) fn array(value: Value) -> Read<Vec<Value>> {
    match value {
        Value::Array(values) => Ok(values),
        Value::Nil => Ok(Vec::new()),
        _ => Err(Failure::Answer("a script answered with something else than a list")),
    }
}

pub(super) fn values(value: &Value) -> Read<&[Value]> {
    match value {
        Value::Array(values) => Ok(values),
        _ => Err(Failure::Answer("a script answered with something else than a list")),
    }
}

pub(super) fn bytes(value: &Value) -> Read<&[u8]> {
    match value {
        Value::BulkString(bytes) => Ok(bytes),
        Value::SimpleString(text) => Ok(text.as_bytes()),
        _ => Err(Failure::Answer("a script answered with something else than a text")),
    }
}

pub(super) fn text(value: &Value) -> Read<&str> {
    std::str::from_utf8(bytes(value)?)
        .map_err(|_| Failure::Answer("a script answered with something else than a text"))
}

pub(super) fn number(value: &Value) -> Read<i64> {
    match value {
        Value::Int(number) => Ok(*number),
        _ => text(value)?
            .parse()
            .map_err(|_| Failure::Answer("a script answered with something else than a number")),
    }
}

pub(super) fn count(value: &Value) -> Read<u64> {
    number(value).map(|number| u64::try_from(number).unwrap_or(0))
}

pub(super) fn id(value: &Value) -> Read<JobId> {
    let bytes =
        bytes(value)?.try_into().map_err(|_| Failure::Answer("the store holds an id that is none"))?;
    Ok(JobId::from_bytes(bytes))
}

/// A list of keys and values.
pub(super) fn pairs(value: Value) -> Read<Vec<(Value, Value)>> {
    let mut values = array(value)?.into_iter();
    let mut found = Vec::with_capacity(values.len() / 2);
    while let (Some(key), Some(value)) = (values.next(), values.next()) {
        found.push((key, value));
    }
    Ok(found)
}

/// The parts of an answer of a fixed length.
pub(super) fn parts<const N: usize>(value: Value) -> Read<[Value; N]> {
    array(value)?.try_into().map_err(|_| other_length())
}

pub(super) const fn other_length() -> Failure {
    Failure::Answer("a script answered with a list of another length")
}
