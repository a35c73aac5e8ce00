//! The scripts, each put together from its parts.

use std::sync::LazyLock;

use super::LAYOUT;
use crate::backend::rules;
use crate::job::{KEPT_ERRORS, LOSSES_TO_QUARANTINE};
use crate::queue::Migration;

/// How many of a process's last settling calls the server remembers the answers of.
pub(super) const REMEMBERED: u64 = 256;

/// How many milliseconds after the last list the index of ids is still kept.
const LISTED_FOR: u64 = 600_000;

pub(in crate::backend::redis) struct Script {
    pub(in crate::backend::redis) text: String,
    pub(super) hash: String,
}

const WAKE: &str = include_str!("../scripts/wake.lua");
const HEAD: &str = include_str!("../scripts/head.lua");
const LOCK: &str = include_str!("../scripts/lock.lua");
const JOB: &str = include_str!("../scripts/job.lua");
const STORE: &str = include_str!("../scripts/store.lua");

// What comes first in a script for the usual case: the server makes all functions of a script anew at each call, which takes longer than
// the usual case does.
const PLAIN_PUSH: &str = include_str!("../scripts/plain_push.lua");
const PLAIN_CLAIM: &str = include_str!("../scripts/plain_claim.lua");
const PLAIN_SETTLE: &str = include_str!("../scripts/plain_settle.lua");

fn script(flags: &str, parts: &[&str]) -> Script {
    let flags = if flags.is_empty() { String::new() } else { format!(" flags={flags}") };
    let text = format!(
        "#!lua{flags}\nlocal KEPT_ERRORS, LOSSES_TO_QUARANTINE, CALLBACK_LOSSES, SLOTS, LISTED_FOR = {KEPT_ERRORS}, {LOSSES_TO_QUARANTINE}, {}, {REMEMBERED}, {LISTED_FOR}\n{WAKE}{}",
        rules::CALLBACK_LOSSES,
        parts.join("\n"),
    );
    let hash = redis::Script::new(&text).get_hash().to_owned();
    Script { text, hash }
}

/// What there is to read of the layout: all scripts. Nothing has to be run by hand.
pub(in crate::backend::redis) fn migrations() -> Vec<Migration> {
    let texts = all().into_iter().map(|(name, script)| format!("-- {name}\n{}", script.text));
    vec![Migration { version: LAYOUT.unsigned_abs() as u32, text: texts.collect::<Vec<_>>().join("\n") }]
}

macro_rules! scripts {
    ($($name:ident $flags:literal [$($part:expr),*];)*) => {
        $(pub(in crate::backend::redis) static $name: LazyLock<Script> = LazyLock::new(|| script($flags, &[$($part),*]));)*

        /// All of them, in the order in which an operator would read them.
        fn all() -> Vec<(&'static str, &'static Script)> {
            vec![$((stringify!($name), &*$name)),*]
        }
    };
}

// Only a push is refused when the server's memory is used up: everything else is needed to get out of that.
scripts! {
    OPEN "allow-oom" [HEAD, include_str!("../scripts/open.lua")];
    PUSH "" [PLAIN_PUSH, HEAD, LOCK, STORE, include_str!("../scripts/push.lua")];
    HAND_OVER "" [include_str!("../scripts/hand_over.lua"), PLAIN_PUSH, HEAD, LOCK, STORE, include_str!("../scripts/push.lua")];
    RESERVE "allow-oom" [PLAIN_CLAIM, HEAD, LOCK, JOB, include_str!("../scripts/reserve.lua")];
    SETTLE "allow-oom" [PLAIN_SETTLE, HEAD, LOCK, JOB, STORE, include_str!("../scripts/settle.lua")];
    EXTEND "allow-oom" [HEAD, LOCK, JOB, include_str!("../scripts/extend.lua")];
    UPKEEP "allow-oom" [HEAD, LOCK, JOB, include_str!("../scripts/upkeep.lua")];
    PRUNE "allow-oom" [HEAD, LOCK, JOB, include_str!("../scripts/prune.lua")];
    BEAT "allow-oom" [HEAD, include_str!("../scripts/beat.lua")];
    HISTORY "no-writes" [HEAD, include_str!("../scripts/history.lua")];
    ORPHANS "no-writes" [HEAD, include_str!("../scripts/orphans.lua")];
    LEAVE "allow-oom" [HEAD, LOCK, JOB, include_str!("../scripts/leave.lua")];
    OPERATE "allow-oom" [HEAD, LOCK, JOB, include_str!("../scripts/operate.lua")];
    PAUSE "allow-oom" [HEAD, include_str!("../scripts/pause.lua")];
    MARK "allow-oom" [HEAD, include_str!("../scripts/mark.lua")];
    GET "no-writes" [HEAD, include_str!("../scripts/get.lua")];
    LIST "allow-oom" [HEAD, include_str!("../scripts/list.lua")];
    VIEW "no-writes" [HEAD, include_str!("../scripts/view.lua")];
}
