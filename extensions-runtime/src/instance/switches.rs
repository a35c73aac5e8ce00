//! Switching handlers off and on again: mute, silence, tags and groups.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use super::{Extensions, InstanceId};
use crate::handler::{HandlerInfo, Which};
use crate::point::{ExtensionPoint, PointInfo};
use crate::telemetry::names::event;

/// What is switched off, by the guards that did it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Switches(Vec<(SwitchId, Switch)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SwitchId(u64);

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Switch {
    Mute(Which),
    Tag(String),
    Group(String),
    Silence {
        /// The path of the only point that is silenced.
        point: Option<String>,
        allows_guards: bool,
    },
}

/// That fires do nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Silence {
    /// Whether guards that are not asked count as consent.
    pub(crate) allows_guards: bool,
}

impl Switches {
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn all(&self) -> impl Iterator<Item = &Switch> {
        self.0.iter().map(|(_, switch)| switch)
    }

    pub(crate) fn is_muted(&self, handler: &HandlerInfo) -> bool {
        self.all().any(|switch| matches!(switch, Switch::Mute(which) if which.is(handler)))
    }

    pub(crate) fn is_disabled(&self, handler: &HandlerInfo) -> bool {
        self.all().any(|switch| match switch {
            Switch::Tag(tag) => handler.tags.contains(tag),
            Switch::Group(group) => handler.group.as_ref() == Some(group),
            Switch::Mute(_) | Switch::Silence { .. } => false,
        })
    }

    /// The silence over a point, or over what is no point's. Guards count as consent only if every silence over it says so.
    pub(crate) fn silence(&self, info: Option<&PointInfo>) -> Option<Silence> {
        let over = self.all().filter_map(|switch| match switch {
            Switch::Silence { point, allows_guards }
                if point.as_ref().is_none_or(|point| info.is_some_and(|info| *point == info.path())) =>
            {
                Some(Silence { allows_guards: *allows_guards })
            }
            _ => None,
        });
        over.reduce(|a, b| Silence { allows_guards: a.allows_guards && b.allows_guards })
    }
}

/// What is switched off in an instance.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SwitchedOff {
    /// The muted handlers, as `point/name`.
    pub muted: BTreeSet<String>,
    /// The disabled tags.
    pub tags: BTreeSet<String>,
    /// The disabled groups.
    pub groups: BTreeSet<String>,
    /// Whether every point is silenced.
    pub silenced: bool,
    /// The paths of the points that are silenced one by one.
    pub silenced_points: BTreeSet<String>,
}

/// Keeps something switched off until it is dropped.
#[derive(Debug)]
#[must_use = "what was switched off is on again as soon as its guard is dropped; call `.keep()` to leave it off"]
pub struct SwitchGuard {
    instance: InstanceId,
    id: SwitchId,
}

impl SwitchGuard {
    /// Leaves it switched off without a guard, until it is switched on by name.
    pub fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for SwitchGuard {
    fn drop(&mut self) {
        if let Some(extensions) = self.instance.get() {
            extensions.switch(|switches| switches.0.retain(|(id, _)| *id != self.id));
        }
    }
}

/// Keeps an instance or a point silent until it is dropped.
#[derive(Debug)]
#[must_use = "the silence ends as soon as its guard is dropped; call `.keep()` to leave it"]
pub struct SilenceGuard(SwitchGuard);

impl SilenceGuard {
    /// Guards that are not asked count as consent: for seeding and tests. Where several silences lie over a point, all of them must
    /// say so.
    pub fn allowing_guards(self) -> Self {
        if let Some(extensions) = self.0.instance.get() {
            extensions.switch(|switches| {
                for (id, switch) in &mut switches.0 {
                    if let (true, Switch::Silence { allows_guards, .. }) = (*id == self.0.id, switch) {
                        *allows_guards = true;
                    }
                }
            });
        }
        self
    }

    /// Leaves the silence without a guard, until [`Extensions::resume`].
    pub fn keep(self) {
        self.0.keep();
    }
}

/// # Switching handlers off
///
/// What a guard switched off is on again when the guard is dropped; guards nest: two mutes of one handler need two drops. Jobs that
/// are queued already run all the same. A fire goes by what was switched off when it began.
impl Extensions {
    fn switch<T>(&self, change: impl FnOnce(&mut Switches) -> T) -> T {
        let changed = self.change(|snapshot| Ok::<_, Infallible>(change(&mut snapshot.switches)));
        match changed {
            Ok(value) => value,
        }
    }

    fn switch_off(&self, switch: Switch) -> SwitchGuard {
        let id = SwitchId(NEXT_ID.fetch_add(1, Ordering::Relaxed));
        self.switch(|switches| switches.0.push((id, switch)));
        SwitchGuard { instance: self.id(), id }
    }

    fn switch_on(&self, which: impl Fn(&Switch) -> bool) {
        self.switch(|switches| switches.0.retain(|(_, switch)| !which(switch)));
    }

    /// Mutes the handler of type `H` on all its points: fires pass it over.
    pub fn mute<H: 'static>(&self) -> SwitchGuard {
        self.switch_off(Switch::Mute(Which::of::<H>()))
    }

    /// Mutes all handlers of this name; functions have no type to be named by.
    pub fn mute_named(&self, handler: impl Into<String>) -> SwitchGuard {
        let name = handler.into();
        if !self.registry().handlers().iter().any(|info| info.name == name.as_str()) {
            tracing::warn!(name: event::MUTED_NOBODY, handler = name, "muted a name that no handler has; is it right?");
        }
        self.switch_off(Switch::Mute(Which::Name(name)))
    }

    /// Whether the handler of type `H` is muted.
    #[must_use]
    pub fn is_muted<H: 'static>(&self) -> bool {
        let which = Which::of::<H>();
        self.view()
            .switches()
            .is_some_and(|switches| switches.all().any(|one| *one == Switch::Mute(which.clone())))
    }

    /// Whether this name is muted.
    #[must_use]
    pub fn is_muted_named(&self, handler: &str) -> bool {
        let is_named = |switch: &Switch| matches!(switch, Switch::Mute(Which::Name(name)) if name == handler);
        self.view().switches().is_some_and(|switches| switches.all().any(is_named))
            || self.switched_off().muted.iter().any(|key| key.rsplit('/').next() == Some(handler))
    }

    /// Ends every mute, whatever guards are alive.
    pub fn unmute_all(&self) {
        self.switch_on(|switch| matches!(switch, Switch::Mute(_)));
    }

    /// Disables all handlers with this tag, also those that are registered later. They keep their places.
    pub fn disable_tag(&self, tag: impl Into<String>) -> SwitchGuard {
        self.switch_off(Switch::Tag(tag.into()))
    }

    /// Enables a tag, whatever guards are alive.
    pub fn enable_tag(&self, tag: &str) {
        self.switch_on(|switch| matches!(switch, Switch::Tag(name) if name == tag));
    }

    /// Whether a tag is disabled.
    #[must_use]
    pub fn is_tag_disabled(&self, tag: &str) -> bool {
        self.switched_off().tags.contains(tag)
    }

    /// Disables all handlers of this group, also those that are registered later. They keep their places.
    pub fn disable_group(&self, group: impl Into<String>) -> SwitchGuard {
        self.switch_off(Switch::Group(group.into()))
    }

    /// Enables a group, whatever guards are alive.
    pub fn enable_group(&self, group: &str) {
        self.switch_on(|switch| matches!(switch, Switch::Group(name) if name == group));
    }

    /// Whether a group is disabled.
    #[must_use]
    pub fn is_group_disabled(&self, group: &str) -> bool {
        self.switched_off().groups.contains(group)
    }

    /// Silences the instance: fires run nothing and queue nothing, and say so in their reports. It is never consent: a question to
    /// guards is answered with an error, unless the silence is [`allowing_guards`](SilenceGuard::allowing_guards).
    ///
    /// For one task only: [`silenced`](Self::silenced).
    pub fn silence(&self) -> SilenceGuard {
        SilenceGuard(self.switch_off(Switch::Silence { point: None, allows_guards: false }))
    }

    /// Silences one point; otherwise as [`silence`](Self::silence).
    pub fn silence_point<P: ExtensionPoint>(&self) -> SilenceGuard {
        let point = Some(P::info().path());
        SilenceGuard(self.switch_off(Switch::Silence { point, allows_guards: false }))
    }

    /// Ends every silence of the instance and its points, whatever guards are alive.
    pub fn resume(&self) {
        self.switch_on(|switch| matches!(switch, Switch::Silence { .. }));
    }

    /// Whether the whole instance is silenced.
    #[must_use]
    pub fn is_silenced(&self) -> bool {
        self.switched_off().silenced
    }

    /// All that is switched off.
    #[must_use]
    pub fn switched_off(&self) -> SwitchedOff {
        let view = self.view();
        let mut off = SwitchedOff::default();
        for switch in view.switches().into_iter().flat_map(Switches::all) {
            match switch {
                Switch::Mute(which) => {
                    let muted = view.registry().handlers().iter().filter(|info| which.is(info));
                    off.muted.extend(muted.map(|info| info.key().to_string()));
                }
                Switch::Tag(tag) => drop(off.tags.insert(tag.clone())),
                Switch::Group(group) => drop(off.groups.insert(group.clone())),
                Switch::Silence { point: None, .. } => off.silenced = true,
                Switch::Silence { point: Some(point), .. } => drop(off.silenced_points.insert(point.clone())),
            }
        }
        off
    }
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("silenced")
    }
}
