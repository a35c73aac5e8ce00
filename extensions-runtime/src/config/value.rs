//! The kinds of values that keys have.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use super::given::Given;
use super::pool::PoolQueues;
use super::units::{LONGEST, duration, show_duration, show_size, size};
use crate::features::on_or_off;
use crate::job::QueueName;

/// What a key takes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Text,
    /// A text that may hold a password.
    Url,
    Queue,
    Flag,
    Count {
        least: u64,
        most: u64,
    },
    /// A number counts seconds.
    Time {
        least: Duration,
    },
    /// A number counts milliseconds.
    ShortTime,
    Size,
    Choice(&'static [&'static str]),
    /// An address, or that there is none.
    Address,
    Command,
    /// Queues in strict order, or with weights.
    Queues,
    /// Slots by queue.
    Slots,
}

/// The word for a value that is switched off.
const NONE: &str = "none";
/// What counts as a number of slots or jobs at most.
pub(super) const MOST: u64 = 100_000;

/// A value that a key may have.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Text(String),
    Flag(bool),
    Count(u64),
    Time(Duration),
    Size(u64),
    Address(Option<SocketAddr>),
    Words(Vec<String>),
    Queues(PoolQueues),
    Slots(BTreeMap<QueueName, usize>),
}

impl Kind {
    /// What a variable gives. Variables have no types: a number or a flag is what reads like one where one belongs.
    pub(super) fn given(self, text: &str) -> Given<'_> {
        let text = text.trim();
        let typed = match self {
            Self::Flag => on_or_off(text).map(Given::Flag),
            Self::Count { .. } | Self::Time { .. } | Self::ShortTime | Self::Size => {
                text.parse().ok().map(Given::Number)
            }
            _ => None,
        };
        typed.unwrap_or_else(|| Given::Text(text.into()))
    }

    /// The value, or what to write instead.
    pub(super) fn read(self, given: &Given<'_>) -> Result<Value, String> {
        self.value(given).ok_or_else(|| format!("write {}", self.expected()))
    }

    fn value(self, given: &Given<'_>) -> Option<Value> {
        Some(match (self, given) {
            (Self::Text | Self::Url, Given::Text(text)) if !text.is_empty() => Value::Text(text.to_string()),
            (Self::Queue, Given::Text(text)) if QueueName::is_valid(text) => Value::Text(text.to_string()),
            (Self::Choice(words), Given::Text(text)) if words.contains(&&**text) => {
                Value::Text(text.to_string())
            }
            (Self::Flag, Given::Flag(flag)) => Value::Flag(*flag),
            (Self::Count { least, most }, Given::Number(n)) if (least..=most).contains(n) => Value::Count(*n),
            (Self::Time { least }, given) => {
                Value::Time(time(given, Duration::from_secs).filter(|time| *time >= least)?)
            }
            (Self::ShortTime, given) => Value::Time(time(given, Duration::from_millis)?),
            (Self::Size, Given::Number(bytes)) if *bytes > 0 => Value::Size(*bytes),
            (Self::Size, Given::Text(text)) => Value::Size(size(text).filter(|bytes| *bytes > 0)?),
            (Self::Address, Given::Text(text)) if text == NONE => Value::Address(None),
            (Self::Address, Given::Text(text)) => Value::Address(Some(text.parse().ok()?)),
            (Self::Command, Given::List(words)) => Value::Words(
                all(words, word).filter(|words| words.first().is_some_and(|program| !program.is_empty()))?,
            ),
            (Self::Queues, Given::List(queues)) if !queues.is_empty() => {
                let queues = all(queues, queue)?;
                let is_named_twice = (1..queues.len()).any(|at| queues[..at].contains(&queues[at]));
                Value::Queues((!is_named_twice).then_some(PoolQueues::Strict(queues))?)
            }
            (Self::Queues, Given::Table(weights)) if !weights.is_empty() => {
                let weights =
                    weights.iter().map(|(name, weight)| Some((name_of_queue(name)?, number(weight)?)));
                Value::Queues(PoolQueues::Weighted(weights.collect::<Option<_>>()?))
            }
            (Self::Slots, Given::Table(slots)) => {
                let slots = slots.iter().map(|(name, slots)| Some((name_of_queue(name)?, number(slots)?)));
                Value::Slots(slots.collect::<Option<_>>()?)
            }
            _ => return None,
        })
    }

    /// What to write.
    fn expected(self) -> String {
        match self {
            Self::Text => "a text that is not empty".to_owned(),
            Self::Url => "the URL of a queue, such as `\"sqlite://jobs.db\"`".to_owned(),
            Self::Queue => "a queue's name, 1 to 200 bytes without spaces".to_owned(),
            Self::Flag => "`true` or `false`".to_owned(),
            Self::Count { least, most } if most >= u64::from(u32::MAX) => {
                format!("a whole number from {least} on")
            }
            Self::Count { least, most } => format!("a whole number from {least} to {most}"),
            Self::Time { least } => {
                let least = if least.is_zero() {
                    String::new()
                } else {
                    format!(", at least {}", show_duration(least))
                };
                format!(
                    "a whole number of seconds or a duration such as `\"10s\"` or `\"1h 30m\"` \
                     (`d`, `h`, `m`, `s`, `ms`){least}, at most 100 years"
                )
            }
            Self::ShortTime => {
                "a whole number of milliseconds or a duration such as `\"100ms\"` or `\"2s\"`".to_owned()
            }
            Self::Size => "a number of bytes or a size such as `\"512MiB\"` \
                           (`B`, `kB`, `MB`, `GB`, `KiB`, `MiB`, `GiB`)"
                .to_owned(),
            Self::Choice(words) => {
                words.iter().map(|word| format!("`\"{word}\"`")).collect::<Vec<_>>().join(" or ")
            }
            Self::Address => {
                "an address with its port, such as `\"127.0.0.1:9464\"`, or `\"none\"`".to_owned()
            }
            Self::Command => {
                "the program and its arguments, such as `[\"/usr/local/bin/shop\", \"--verbose\"]`".to_owned()
            }
            Self::Queues => "queues, each once, in the order of their urgency, such as \
                             `[\"payments\", \"default\"]`, or with weights, such as \
                             `{ payments = 6, default = 1 }`"
                .to_owned(),
            Self::Slots => "the most jobs of each queue at a time, such as `{ documents = 2 }`".to_owned(),
        }
    }
}

fn time(given: &Given<'_>, unit: fn(u64) -> Duration) -> Option<Duration> {
    match given {
        Given::Number(n) => Some(unit(*n)).filter(|time| *time <= LONGEST),
        Given::Text(text) => duration(text),
        _ => None,
    }
}

fn all<T>(list: &[Given<'_>], read: fn(&Given<'_>) -> Option<T>) -> Option<Vec<T>> {
    list.iter().map(read).collect()
}

fn word(given: &Given<'_>) -> Option<String> {
    match given {
        Given::Text(text) => Some(text.to_string()),
        _ => None,
    }
}

fn queue(given: &Given<'_>) -> Option<QueueName> {
    name_of_queue(&word(given)?)
}

fn name_of_queue(name: &str) -> Option<QueueName> {
    QueueName::is_valid(name).then(|| name.into())
}

/// A number of at least 1.
fn number<T: TryFrom<u64>>(given: &Given<'_>) -> Option<T> {
    match given {
        Given::Number(n) if (1..=MOST).contains(n) => T::try_from(*n).ok(),
        _ => None,
    }
}

/// As people read it; a file takes texts in quotes.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Count(count) => write!(f, "{count}"),
            Self::Time(time) => f.write_str(&show_duration(*time)),
            Self::Size(bytes) => f.write_str(&show_size(*bytes)),
            Self::Address(Some(address)) => write!(f, "{address}"),
            Self::Address(None) => f.write_str(NONE),
            Self::Words(words) => write!(f, "{words:?}"),
            Self::Queues(PoolQueues::Strict(queues)) => {
                f.debug_list().entries(queues.iter().map(QueueName::as_str)).finish()
            }
            Self::Queues(PoolQueues::Weighted(weights)) => {
                table(f, weights.iter().map(|(queue, weight)| (queue, *weight)))
            }
            Self::Slots(slots) => table(f, slots.iter()),
        }
    }
}

fn table<'a>(
    f: &mut fmt::Formatter<'_>,
    rows: impl Iterator<Item = (&'a QueueName, impl fmt::Display)>,
) -> fmt::Result {
    let rows: Vec<_> = rows.map(|(queue, number)| format!("{queue} = {number}")).collect();
    write!(f, "{{ {} }}", rows.join(", "))
}

/// A type in which the framework holds values.
pub(super) trait Held: Sized {
    fn of(value: &Value) -> Option<Self>;
}

macro_rules! held {
    ($($type:ty: $pattern:pat => $held:expr;)*) => {$(
        impl Held for $type {
            fn of(value: &Value) -> Option<Self> {
                match value {
                    $pattern => $held,
                    _ => None,
                }
            }
        }
    )*};
}

held! {
    String: Value::Text(text) => Some(text.clone());
    bool: Value::Flag(flag) => Some(*flag);
    u32: Value::Count(count) => u32::try_from(*count).ok();
    u64: Value::Count(count) | Value::Size(count) => Some(*count);
    usize: Value::Count(count) => usize::try_from(*count).ok();
    Duration: Value::Time(time) => Some(*time);
    Option<SocketAddr>: Value::Address(address) => Some(*address);
    Vec<String>: Value::Words(words) => Some(words.clone());
    PoolQueues: Value::Queues(queues) => Some(queues.clone());
    BTreeMap<QueueName, usize>: Value::Slots(slots) => Some(slots.clone());
}
