//! The one place that writes: for people or as JSON, with colour only on a terminal.

mod table;
mod text;

use std::io::{self, BufRead, IsTerminal, Write};

use serde::Serialize;

pub(super) use self::table::{Column, Table};
pub(super) use self::text::{Line, Style};
use self::text::{harmless, harmless_json};
use super::outcome::{Failure, Outcome};

/// Where answers go. Standard output has the answer alone; what is said beside it goes to standard error.
#[derive(Debug)]
pub(super) struct Screen {
    json: bool,
    color: bool,
    /// The columns of the terminal; none where the answer goes elsewhere, which has room for everything.
    width: Option<usize>,
    terminal: bool,
}

impl Screen {
    /// That of this process.
    pub(super) fn of_process(json: bool) -> Self {
        let terminal = io::stdout().is_terminal();
        let unset = |name: &str| std::env::var_os(name).is_none_or(|value| value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let width = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
        Self {
            json,
            color: terminal && unset("NO_COLOR") && !dumb,
            width: width.filter(|width| terminal && *width > 0),
            terminal,
        }
    }

    /// Whether a program reads.
    pub(super) const fn is_json(&self) -> bool {
        self.json
    }

    /// Whether what was written can be written over.
    pub(super) const fn is_live(&self) -> bool {
        self.terminal && !self.json
    }

    fn write(text: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        Ok(out.flush()?)
    }

    /// One JSON document, on one line.
    pub(super) fn json(&self, document: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(document)
            .map_err(|error| Failure::new(Outcome::Failed, format!("the answer is no JSON: {error}")))?;
        Self::write(&format!("{}\n", harmless_json(&text)))
    }

    /// A line for people.
    pub(super) fn line(&self, line: impl Into<Line>) -> Result<(), Failure> {
        let mut out = String::new();
        line.into().write(self.color, &mut out);
        out.push('\n');
        Self::write(&out)
    }

    /// Lines for people, as the text has them, each after as many spaces.
    pub(super) fn block(&self, indent: usize, text: &str) -> Result<(), Failure> {
        let indent = " ".repeat(indent);
        text.lines().try_for_each(|line| self.line(format!("{indent}{line}")))
    }

    /// Names and values for people.
    pub(super) fn fields(
        &self,
        fields: impl IntoIterator<Item = (&'static str, Line)>,
    ) -> Result<(), Failure> {
        let fields: Vec<_> = fields.into_iter().collect();
        let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        fields.into_iter().try_for_each(|(name, value)| {
            let mut line = String::from("  ");
            Line::styled(Style::Dim, format!("{name:<width$}")).write(self.color, &mut line);
            line.push_str("  ");
            value.write(self.color, &mut line);
            Self::write(&format!("{line}\n"))
        })
    }

    /// A table for people.
    pub(super) fn table(&self, table: Table) -> Result<(), Failure> {
        Self::write(&table.render(self.color, self.width))
    }

    /// A table in the place of everything that is on the terminal, under a line.
    pub(super) fn redraw(&self, head: &Line, table: Table) -> Result<(), Failure> {
        let mut out = String::from("\x1b[H\x1b[2J");
        head.write(self.color, &mut out);
        out.push_str("\n\n");
        out.push_str(&table.render(self.color, self.width));
        Self::write(&out)
    }

    /// Text as it is: a script for a shell, statements for a database.
    pub(super) fn raw(&self, text: &[u8]) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        out.write_all(text)?;
        Ok(out.flush()?)
    }

    /// Something to know beside the answer. Whether anybody reads it changes nothing.
    pub(super) fn note(&self, text: &str) {
        let _ = writeln!(io::stderr(), "{}", harmless(text));
    }

    /// Why there is no answer.
    pub(super) fn failure(&self, failure: &Failure) {
        let Some(message) = &failure.message else { return };
        if self.json {
            let error = serde_json::json!({ "error": message, "exit_code": failure.outcome.code() });
            let _ = writeln!(io::stderr(), "{}", harmless_json(&error.to_string()));
        } else {
            for (at, line) in message.lines().enumerate() {
                let _ = writeln!(io::stderr(), "{}{}", if at == 0 { "error: " } else { "" }, harmless(line));
            }
        }
    }

    /// Whether somebody at a terminal says yes.
    ///
    /// # Errors
    ///
    /// Where nobody can be asked, or the answer is another one.
    pub(super) fn confirm(&self, question: &str, yes: bool) -> Result<(), Failure> {
        if yes {
            return Ok(());
        }
        let refused = |message: &str| Failure::new(Outcome::Unconfirmed, message);
        if self.json || !io::stdin().is_terminal() {
            return Err(refused(&format!("{question} Nobody can be asked here; add `--yes`")));
        }
        let _ = write!(io::stderr(), "{} [y/N] ", harmless(question));
        let _ = io::stderr().flush();
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        match answer.trim().to_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(refused("not confirmed; nothing was done")),
        }
    }
}
