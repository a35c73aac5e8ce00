//! One point's handlers while they are collected.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

use super::premises::{Premises, Renames};
use super::table::{AnyTable, Encode, PointState};
use super::wildcard::Wildcard;
use super::{BuildProblem, InlineEntry, PointTable, QueuedEntry};
use crate::handler::{HandlerInfo, HandlerKind, JobOptions};
use crate::point::ExtensionPoint;

pub(super) struct PointBuilder<P: ExtensionPoint> {
    pub(super) name: Arc<str>,
    pub(super) state: Arc<PointState>,
    pub(super) inline: Vec<InlineEntry<P>>,
    pub(super) queued: Vec<QueuedEntry<P>>,
    pub(super) encode: Option<Encode<P>>,
    /// How many of the wildcards were there when the table was made; they are attached, or were taken off.
    wildcards_seen: usize,
}

impl<P: ExtensionPoint> PointBuilder<P> {
    pub(super) fn new(renames: &Renames) -> Self {
        Self {
            name: renames.point(P::info()).into(),
            state: Arc::default(),
            inline: Vec::new(),
            queued: Vec::new(),
            encode: None,
            wildcards_seen: 0,
        }
    }

    /// A builder that begins with the handlers that a table has.
    pub(super) fn onto(table: &PointTable<P>, wildcards_seen: usize) -> Self {
        Self {
            name: Arc::clone(&table.name),
            state: Arc::clone(&table.state),
            inline: table.inline.to_vec(),
            queued: table.queued.to_vec(),
            encode: table.encode,
            wildcards_seen,
        }
    }
}

pub(super) trait AnyBuilder {
    fn as_any_mut(&mut self) -> &mut dyn Any;
    fn finish(
        self: Box<Self>,
        wildcards: &[Wildcard],
        premises: &Premises,
        problems: &mut Vec<BuildProblem>,
    ) -> Arc<dyn AnyTable>;
}

impl<P: ExtensionPoint> AnyBuilder for PointBuilder<P> {
    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn finish(
        mut self: Box<Self>,
        wildcards: &[Wildcard],
        premises: &Premises,
        problems: &mut Vec<BuildProblem>,
    ) -> Arc<dyn AnyTable> {
        let new = wildcards.iter().skip(self.wildcards_seen);
        for wildcard in new.filter(|wildcard| wildcard.matches(&self.name, P::info())) {
            self.inline.push(wildcard.entry::<P>(&self.name, &self.state, premises, problems));
        }
        drop_matched_declarations(&mut self.queued, problems);
        let table = PointTable::new(self.name, self.state, self.encode, self.inline, self.queued);
        check_names(&table.infos(), problems);
        Arc::new(table)
    }
}

/// A declaration whose definition (or equal declaration) is linked too goes; one that says something else is a problem.
fn drop_matched_declarations<P>(queued: &mut Vec<QueuedEntry<P>>, problems: &mut Vec<BuildProblem>) {
    queued.sort_by_key(|entry| (entry.at.info.kind == HandlerKind::Declared, entry.at.info.location));
    let mut kept: Vec<QueuedEntry<P>> = Vec::with_capacity(queued.len());
    for entry in queued.drain(..) {
        let same = kept.iter().find(|other| other.at.info.name == entry.at.info.name);
        match same {
            Some(other) if entry.at.info.kind == HandlerKind::Declared => {
                let differences = differences(&entry.options, &other.options);
                if !differences.is_empty() {
                    problems.push(BuildProblem::DeclarationDiffers {
                        handler: entry.at.info.key().to_string(),
                        declared: entry.at.info.location,
                        defined: other.at.info.location,
                        differences,
                    });
                }
            }
            _ => kept.push(entry),
        }
    }
    *queued = kept;
}

/// How a declaration's options differ from the definition's; callbacks are the definition's own affair.
fn differences(declared: &JobOptions, defined: &JobOptions) -> String {
    let callbacks =
        |options: &JobOptions| JobOptions { on_failure: false, on_retry: false, ..options.clone() };
    let as_map = |options: JobOptions| match serde_json::to_value(options) {
        Ok(serde_json::Value::Object(map)) => map,
        _ => serde_json::Map::new(),
    };
    let (declared, defined) = (as_map(callbacks(declared)), as_map(callbacks(defined)));
    let differing = declared.iter().filter(|(key, value)| defined.get(*key) != Some(value));
    let said: Vec<_> =
        differing.map(|(key, value)| format!("`{key}` {value} against {}", defined[key])).collect();
    said.join(", ")
}

fn check_names(handlers: &[Arc<HandlerInfo>], problems: &mut Vec<BuildProblem>) {
    let mut by_name: HashMap<&str, &Arc<HandlerInfo>> = HashMap::new();
    for info in handlers {
        for name in info.aliases.iter().map(String::as_str).chain([&*info.name]) {
            if let Some(other) = by_name.insert(name, info) {
                problems.push(BuildProblem::DuplicateHandler {
                    point: info.point.to_string(),
                    name: name.to_owned(),
                    first: (other.path.clone(), other.location),
                    second: (info.path.clone(), info.location),
                });
            }
        }
    }
}
