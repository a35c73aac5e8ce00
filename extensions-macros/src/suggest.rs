//! The nearest valid word for a misspelt one.

use crate::keys;

/// Words of other job frameworks and short forms, with what is meant here; the first that is valid counts.
const SYNONYMS: &[(&str, &[&str])] = &[
    ("attempt", &[keys::MAX_ATTEMPTS]),
    ("attempts", &[keys::MAX_ATTEMPTS]),
    ("condition", &[keys::PREDICATE]),
    ("constructor", &[keys::WITH]),
    ("cooldown", &[keys::TIMEOUT]),
    ("dedupe", &[keys::UNIQUE]),
    ("disabled", &[keys::OFF]),
    ("failures", &[keys::THRESHOLD]),
    ("flag", &[keys::FEATURE]),
    ("if", &[keys::PREDICATE]),
    ("max_retries", &[keys::MAX_ATTEMPTS]),
    ("max_tries", &[keys::MAX_ATTEMPTS]),
    ("prio", &[keys::PRIORITY]),
    ("probes", &[keys::HALF_OPEN_MAX]),
    ("retry", &[keys::RETRIES]),
    ("tries", &[keys::MAX_ATTEMPTS]),
    ("ttl", &[keys::UNIQUE_FOR]),
    ("uniq", &[keys::UNIQUE, keys::UNIQUE_BY]),
];

/// The candidate that is most likely what was meant: a known synonym, else the closest by typing errors, else the shortest
/// of which `word` is the beginning, or the longest that is the beginning of `word`.
pub(crate) fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let word = word.to_lowercase();
    synonym(&word, candidates).or_else(|| misspelt(&word, candidates)).or_else(|| cut(&word, candidates))
}

fn synonym<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let (_, meant) = SYNONYMS.iter().find(|(synonym, _)| *synonym == word)?;
    meant.iter().find_map(|meant| candidates.iter().find(|candidate| *candidate == meant)).copied()
}

fn misspelt<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    candidates
        .iter()
        .map(|candidate| (distance(word, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= tolerance(word, candidate))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// One letter is the beginning of too much to mean anything.
fn cut<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let longer = candidates.iter().filter(|candidate| word.len() > 1 && candidate.starts_with(word));
    let shorter = candidates.iter().filter(|candidate| candidate.len() > 1 && word.starts_with(**candidate));
    longer
        .min_by_key(|candidate| candidate.len())
        .or(shorter.max_by_key(|candidate| candidate.len()))
        .copied()
}

/// ``; did you mean `queue`?`` or the list of what is valid.
pub(crate) fn hint(word: &str, candidates: &[&str]) -> String {
    match nearest(word, candidates) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None => format!("valid are {}", list(candidates)),
    }
}

/// `` `a`, `b` and `c` ``
pub(crate) fn list(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        Some((last, _)) => last.clone(),
        None => String::new(),
    }
}

fn tolerance(word: &str, candidate: &str) -> usize {
    ((word.len().max(candidate.len()) + 1) / 3).max(1)
}

/// Edit distance in which swapping two neighbours is one edit.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut rows = vec![vec![0; to.len() + 1]; from.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=from.len() {
        for j in 1..=to.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(from[i - 1] != to[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::keys::{ASYNC, CIRCUIT_BREAKER, HANDLER, POINT, WHEN};

    fn all_find(candidates: &[&str], pairs: &[(&str, &str)]) {
        for (word, meant) in pairs {
            assert_eq!(nearest(word, candidates), Some(*meant), "{word}");
        }
    }

    #[test]
    fn a_typing_error_finds_its_word() {
        let pairs = [
            ("queu", "queue"),
            ("qeuue", "queue"),
            ("Retries", "retries"),
            ("retires", "retries"),
            ("uniqe_for", "unique_for"),
            ("time_out", "timeout"),
            ("backof", "backoff"),
            ("prioritiy", "priority"),
            ("tag", "tags"),
        ];
        all_find(ASYNC, &pairs);
        all_find(
            HANDLER,
            &[("prioritiy", "priority"), ("alias", "aliases"), ("nmae", "name"), ("await", "awaited")],
        );
        all_find(POINT, &[("queue", "queued"), ("interuptible", "interruptible"), ("versoin", "version")]);
        all_find(
            WHEN,
            &[("evn", "env"), ("featrue", "feature"), ("notfeature", "not_feature"), ("pred", "predicate")],
        );
        all_find(
            CIRCUIT_BREAKER,
            &[("treshold", "threshold"), ("time_out", "timeout"), ("half_open", "half_open_max")],
        );
    }

    #[test]
    fn a_beginning_finds_its_word_and_a_word_its_beginning() {
        all_find(
            ASYNC,
            &[("que", "queue"), ("retry", "retries"), ("uniq_by", "unique_by"), ("tags_of", "tags")],
        );
        all_find(
            ASYNC,
            &[("queue_name", "queue"), ("unique_for_seconds", "unique_for"), ("delay_seconds", "delay")],
        );
        all_find(HANDLER, &[("on", "on_unavailable")]);
        all_find(&["max", "jitter"], &[("maximum", "max"), ("jit", "jitter")]);
    }

    #[test]
    fn a_synonym_finds_what_is_valid_there() {
        let pairs = [
            ("attempts", "max_attempts"),
            ("max_retries", "max_attempts"),
            ("tries", "max_attempts"),
            ("prio", "priority"),
            ("uniq", "unique"),
            ("ttl", "unique_for"),
        ];
        all_find(ASYNC, &pairs);
        all_find(HANDLER, &[("prio", "priority"), ("constructor", "with")]);
        all_find(POINT, &[("uniq", "unique_by")]);
        all_find(WHEN, &[("environment", "env"), ("flag", "feature"), ("if", "predicate")]);
        all_find(CIRCUIT_BREAKER, &[("failures", "threshold"), ("cooldown", "timeout"), ("disabled", "off")]);
        assert_eq!(nearest("ttl", POINT), None);
    }

    #[test]
    fn a_foreign_word_finds_none_and_lists_all() {
        assert_eq!(nearest("colour", ASYNC), None);
        assert_eq!(nearest("colour", HANDLER), None);
        assert_eq!(nearest("hidden", POINT), None);
        assert_eq!(nearest("mode", HANDLER), None);
        assert_eq!(nearest("x", ASYNC), None);
        assert_eq!(hint("colour", &["a", "b", "c"]), "valid are `a`, `b` and `c`");
    }

    #[test]
    fn the_closer_of_two_wins() {
        assert_eq!(nearest("uniqu", ASYNC), Some("unique"));
        assert_eq!(nearest("unique_fr", ASYNC), Some("unique_for"));
    }
}
