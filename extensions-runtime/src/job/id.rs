//! Names and numbers of jobs: [`JobId`], [`FireId`], [`WorkerId`], [`HandlerKey`], [`QueueName`].

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new identifier (UUIDv7), ordered by time of making.
            #[must_use]
            #[allow(clippy::new_without_default)]
            pub fn new() -> Self {
                Self(crate::time::new_uuid())
            }

            /// The identifier with these bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// The identifier's bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

uuid_id! {
    /// Identifies a job. Fixed before the job is pushed, so that a push can be repeated safely.
    JobId
}

impl JobId {
    /// The identifier (UUIDv8) that follows from a hash.
    pub(crate) const fn derived(hash: [u8; 16]) -> Self {
        Self(uuid::Builder::from_custom_bytes(hash).into_uuid())
    }
}

uuid_id! {
    /// Identifies the fire that started a chain of jobs.
    FireId
}
uuid_id! {
    /// Identifies a worker; new at every start of a worker.
    WorkerId
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            pub(crate) const fn shared(&self) -> &Arc<str> {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                &*self.0 == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                &*self.0 == *other
            }
        }
    };
}

name! {
    /// The name of a queue: a lane inside a backend.
    QueueName
}
name! {
    /// The one plain name under which a backend knows a job's handler: `<point>/<handler>`.
    ///
    /// A handler's own name is unique on its point only; this one is unique in a registry. Neither half
    /// contains a `/`.
    HandlerKey
}

impl QueueName {
    /// Whether a text can be the name of a queue: 1 to 200 bytes without spaces.
    #[must_use]
    pub fn is_valid(name: &str) -> bool {
        !name.is_empty() && name.len() <= 200 && !name.chars().any(|c| c.is_control() || c.is_whitespace())
    }
}

impl HandlerKey {
    /// The key of the handler `handler` on the point with the wire name `point`.
    #[must_use]
    pub fn new(point: &str, handler: &str) -> Self {
        Self(format!("{point}/{handler}").into())
    }

    /// The point's wire name.
    #[must_use]
    pub fn point(&self) -> &str {
        self.0.split_once('/').map_or("", |(point, _)| point)
    }

    /// The handler's name on its point.
    #[must_use]
    pub fn handler(&self) -> &str {
        self.0.split_once('/').map_or(&*self.0, |(_, handler)| handler)
    }
}
