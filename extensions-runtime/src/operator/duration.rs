//! Durations as people write and read them: `90`, `10s`, `1h 30m`.

use std::time::Duration;

const DAY: u64 = 24 * 60 * 60;
/// Longer ones are typing errors, and could overflow a time stamp.
const LONGEST: Duration = Duration::from_secs(100 * 365 * DAY);
const UNITS: &[(&str, Duration)] = &[
    ("ms", Duration::from_millis(1)),
    ("s", Duration::from_secs(1)),
    ("m", Duration::from_secs(60)),
    ("h", Duration::from_secs(60 * 60)),
    ("d", Duration::from_secs(DAY)),
];

/// Reads a number of seconds, or parts of a whole number and a unit, each unit at most once.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let total = match text.trim().parse::<u64>() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => sum_of_parts(text)?,
    };
    total.filter(|total| *total <= LONGEST).ok_or_else(|| format!("`{text}` is longer than 100 years"))
}

/// `None` where the sum is too large to be counted.
fn sum_of_parts(text: &str) -> Result<Option<Duration>, String> {
    let wrong = || format!("`{text}` is no duration; write seconds, or numbers and units: `10s`, `1h 30m`");
    let (mut rest, mut used, mut total) = (text.trim(), Vec::new(), Some(Duration::ZERO));
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let (digits, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
        let after = after.trim_start();
        let (name, after) = after.split_at(after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len()));
        let unit = UNITS.iter().find(|(unit, _)| *unit == name);
        let Some((unit, length)) = unit.filter(|_| !digits.is_empty()) else { return Err(wrong()) };
        if used.contains(unit) {
            return Err(format!("`{unit}` is given twice in `{text}`"));
        }
        used.push(unit);
        let part = digits.parse::<u32>().ok().and_then(|amount| length.checked_mul(amount));
        total = total.zip(part).and_then(|(total, part)| total.checked_add(part));
        rest = after.trim_start();
    }
    Ok(total)
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
