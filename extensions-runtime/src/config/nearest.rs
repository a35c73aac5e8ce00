//! The nearest valid word for a misspelt one.

/// What to say after an unknown word: the nearest of the candidates, else all of them.
pub(super) fn hint(word: &str, candidates: &[&str]) -> String {
    match nearest(word, candidates) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None => format!("valid are {}", list(candidates)),
    }
}

/// The candidate that is closest by typing errors, else one that begins or ends with the word, or with which the word begins or
/// ends.
pub(crate) fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let word = word.to_lowercase();
    let tolerated = |candidate: &str| ((word.len().max(candidate.len()) + 1) / 3).max(1);
    let distances =
        candidates.iter().map(|candidate| (distance(&word, &candidate.to_lowercase()), *candidate));
    let closest = distances
        .filter(|(distance, candidate)| *distance <= tolerated(candidate))
        .min_by_key(|(distance, _)| *distance);
    let is_part =
        |part: &str, whole: &str| part.len() > 1 && (whole.starts_with(part) || whole.ends_with(part));
    let cut = |candidate: &&&str| is_part(&word, candidate) || is_part(candidate, &word);
    closest.map(|(_, candidate)| candidate).or_else(|| candidates.iter().find(cut).copied())
}

/// `` `a`, `b` and `c` ``
pub(super) fn list(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        Some((last, _)) => last.clone(),
        None => "none".to_owned(),
    }
}

/// The number of letters to put in, take out or replace.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::{hint, nearest};

    const WORDS: &[&str] = &["queue_url", "environment", "graceful", "strict", "async", "circuit_breaker"];

    #[test]
    fn a_typing_error_a_beginning_or_an_end_finds_its_word() {
        for (word, meant) in [
            ("queu_url", "queue_url"),
            ("Strict", "strict"),
            ("gracefull", "graceful"),
            ("env", "environment"),
            ("asynch", "async"),
            ("breaker", "circuit_breaker"),
            ("circuit_breakers", "circuit_breaker"),
        ] {
            assert_eq!(nearest(word, WORDS), Some(meant), "{word}");
        }
    }

    #[test]
    fn a_foreign_word_finds_none_and_lists_all() {
        assert_eq!(nearest("colour", WORDS), None);
        assert_eq!(hint("colour", &["a", "b", "c"]), "valid are `a`, `b` and `c`");
        assert_eq!(hint("b_", &["a", "b"]), "did you mean `b`?");
    }
}
