//! From a URL to a backend; the only place that names them.

use std::sync::Arc;

use super::{QueueBackend, QueueError, QueueErrorKind};

/// The schemes that exist, with the feature that brings each.
const SCHEMES: &[(&str, Option<&str>)] = &[("memory", None), ("sqlite", Some("sqlite"))];

/// Opens the backend that a URL names: `sqlite://jobs.db`, `sqlite:///var/lib/app/jobs.db?synchronous=full`,
/// `memory:`.
///
/// # Errors
///
/// `InvalidConfig` for an unknown scheme or option, or a scheme whose feature is off; `Unavailable` where the store
/// cannot be opened.
pub async fn connect(url: &str) -> Result<Arc<dyn QueueBackend>, QueueError> {
    let scheme = url.split_once(':').map_or(url, |(scheme, _)| scheme);
    match scheme {
        "memory" => Ok(Arc::new(super::Memory::new())),
        #[cfg(feature = "sqlite")]
        "sqlite" => Ok(Arc::new(super::Sqlite::from_url(url).await?)),
        other => Err(unknown(other)),
    }
}

fn unknown(scheme: &str) -> QueueError {
    let hint = match SCHEMES.iter().find(|(known, _)| *known == scheme) {
        Some((_, Some(feature))) => {
            format!("`{scheme}:` needs the feature `{feature}` of the crate `extensions`")
        }
        _ => {
            let known: Vec<_> = SCHEMES.iter().map(|(known, _)| format!("`{known}:`")).collect();
            format!("`{scheme}` is no queue; write a URL that starts with {}", known.join(" or "))
        }
    };
    QueueError::new(QueueErrorKind::InvalidConfig, "connect", hint)
}
