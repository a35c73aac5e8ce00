//! The nearest valid word for a misspelt one.

/// The candidate closest to `word`, if it is close enough to be what was meant.
pub(crate) fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let word = word.to_lowercase();
    candidates
        .iter()
        .map(|candidate| (distance(&word, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= tolerance(&word, candidate))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
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
    (word.len().max(candidate.len()) / 3).max(1)
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

    const KEYS: &[&str] = &["queue", "delay", "retries", "retry_until", "unique", "unique_for"];

    #[test]
    fn a_typing_error_finds_its_word() {
        assert_eq!(nearest("queu", KEYS), Some("queue"));
        assert_eq!(nearest("qeuue", KEYS), Some("queue"));
        assert_eq!(nearest("Retries", KEYS), Some("retries"));
        assert_eq!(nearest("uniqe_for", KEYS), Some("unique_for"));
    }

    #[test]
    fn a_foreign_word_finds_none_and_lists_all() {
        assert_eq!(nearest("colour", KEYS), None);
        assert_eq!(hint("colour", &["a", "b", "c"]), "valid are `a`, `b` and `c`");
    }

    #[test]
    fn the_closer_of_two_wins() {
        assert_eq!(nearest("uniqu", KEYS), Some("unique"));
    }
}
