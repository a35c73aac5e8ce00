//! What a file or a variable gives for a key, before it is known to be right.

use std::borrow::Cow;
use std::fmt;

/// A value as it was written.
// Arrays, tables and the rest are in files alone.
#[cfg_attr(not(feature = "config"), allow(dead_code))]
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Given<'a> {
    Text(Cow<'a, str>),
    Number(u64),
    Flag(bool),
    List(Vec<Given<'a>>),
    Table(Vec<(Cow<'a, str>, Given<'a>)>),
    /// What no key takes, in words.
    Other(&'static str),
}

/// As a message says it: `the text "three"`.
impl fmt::Display for Given<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "the text {text:?}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::List(_) => f.write_str("an array"),
            Self::Table(_) => f.write_str("a table"),
            Self::Other(what) => f.write_str(what),
        }
    }
}
