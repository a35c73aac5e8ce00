//! Durations as users write them: `"10s"`, `"1h 30m"`, `"500ms"`.

use std::time::Duration;

/// Longer ones are typing errors, and could overflow a time stamp.
const LONGEST: Duration = Duration::from_secs(100 * 365 * DAY);
const DAY: u64 = 24 * 60 * 60;
const UNITS: &[(&str, Duration)] = &[
    ("ms", Duration::from_millis(1)),
    ("s", Duration::from_secs(1)),
    ("m", Duration::from_secs(60)),
    ("h", Duration::from_secs(60 * 60)),
    ("d", Duration::from_secs(DAY)),
];

/// Reads one or more parts of a whole number and a unit, in any order, each unit at most once.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err("an empty duration; write a number and a unit, such as `\"10s\"`".to_owned());
    }
    let mut total = Duration::ZERO;
    let mut used = Vec::new();
    while !rest.is_empty() {
        let (amount, after) = number(rest, text)?;
        let (unit, after) = unit(after, amount, text)?;
        if used.contains(&unit.0) {
            return Err(format!("`{}` is given twice in `{text}`", unit.0));
        }
        used.push(unit.0);
        total = u32::try_from(amount)
            .ok()
            .and_then(|amount| unit.1.checked_mul(amount))
            .and_then(|part| total.checked_add(part))
            .ok_or_else(|| too_long(text))?;
        rest = after.trim_start();
    }
    within_reason(total, text)
}

/// A number of seconds.
pub(crate) fn seconds(amount: u64) -> Result<Duration, String> {
    within_reason(Duration::from_secs(amount), &amount.to_string())
}

fn within_reason(duration: Duration, text: &str) -> Result<Duration, String> {
    if duration > LONGEST { Err(too_long(text)) } else { Ok(duration) }
}

fn too_long(text: &str) -> String {
    format!("`{text}` is longer than 100 years")
}

fn number<'t>(rest: &'t str, text: &str) -> Result<(u64, &'t str), String> {
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (digits, after) = rest.split_at(end);
    if digits.is_empty() {
        return Err(format!(
            "`{text}` is not a duration; write numbers and units, such as `\"10s\"` or `\"1h 30m\"`"
        ));
    }
    if after.starts_with(['.', ',']) {
        return Err(format!(
            "`{text}` has a fraction; write a smaller unit, such as `\"1500ms\"` or `\"1h 30m\"`"
        ));
    }
    let amount = digits.parse().map_err(|_| too_long(text))?;
    Ok((amount, after.trim_start()))
}

fn unit<'t>(
    rest: &'t str,
    amount: u64,
    text: &str,
) -> Result<(&'static (&'static str, Duration), &'t str), String> {
    let end = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
    let (name, after) = rest.split_at(end);
    if name.is_empty() {
        return Err(format!("`{text}` lacks a unit; write `\"{amount}s\"` for seconds"));
    }
    let unit = UNITS
        .iter()
        .find(|(unit, _)| *unit == name)
        .ok_or_else(|| format!("unknown unit `{name}`; valid are `ms`, `s`, `m`, `h` and `d`"))?;
    Ok((unit, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(seconds: u64) -> Result<Duration, String> {
        Ok(Duration::from_secs(seconds))
    }

    #[test]
    fn each_unit_counts() {
        assert_eq!(parse("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse("10s"), secs(10));
        assert_eq!(parse("2m"), secs(120));
        assert_eq!(parse("3h"), secs(10_800));
        assert_eq!(parse("1d"), secs(86_400));
    }

    #[test]
    fn parts_add_up_with_or_without_spaces() {
        assert_eq!(parse("1h 30m"), secs(5_400));
        assert_eq!(parse("1h30m"), secs(5_400));
        assert_eq!(parse(" 1 d 2 h "), secs(93_600));
    }

    #[test]
    fn every_mistake_says_what_to_write() {
        let message = |text| parse(text).expect_err(text);
        assert!(message("").contains("empty"));
        assert!(message("soon").contains("not a duration"));
        assert!(message("-5s").contains("not a duration"));
        assert!(message("90").contains("`\"90s\"`"));
        assert!(message("1.5h").contains("fraction"));
        assert!(message("5 minutes").contains("unknown unit `minutes`"));
        assert!(message("1h 2h").contains("twice"));
        assert!(message("99999999999999999999s").contains("100 years"));
        assert!(message("40000d").contains("100 years"));
        assert!(seconds(u64::MAX).is_err());
    }
}
