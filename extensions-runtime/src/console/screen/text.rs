//! Text that a terminal may be given: whatever a payload or an error holds, nothing in it moves the cursor or changes colours.

use std::borrow::Cow;
use std::fmt::Write as _;

/// How a piece of text looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Style {
    #[default]
    Plain,
    Bold,
    Dim,
    Good,
    Warning,
    Bad,
}

impl Style {
    const fn code(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Bold => Some("1"),
            Self::Dim => Some("2"),
            Self::Good => Some("32"),
            Self::Warning => Some("33"),
            Self::Bad => Some("31"),
        }
    }
}

/// One line, in pieces of different looks. What is put in is made harmless.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Line(Vec<(Style, String)>);

impl Line {
    pub(crate) fn styled(style: Style, text: impl AsRef<str>) -> Self {
        Self::default().and(style, text)
    }

    /// The line with one more piece at its end.
    pub(crate) fn and(mut self, style: Style, text: impl AsRef<str>) -> Self {
        self.0.push((style, harmless(text.as_ref()).into_owned()));
        self
    }

    /// How many columns it takes.
    pub(super) fn width(&self) -> usize {
        self.0.iter().map(|(_, text)| unicode_width::UnicodeWidthStr::width(text.as_str())).sum()
    }

    /// The line cut to so many columns; `…` stands for what is missing.
    pub(super) fn cut(self, width: usize) -> Self {
        if self.width() <= width {
            return self;
        }
        let mut left = width.saturating_sub(1);
        let mut pieces = Vec::new();
        for (style, text) in self.0 {
            let mut kept = String::new();
            let mut full = false;
            for c in text.chars() {
                let columns = unicode_width::UnicodeWidthChar::width(c).unwrap_or(0);
                full = columns > left;
                if full {
                    break;
                }
                left -= columns;
                kept.push(c);
            }
            if full {
                kept.push('…');
                pieces.push((style, kept));
                break;
            }
            pieces.push((style, kept));
        }
        Self(pieces)
    }

    pub(super) fn write(&self, color: bool, out: &mut String) {
        for (style, text) in &self.0 {
            match style.code().filter(|_| color && !text.is_empty()) {
                Some(code) => {
                    let _ = write!(out, "\x1b[{code}m{text}\x1b[0m");
                }
                None => out.push_str(text),
            }
        }
    }
}

impl From<&str> for Line {
    fn from(text: &str) -> Self {
        Self::styled(Style::Plain, text)
    }
}

impl From<String> for Line {
    fn from(text: String) -> Self {
        Self::styled(Style::Plain, text)
    }
}

/// Whether a terminal would do something else with a character than show it.
fn is_harmful(c: char) -> bool {
    let turns_text_around =
        matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns_text_around || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}')
}

/// A text in which every character is shown and none is obeyed: `\n`, `\u{1b}`.
pub(super) fn harmless(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            c if is_harmful(c) => safe.extend(c.escape_default()),
            c => safe.push(c),
        }
    }
    Cow::Owned(safe)
}

/// JSON with the same meaning that a terminal only shows. Outside its strings JSON has nothing harmful but white space.
pub(super) fn harmless_json(json: &str) -> Cow<'_, str> {
    let is_harmful = |c: char| c != '\n' && is_harmful(c);
    if !json.chars().any(is_harmful) {
        return Cow::Borrowed(json);
    }
    let mut safe = String::with_capacity(json.len() + 8);
    for c in json.chars() {
        if is_harmful(c) {
            let _ = write!(safe, "\\u{:04x}", u32::from(c));
        } else {
            safe.push(c);
        }
    }
    Cow::Owned(safe)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &Line, color: bool) -> String {
        let mut out = String::new();
        line.write(color, &mut out);
        out
    }

    #[test]
    fn nothing_that_was_put_in_reaches_the_terminal_as_a_command() {
        let evil = "a\x1b[2Jb\u{9b}31mc\r\n\td\x07\u{202e}e\u{2028}";
        let text = shown(&Line::from(evil), true);
        assert_eq!(text, r"a\u{1b}[2Jb\u{9b}31mc\r\n\td\u{7}\u{202e}e\u{2028}");
        let json = serde_json::to_string(evil).unwrap();
        let safe = harmless_json(&json);
        assert!(!safe.chars().any(is_harmful), "{safe}");
        assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), evil);
    }

    #[test]
    fn colour_is_only_there_where_it_is_wanted() {
        let line = Line::styled(Style::Bad, "dead").and(Style::Plain, " twice");
        assert_eq!(shown(&line, true), "\x1b[31mdead\x1b[0m twice");
        assert_eq!(shown(&line, false), "dead twice");
    }

    #[test]
    fn a_line_is_cut_by_columns_not_by_bytes() {
        let cut = |text: &str, width| shown(&Line::from(text).cut(width), false);
        assert_eq!(cut("grün und rot", 5), "grün…");
        assert_eq!(cut("日本語", 5), "日本…");
        assert_eq!(cut("日本語", 4), "日…");
        assert_eq!(cut("short", 5), "short");
    }
}
