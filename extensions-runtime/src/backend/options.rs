//! What the options of URLs are made of, alike for every backend.

use std::time::Duration;

use crate::queue::{QueueError, QueueErrorKind};

/// The duration that an option has: a whole number with `ms`, `s` or `m`.
pub(super) fn duration(option: &str, value: &str) -> Result<Duration, QueueError> {
    let digits = value.len() - value.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = value.split_at(digits);
    let scale: Option<u64> = match unit {
        "ms" => Some(1),
        "s" => Some(1000),
        "m" => Some(60_000),
        _ => None,
    };
    let millis = scale.and_then(|scale| number.parse::<u64>().ok()?.checked_mul(scale));
    millis.map(Duration::from_millis).ok_or_else(|| {
        let hint = format!("`{option}={value}` is no duration; write it like `5s` or `500ms`");
        QueueError::new(QueueErrorKind::InvalidConfig, "connect", hint)
    })
}

/// The URL holds a `/` or `?` that belongs to a password: what stands behind it is taken for something else, and never shown.
#[cfg(any(feature = "postgres", feature = "redis"))]
pub(super) fn cut_login() -> QueueError {
    let hint = "an `@` stands behind a `/` or `?`; in a user or password write `/` as `%2F` and `?` as `%3F`, elsewhere `@` as `%40`";
    QueueError::new(QueueErrorKind::InvalidConfig, "connect", hint)
}

/// Whether there is an `@` behind the first `/` of `user:password@host/path`.
#[cfg(any(feature = "postgres", feature = "redis"))]
pub(super) fn is_login_cut(place: &str) -> bool {
    place.split_once('/').is_some_and(|(_, path)| path.contains('@'))
}

#[cfg(test)]
mod tests {
    use super::duration;
    use crate::queue::QueueErrorKind;
    use std::time::Duration;

    #[test]
    fn durations_have_a_unit() {
        for (value, millis) in [("250ms", 250), ("5s", 5_000), ("2m", 120_000), ("0s", 0)] {
            assert_eq!(duration("timeout", value).unwrap(), Duration::from_millis(millis), "{value}");
        }
        for value in
            ["", "5", "s", "-1s", "1.5s", "5 s", "1h", "99999999999999999999s", "18446744073709551615m"]
        {
            let error = duration("timeout", value).unwrap_err();
            assert_eq!(error.kind(), QueueErrorKind::InvalidConfig, "{value}");
            assert!(error.to_string().contains(&format!("`timeout={value}`")), "{error}");
        }
    }
}
