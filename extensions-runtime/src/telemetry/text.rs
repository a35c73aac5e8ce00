//! Prometheus' text format 0.0.4: written, and texts of several processes made one.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::names::{METRICS, MetricKind, MetricScope};

impl MetricKind {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Adds a metric's head to a text.
pub(super) fn head(text: &mut String, name: &str, kind: MetricKind, about: Option<&str>) {
    if let Some(about) = about {
        let about = about.replace('\\', "\\\\").replace('\n', "\\n");
        let _ = writeln!(text, "# HELP {name} {about}");
    }
    let _ = writeln!(text, "# TYPE {name} {}", kind.word());
}

/// Adds one value to a text; the labels as [`labels`] writes them.
pub(super) fn sample(text: &mut String, name: &str, labels: &str, value: f64) {
    let braces = if labels.is_empty() { ["", ""] } else { ["{", "}"] };
    let _ = writeln!(text, "{name}{}{labels}{} {}", braces[0], braces[1], number(value));
}

/// Labels as they stand between the braces.
pub(super) fn labels<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = String::new();
    for (name, value) in labels {
        let comma = if text.is_empty() { "" } else { "," };
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let _ = write!(text, "{comma}{}=\"{value}\"", identifier(name, false));
    }
    text
}

/// A name with everything replaced that none may have; colons only where they may stand.
pub(super) fn identifier(name: &str, colons: bool) -> String {
    let may = |(at, c): (usize, char)| match c {
        'a'..='z' | 'A'..='Z' | '_' => c,
        '0'..='9' if at > 0 => c,
        ':' if colons => c,
        _ => '_',
    };
    name.chars().enumerate().map(may).collect()
}

fn number(value: f64) -> String {
    match value {
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        value => value.to_string(),
    }
}

/// One metric of a text.
#[derive(Default)]
struct Family {
    help: Option<String>,
    kind: Option<String>,
    /// Values by name and labels, in the order in which they first stood.
    samples: Vec<(String, f64)>,
    places: BTreeMap<String, usize>,
}

impl Family {
    fn add(&mut self, series: &str, value: f64, largest: bool) {
        match self.places.get(series) {
            Some(&at) => {
                let old = &mut self.samples[at].1;
                *old = if largest { old.max(value) } else { *old + value };
            }
            None => {
                self.places.insert(series.to_owned(), self.samples.len());
                self.samples.push((series.to_owned(), value));
            }
        }
    }
}

/// Makes one text of those of several processes, such as the workers of a supervisor.
///
/// Counters, histograms and gauges add up; the figures of the store ([`MetricScope::Store`]), which every process sees alike,
/// are taken once: the largest. What is no text of this format is left out.
#[must_use]
pub fn merge<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> String {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    for text in texts {
        read(text.as_ref(), &mut families);
    }
    write(&families)
}

/// A text without its gauges: what a process that has ended goes on to count for. Merged with the texts of those that live, it keeps
/// counters from falling, which would look as if they had begun anew.
#[must_use]
pub fn without_gauges(text: &str) -> String {
    let mut families = BTreeMap::new();
    read(text, &mut families);
    families.retain(|_, family: &mut Family| family.kind.as_deref() != Some(MetricKind::Gauge.word()));
    write(&families)
}

fn read(text: &str, families: &mut BTreeMap<String, Family>) {
    let mut current = String::new();
    for line in text.lines() {
        if let Some((word, name, rest)) = comment(line) {
            let family = families.entry(name.to_owned()).or_default();
            let place = if word == "HELP" { &mut family.help } else { &mut family.kind };
            place.get_or_insert_with(|| rest.to_owned());
            name.clone_into(&mut current);
        } else if let Some((series, value)) = value(line) {
            let name = series.split('{').next().unwrap_or(series);
            let is_of_current = name
                .strip_prefix(&*current)
                .is_some_and(|rest| ["", "_bucket", "_sum", "_count"].contains(&rest));
            let family = if is_of_current { &*current } else { name };
            let is_stores =
                |metric: &&super::names::Metric| metric.name == family && metric.scope == MetricScope::Store;
            let largest = METRICS.iter().any(|metric| is_stores(&metric));
            families.entry(family.to_owned()).or_default().add(series, value, largest);
        }
    }
}

/// `# HELP name text` or `# TYPE name kind`.
fn comment(line: &str) -> Option<(&str, &str, &str)> {
    let (word, rest) = line.strip_prefix("# ")?.split_once(' ')?;
    let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    (["HELP", "TYPE"].contains(&word) && !name.is_empty()).then_some((word, name, rest))
}

/// Name and labels, and the value of a line. A label's value may hold anything, braces and spaces too.
fn value(line: &str) -> Option<(&str, f64)> {
    let name =
        line.find(|c: char| !c.is_ascii_alphanumeric() && !['_', ':'].contains(&c)).filter(|end| *end > 0)?;
    let end = match line[name..].starts_with('{') {
        true => name + closing(&line[name..])? + 1,
        false => name,
    };
    let (series, rest) = line.split_at(end);
    Some((series, rest.strip_prefix(' ')?.split(' ').next()?.parse().ok()?))
}

/// Where the brace closes that a text begins with.
fn closing(text: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '}' if !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

fn write(families: &BTreeMap<String, Family>) -> String {
    let mut text = String::new();
    for (name, family) in families.iter().filter(|(_, family)| !family.samples.is_empty()) {
        for (word, rest) in [("HELP", &family.help), ("TYPE", &family.kind)] {
            if let Some(rest) = rest {
                let _ = writeln!(text, "# {word} {name} {rest}");
            }
        }
        for (series, value) in &family.samples {
            let _ = writeln!(text, "{series} {}", number(*value));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{identifier, labels, merge, without_gauges};

    const ONE: &str = "# HELP a_total Told.\n# TYPE a_total counter\na_total{x=\"1 } \\\" {\"} 2\na_total{x=\"2\"} 1\n\
        # TYPE t histogram\nt_bucket{le=\"0.5\"} 1\nt_bucket{le=\"+Inf\"} 2\nt_sum 1.5\nt_count 2\n";
    const TWO: &str = "# TYPE a_total counter\na_total{x=\"1 } \\\" {\"} 40\n# TYPE t histogram\nt_bucket{le=\"0.5\"} 1\n\
        t_bucket{le=\"+Inf\"} 1\nt_sum 0.25\nt_count 1\n# TYPE extensions_queue_jobs gauge\nextensions_queue_jobs{queue=\"q\"} 7\n\
        # TYPE extensions_worker_busy gauge\nextensions_worker_busy 3\n";

    #[test]
    fn processes_add_up_and_what_all_see_of_the_store_counts_once() {
        let merged = merge([ONE, TWO, TWO]);
        for line in [
            "a_total{x=\"1 } \\\" {\"} 82",
            "a_total{x=\"2\"} 1",
            "t_bucket{le=\"0.5\"} 3",
            "t_bucket{le=\"+Inf\"} 4",
            "t_sum 2",
            "t_count 4",
            "extensions_queue_jobs{queue=\"q\"} 7",
            "extensions_worker_busy 6",
            "# HELP a_total Told.",
        ] {
            assert!(merged.lines().any(|found| found == line), "{line}\n{merged}");
        }
        assert_eq!(merged.matches("# TYPE t histogram").count(), 1, "{merged}");
        assert_eq!(merge([&merged]), merged, "merging one text changes nothing");
    }

    #[test]
    fn what_a_process_leaves_behind_has_no_gauges() {
        let left = without_gauges(TWO);
        assert!(left.contains("a_total") && left.contains("t_sum 0.25"), "{left}");
        assert!(!left.contains("extensions_"), "{left}");
    }

    #[test]
    fn garbage_is_left_out() {
        for garbage in
            ["", "\u{0}\u{1}", "a", "a{ 1", "a b c", "{} 1\n}{", "# TYPE", "# HELP  x", "a{x=\"} 1", "é{} 1x"]
        {
            assert_eq!(merge([garbage, "b 1"]).trim(), "b 1", "{garbage:?}");
        }
    }

    #[test]
    fn names_and_values_of_labels_are_made_fit() {
        assert_eq!(identifier("1a.b-c:d", true), "_a_b_c:d");
        assert_eq!(labels([("a:b", "x\"\\\n")].into_iter()), "a_b=\"x\\\"\\\\\\n\"");
    }
}
