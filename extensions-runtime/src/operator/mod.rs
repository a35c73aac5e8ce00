//! What an operator asks of a registry and a queue, as data: nothing here reads arguments or prints.
//!
//! The console puts it into words. Everything goes through [`Registry`](crate::registry::Registry) and
//! [`QueueAdmin`](crate::queue::QueueAdmin), so that it is the same on every backend.

mod bulk;
mod doctor;
mod duration;
mod handlers;
mod history;
mod jobs;
mod queues;
mod selection;

pub(crate) use self::bulk::{Act, Bulk};
pub(crate) use self::doctor::examine;
pub(crate) use self::duration::{parse_duration, parse_size, short};
pub(crate) use self::handlers::{HandlerFilter, HandlerView, PointView, find_point, listing};
pub(crate) use self::history::{Period, period};
pub(crate) use self::jobs::{JobLine, JobView, PayloadView};
pub(crate) use self::queues::{QueueView, WorkerView, clear, prune_failed};
pub(crate) use self::selection::{FAILED, Pages, Selection, WAITING};
