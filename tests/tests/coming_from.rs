//! The page "coming from laravel-extensions" has a row for each name of the model.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// A section of the model's surface, and a name in it.
type Name = (String, String);

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace")
}

/// The model's surface as this repository knows it: a section and a name on each line.
fn known() -> BTreeSet<Name> {
    let text = include_str!("data/model.txt");
    let name =
        |line: &str| line.split_once('\t').map(|(section, name)| (section.to_owned(), name.to_owned()));
    text.lines().map(|line| name(line).expect("a section and a name")).collect()
}

/// The rows of the page, each under its heading, with what stands beside it.
fn rows() -> Vec<(Name, String)> {
    let page = fs::read_to_string(root().join("extensions/src/docs/coming_from.md")).expect("the page");
    let (mut section, mut rows) = (String::new(), Vec::new());
    for line in page.lines() {
        if let Some(heading) = line.strip_prefix("# ") {
            section = heading.to_owned();
        } else if let Some(cells) = line.strip_prefix("| `") {
            let (name, here) = cells.split_once("` | ").expect("two cells");
            rows.push(((section.clone(), name.to_owned()), here.trim_end_matches(" |").to_owned()));
        }
    }
    rows
}

#[test]
fn every_name_of_the_model_has_one_row_that_says_something() {
    let rows = rows();
    let names: BTreeSet<_> = rows.iter().map(|(name, _)| name.clone()).collect();
    let missing: Vec<_> = known().difference(&names).cloned().collect();
    assert!(missing.is_empty(), "without a row: {missing:?}");
    assert_eq!(names.len(), rows.len(), "a name has two rows");
    let empty: Vec<_> = rows.iter().filter(|(_, here)| here.is_empty()).collect();
    assert!(empty.is_empty(), "{empty:?}");
}

#[test]
#[expect(clippy::print_stdout, reason = "a skipped comparison says so")]
fn the_list_of_names_is_the_whole_surface_of_the_model() {
    let Ok(text) = fs::read_to_string(root().join("../shared/spec/model.md")) else {
        println!("the model's surface is not beside this repository; its list here is taken as it is");
        return;
    };
    let surface: BTreeSet<_> = text.lines().filter_map(section).flatten().collect();
    assert!(surface.len() > 200, "the surface is read: {}", surface.len());
    assert_eq!(surface, known());
}

/// The names of a line `- **Section**: …`.
fn section(line: &str) -> Option<Vec<Name>> {
    let (section, body) = line.strip_prefix("- **")?.split_once("**: ")?;
    let names = if section == "Bridges" { words(body) } else { quoted(body) };
    Some(names.into_iter().map(|name| (section.to_owned(), name)).collect())
}

/// The names in back-ticks, each with its parameters in parentheses: `name`(a, b).
fn quoted(body: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (i, part) in body.split('`').enumerate() {
        if i % 2 == 1 {
            let is_suffix = part.starts_with('_');
            names.push(if is_suffix { format!("EXTENSIONS{part}") } else { part.to_owned() });
        } else if let (Some(list), Some(name)) = (part.strip_prefix('('), names.last().cloned()) {
            let list = list.split(')').next().unwrap_or_default();
            names.extend(list.split(", ").map(|parameter| format!("{name}({parameter})")));
        }
    }
    names
}

/// The names of bridges, each with its events: Name (a, b; remark).
fn words(body: &str) -> Vec<String> {
    let body = body.replace('`', "");
    let mut names = Vec::new();
    let mut rest = body.as_str();
    while let Some(start) = rest.find(|c: char| c.is_uppercase()) {
        rest = &rest[start..];
        let end = rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len());
        let name = &rest[..end];
        names.push(name.to_owned());
        rest = &rest[end..];
        if let Some((list, after)) = rest.strip_prefix(" (").and_then(|list| list.split_once(')')) {
            let events = list.split(';').next().unwrap_or_default();
            names.extend(events.split(", ").map(|event| format!("{name}({event})")));
            rest = after;
        }
    }
    names
}
