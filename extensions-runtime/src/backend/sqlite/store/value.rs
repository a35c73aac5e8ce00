//! What statements are given and answer, for whichever driver runs them.

use std::borrow::Cow;

use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};

/// A value of SQLite's. No column holds fractions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Null,
    Int(i64),
    Text(Cow<'a, str>),
    Blob(Cow<'a, [u8]>),
}

impl Value<'_> {
    /// The number; 0 for what is none.
    pub(crate) const fn int(&self) -> i64 {
        if let Self::Int(number) = self { *number } else { 0 }
    }

    /// The number, as far as it is one that an attempt can have.
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.int()).unwrap_or(u32::MAX)
    }

    pub(super) fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Self::Null => ValueRef::Null,
            Self::Int(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }
    }

    pub(crate) const fn is_true(&self) -> bool {
        self.int() != 0
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Blob(bytes) => bytes,
            Self::Null | Self::Int(_) => &[],
        }
    }

    pub(crate) fn text(&self) -> Option<String> {
        (*self != Self::Null).then(|| String::from_utf8_lossy(self.bytes()).into_owned())
    }
}

impl From<ValueRef<'_>> for Value<'static> {
    fn from(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Integer(number) => Self::Int(number),
            ValueRef::Text(text) => match String::from_utf8(text.to_vec()) {
                Ok(text) => Self::Text(text.into()),
                Err(error) => Self::Blob(error.into_bytes().into()),
            },
            ValueRef::Blob(bytes) => Self::Blob(bytes.to_vec().into()),
            ValueRef::Null | ValueRef::Real(_) => Self::Null,
        }
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(self.as_ref()))
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<u32> for Value<'_> {
    fn from(number: u32) -> Self {
        Self::Int(number.into())
    }
}

impl From<bool> for Value<'_> {
    fn from(is: bool) -> Self {
        Self::Int(is.into())
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Blob(bytes.into())
    }
}

impl<'a> From<&'a [u8; 16]> for Value<'a> {
    fn from(id: &'a [u8; 16]) -> Self {
        Self::Blob(id[..].into())
    }
}

impl<'a, T: Into<Self>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}
