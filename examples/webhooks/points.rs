//! What can happen.

use extensions::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A delivery came in; a line of the input is one.
#[derive(Debug, Clone, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(interruptible, queued)]
pub(crate) struct DeliveryReceived {
    pub(crate) delivery: String,
    pub(crate) event: String,
    /// May be null, and must be there.
    #[serde(deserialize_with = "Option::deserialize")]
    pub(crate) action: Option<String>,
    pub(crate) payload: Value,
}

/// Somebody opened an issue.
#[derive(Debug, Clone, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
pub(crate) struct IssueOpened {
    pub(crate) delivery: String,
    pub(crate) repository: String,
    pub(crate) title: String,
    pub(crate) by: String,
}

/// A pull request was merged (and not just closed).
#[derive(Debug, Clone, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
pub(crate) struct PullRequestMerged {
    pub(crate) delivery: String,
    pub(crate) repository: String,
    pub(crate) title: String,
    pub(crate) by: String,
}

/// A release went public.
#[derive(Debug, Clone, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
pub(crate) struct ReleasePublished {
    pub(crate) delivery: String,
    pub(crate) repository: String,
    pub(crate) tag: String,
}

/// Commits were pushed.
#[derive(Debug, Clone, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
pub(crate) struct PushReceived {
    pub(crate) delivery: String,
    pub(crate) repository: String,
    pub(crate) git_ref: String,
    pub(crate) by: String,
}

impl DeliveryReceived {
    /// A text in the payload, by JSON pointer.
    pub(crate) fn text(&self, pointer: &str) -> Option<&str> {
        self.payload.pointer(pointer)?.as_str()
    }

    /// As [`text`](Self::text); `?` where the sender left it out.
    fn or_unknown(&self, pointer: &str) -> String {
        self.text(pointer).unwrap_or("?").to_owned()
    }
}

impl From<&DeliveryReceived> for IssueOpened {
    fn from(received: &DeliveryReceived) -> Self {
        Self {
            delivery: received.delivery.clone(),
            repository: received.or_unknown("/repository/full_name"),
            title: received.or_unknown("/issue/title"),
            by: received.or_unknown("/sender/login"),
        }
    }
}

impl From<&DeliveryReceived> for PullRequestMerged {
    fn from(received: &DeliveryReceived) -> Self {
        Self {
            delivery: received.delivery.clone(),
            repository: received.or_unknown("/repository/full_name"),
            title: received.or_unknown("/pull_request/title"),
            by: received.or_unknown("/sender/login"),
        }
    }
}

impl From<&DeliveryReceived> for ReleasePublished {
    fn from(received: &DeliveryReceived) -> Self {
        Self {
            delivery: received.delivery.clone(),
            repository: received.or_unknown("/repository/full_name"),
            tag: received.or_unknown("/release/tag_name"),
        }
    }
}

impl From<&DeliveryReceived> for PushReceived {
    fn from(received: &DeliveryReceived) -> Self {
        Self {
            delivery: received.delivery.clone(),
            repository: received.or_unknown("/repository/full_name"),
            git_ref: received.or_unknown("/ref"),
            by: received.or_unknown("/sender/login"),
        }
    }
}
