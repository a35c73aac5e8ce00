//! `failed`.

use super::super::args::{Failed, WhichArgs};
use super::super::outcome::{Done, Failure};
use super::super::screen::Screen;
use super::{jobs, report};
use crate::operator::{Act, Bulk, FAILED, Selection, prune_failed, short};
use crate::queue::QueueBackend;

pub(super) async fn run(command: Failed, queue: &dyn QueueBackend, screen: &Screen) -> Done {
    match command {
        Failed::List(args) => {
            let selection = args.selection(FAILED).map_err(Failure::usage)?;
            jobs::list(&selection, args.limit, queue, screen).await
        }
        Failed::Show { id } => jobs::show(id, FAILED, queue, screen).await,
        Failed::Retry(which) => treat(&which, Act::Retry, queue, screen).await,
        Failed::Forget { which, sure } => {
            if !which.dry_run {
                screen.confirm("This deletes the records of failed jobs. Go on?", sure.yes)?;
            }
            treat(&which, Act::Forget, queue, screen).await
        }
        Failed::Flush { sure } => {
            screen.confirm("This deletes the records of all failed jobs. Go on?", sure.yes)?;
            let all = Selection::in_states(FAILED);
            let bulk = Bulk::run(queue, &all, &Act::Forget, queue.now().await?).await;
            report::bulk(bulk, &Act::Forget, screen)
        }
        Failed::Prune { older_than, sure } => {
            let age = short(older_than);
            let question =
                format!("This deletes the records of jobs that failed more than {age} ago. Go on?");
            screen.confirm(&question, sure.yes)?;
            report::pruned(prune_failed(queue, older_than).await?, screen)
        }
    }
}

async fn treat(which: &WhichArgs, act: Act, queue: &dyn QueueBackend, screen: &Screen) -> Done {
    let selection = which.selection(FAILED).map_err(Failure::usage)?;
    let act = if which.dry_run { Act::Look } else { act };
    let bulk = Bulk::run(queue, &selection, &act, queue.now().await?).await;
    report::bulk(bulk, &act, screen)
}
