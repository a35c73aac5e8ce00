//! What commands say, made comparable.

use std::process::Output;

/// All that a command said; `!` begins what it said beside its answer.
///
/// # Panics
///
/// If it is no UTF-8.
#[must_use]
pub fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let beside = text(&output.stderr);
    let beside = beside.lines().map(|line| format!("! {line}\n")).collect::<String>();
    format!("{}{beside}", text(&output.stdout))
}

/// One space between words, no empty lines, and `<id>`, `<time>` and `<age>` for what differs from run to run.
#[must_use]
pub fn squeezed(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        let placed = words.iter().enumerate().map(|(at, word)| {
            let before = at.checked_sub(1).map(|at| words[at]);
            placed(word, before, words.get(at + 1).copied())
        });
        placed.collect::<Vec<_>>().join(" ")
    });
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

fn placed(word: &str, before: Option<&str>, after: Option<&str>) -> String {
    let bare = word.trim_matches(['(', ')', ',', ';', ':', '`']);
    let dashes = |text: &str| text.matches('-').count();
    if bare.len() == 36 && dashes(bare) == 4 && bare.chars().all(|c| c.is_ascii_hexdigit() || c == '-') {
        return word.replace(bare, "<id>");
    }
    if bare.len() == 24 && bare.ends_with('Z') && dashes(bare) == 2 {
        return word.replace(bare, "<time>");
    }
    // An age beside another is a cell of a table of times.
    let behind = after.is_some_and(|word| word == "ago" || is_age(word));
    let ahead = before.is_some_and(|word| ["for", "in", "after", "oldest"].contains(&word) || is_age(word));
    if is_age(bare) && (behind || ahead) {
        return word.replace(bare, "<age>");
    }
    word.to_owned()
}

fn is_age(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit()) && word.ends_with(['s', 'm', 'h'])
}
