//! `migrate`, `doctor`, `config`.

use serde_json::json;

use super::super::app::App;
use super::super::outcome::{Done, Failure, Outcome};
use super::super::screen::{Column, Line, Screen, Style, Table};
use crate::config::Config;
use crate::operator::examine;
use crate::queue::{self, QueueBackend, Severity};

pub(super) async fn migrate(app: App, url: Option<&str>, print: bool, screen: &Screen) -> Done {
    let url = app.queue_url(url)?;
    if print {
        return show_steps(&url, screen).await;
    }
    let done = queue::migrate(&url).await?;
    if screen.is_json() {
        screen.json(&done)?;
        return Ok(Outcome::Done);
    }
    let (store, from, to) = (&done.store, done.from, done.to);
    screen.line(match (done.is_new(), done.is_changed()) {
        (true, _) => format!("made {store}, with schema version {to}"),
        (_, true) => format!("brought {store} from schema version {from} to {to}"),
        _ => format!("{store} is up to date, with schema version {to}"),
    })?;
    Ok(Outcome::Done)
}

async fn show_steps(url: &str, screen: &Screen) -> Done {
    let steps = queue::migrations(url).await?;
    if screen.is_json() {
        screen.json(&json!({ "migrations": steps }))?;
        return Ok(Outcome::Done);
    }
    for step in steps {
        screen.raw(step.text.trim_end().as_bytes())?;
        screen.raw(b"\n")?;
    }
    Ok(Outcome::Done)
}

pub(super) async fn doctor(queue: &dyn QueueBackend, screen: &Screen) -> Done {
    let findings = examine(queue).await?;
    let has_problem = findings.iter().any(|finding| finding.severity == Severity::Problem);
    if screen.is_json() {
        screen.json(&json!({ "store": queue.describe(), "findings": findings }))?;
    } else {
        for finding in &findings {
            let style = match finding.severity {
                Severity::Problem => Style::Bad,
                Severity::Warning => Style::Warning,
                Severity::Note => Style::Dim,
            };
            let line = Line::styled(style, format!("{:<8}", finding.severity.to_string()));
            screen.line(line.and(Style::Plain, format!(" {}", finding.what)))?;
            screen.line(format!("         {}", finding.advice))?;
        }
        if findings.is_empty() {
            screen.line(
                Line::styled(Style::Good, "nothing is wrong")
                    .and(Style::Plain, format!(" with {}", queue.describe())),
            )?;
        }
    }
    Ok(if has_problem { Outcome::Failed } else { Outcome::Done })
}

pub(super) fn config(config: &Config, screen: &Screen) -> Result<Outcome, Failure> {
    let entries = config.entries();
    if screen.is_json() {
        let entries: Vec<_> = entries
            .iter()
            .map(|entry| {
                json!({
                    "key": entry.key,
                    "value": entry.value,
                    "origin": entry.origin.to_string(),
                    "variable": entry.variable,
                    "about": entry.about,
                })
            })
            .collect();
        screen.json(&json!({ "file": config.file(), "entries": entries }))?;
        return Ok(Outcome::Done);
    }
    let mut table = Table::new([Column::text("KEY"), Column::long("VALUE"), Column::long("FROM")]);
    for entry in &entries {
        let origin = entry.origin.to_string();
        let style = if origin == "default" { Style::Dim } else { Style::Plain };
        table.row([
            entry.key.as_str().into(),
            entry.value.as_deref().map_or_else(|| Line::styled(Style::Dim, "-"), Line::from),
            Line::styled(style, origin),
        ]);
    }
    screen.table(table)?;
    if config.file().is_none() {
        screen.note("no extensions.toml was found, and EXTENSIONS_CONFIG names none");
    }
    Ok(Outcome::Done)
}
