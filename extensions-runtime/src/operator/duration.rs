//! Durations as people write and read them: `90`, `10s`, `1h 30m`.

use std::time::Duration;

const DAY: u64 = 24 * 60 * 60;

/// Reads a number of seconds, or parts of a whole number and a unit, as the configuration has them.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let with_unit = if text.trim().parse::<u64>().is_ok() { format!("{text}s") } else { text.to_owned() };
    crate::config::duration(&with_unit).ok_or_else(|| {
        format!("`{text}` is no duration of at most 100 years; write seconds, or numbers and units: `10s`, `1h 30m`")
    })
}

/// Reads a number of bytes, or a number and a unit.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let plain = text.trim().parse().ok();
    plain
        .or_else(|| crate::config::size(text))
        .ok_or_else(|| format!("`{text}` is no size; write bytes, or a number and a unit: `512MiB`, `2GB`"))
}

/// A duration in its two largest units: `2d 3h`, `1h 30m`, `12.5s`, `250ms`.
pub(crate) fn short(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let pair = |large: u64, unit: &str, small: u64, sub: &str| match small {
        0 => format!("{large}{unit}"),
        _ => format!("{large}{unit} {small}{sub}"),
    };
    match seconds {
        0 if duration.is_zero() => "0s".to_owned(),
        0 if duration < Duration::from_millis(1) => format!("{}µs", duration.as_micros()),
        0 => format!("{}ms", duration.as_millis()),
        1..60 => match duration.subsec_millis() / 100 {
            0 => format!("{seconds}s"),
            tenths => format!("{seconds}.{tenths}s"),
        },
        60..3_600 => pair(seconds / 60, "m", seconds % 60, "s"),
        3_600..DAY => pair(seconds / 3_600, "h", seconds / 60 % 60, "m"),
        _ => pair(seconds / DAY, "d", seconds / 3_600 % 24, "h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_units_are_read() {
        for (text, seconds) in
            [("90", 90), ("10s", 10), ("1h 30m", 5_400), ("1h30m", 5_400), (" 2 d ", 172_800)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
    }

    #[test]
    fn what_is_no_duration_is_told_what_to_write() {
        for text in ["", "soon", "-5s", "1.5h", "5 minutes", "1h 2h", "5", "40000d", "99999999999999999999s"]
        {
            match parse_duration(text) {
                Ok(duration) => assert_eq!((text, duration), ("5", Duration::from_secs(5))),
                Err(message) => assert!(message.contains(text), "{message}"),
            }
        }
    }

    #[test]
    fn durations_are_shown_in_two_units() {
        for (millis, text) in [
            (0, "0s"),
            (250, "250ms"),
            (12_000, "12s"),
            (12_540, "12.5s"),
            (60_000, "1m"),
            (5_400_000, "1h 30m"),
            (183_600_000, "2d 3h"),
        ] {
            assert_eq!(short(Duration::from_millis(millis)), text);
        }
    }
}
