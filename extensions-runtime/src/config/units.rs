//! Durations and sizes as people write them: `10s`, `1h 30m`, `512MiB`.

use std::time::Duration;

const DAY: u64 = 24 * 60 * 60;
/// Longer ones are typing errors, and could overflow a time stamp.
pub(super) const LONGEST: Duration = Duration::from_secs(100 * 365 * DAY);

/// The largest first.
const TIMES: &[(&str, u64)] =
    &[("d", DAY * 1000), ("h", 60 * 60 * 1000), ("m", 60 * 1000), ("s", 1000), ("ms", 1)];

const SIZES: &[(&str, u64)] = &[
    ("B", 1),
    ("kB", 1000),
    ("MB", 1000 * 1000),
    ("GB", 1000 * 1000 * 1000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// One or more parts of a whole number and a unit, in any order, each unit at most once.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut millis = 0_u64;
    let mut used = Vec::new();
    while !rest.is_empty() || used.is_empty() {
        let (amount, unit, after) = part(rest, char::is_alphabetic)?;
        let (_, factor) = TIMES.iter().find(|(known, _)| *known == unit)?;
        if used.contains(&unit) {
            return None;
        }
        used.push(unit);
        millis = millis.checked_add(amount.checked_mul(*factor)?)?;
        rest = after.trim_start();
    }
    Some(Duration::from_millis(millis)).filter(|duration| *duration <= LONGEST)
}

/// A whole number and a unit.
pub(crate) fn size(text: &str) -> Option<u64> {
    let (amount, unit, after) = part(text.trim(), |c| !c.is_whitespace())?;
    let (_, factor) = SIZES.iter().find(|(known, _)| *known == unit)?;
    after.is_empty().then(|| amount.checked_mul(*factor)).flatten()
}

/// A number, a unit and what follows.
fn part(text: &str, of_unit: fn(char) -> bool) -> Option<(u64, &str, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (amount, rest) = text.split_at(digits);
    let rest = rest.trim_start();
    let end = rest.find(|c| !of_unit(c)).unwrap_or(rest.len());
    let (unit, after) = rest.split_at(end);
    Some((amount.parse().ok()?, unit, after))
}

/// A duration as [`duration`] reads it; parts of a millisecond are left out.
pub(super) fn show_duration(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut parts = Vec::new();
    for (unit, factor) in TIMES {
        if rest >= *factor {
            parts.push(format!("{}{unit}", rest / factor));
            rest %= factor;
        }
    }
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}

/// A size as [`size`] reads it, in the largest binary unit that leaves no rest.
pub(super) fn show_size(bytes: u64) -> String {
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let fitting = units.into_iter().find(|(_, factor)| bytes != 0 && bytes.is_multiple_of(*factor));
    fitting.map_or_else(|| format!("{bytes}B"), |(unit, factor)| format!("{}{unit}", bytes / factor))
}

#[cfg(test)]
mod tests {
    use super::{duration, show_duration, show_size, size};
    use std::time::Duration;

    #[test]
    fn durations_are_numbers_with_units_that_add_up() {
        for (text, millis) in [
            ("500ms", 500),
            ("10s", 10_000),
            ("2m", 120_000),
            ("1h 30m", 5_400_000),
            ("1h30m", 5_400_000),
            (" 1 d 2 h ", 93_600_000),
            ("0s", 0),
        ] {
            assert_eq!(duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in [
            "",
            " ",
            "10",
            "s",
            "soon",
            "-5s",
            "1.5h",
            "5 minutes",
            "1h 2h",
            "40000d",
            "99999999999999999999s",
        ] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_have_decimal_and_binary_units() {
        for (text, bytes) in
            [("512MiB", 512 << 20), ("2 GiB", 2 << 30), ("1GB", 1_000_000_000), ("10kB", 10_000), ("7B", 7)]
        {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for text in ["", "512", "MiB", "1.5GiB", "5 MiB 3", "99999999999999999999B", "99999999999GiB", "1mb"]
        {
            assert_eq!(size(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_shown_can_be_read_again() {
        for (millis, shown) in
            [(0, "0s"), (100, "100ms"), (90_000, "1m 30s"), (86_400_000, "1d"), (5_400_007, "1h 30m 7ms")]
        {
            let time = Duration::from_millis(millis);
            assert_eq!(show_duration(time), shown);
            assert_eq!(duration(shown), Some(time));
        }
        for (bytes, shown) in
            [(0, "0B"), (512 << 20, "512MiB"), (1 << 30, "1GiB"), (1_000, "1000B"), (3 << 10, "3KiB")]
        {
            assert_eq!(show_size(bytes), shown);
            assert_eq!(size(shown), Some(bytes));
        }
    }
}
