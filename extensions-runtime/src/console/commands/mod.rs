//! What commands ask of the operator's logic, and how they put the answers.

mod code;
mod failed;
mod jobs;
mod queues;
mod report;
mod store;
#[cfg(unix)]
mod supervise;
mod watch;
mod work;

use super::app::App;
use super::args::{Command, Configured, OfCode, OfStore};
use super::outcome::{Done, Outcome};
use super::screen::Screen;

/// What every command is given.
pub(super) struct Session<'a> {
    pub(super) app: App,
    /// `--queue-url`.
    pub(super) url: Option<String>,
    pub(super) screen: &'a Screen,
    /// The command line's own description, for completions.
    pub(super) grammar: clap::Command,
}

pub(super) async fn run(command: Command, session: Session<'_>) -> Done {
    match command {
        Command::Code(command) => with_code(command, session).await,
        Command::Store(command) => with_store(command, session).await,
    }
}

async fn with_code(command: OfCode, session: Session<'_>) -> Done {
    match command {
        OfCode::List(args) => code::list(&args, session).await,
        OfCode::Inspect { point } => code::inspect(&point, session).await,
        OfCode::Plan(data) | OfCode::Test { data, dry_run: true } => code::plan(&data, session).await,
        OfCode::Test { data, dry_run: false } => code::test(&data, session).await,
        OfCode::Work(args) => work::work(args, session).await,
        #[cfg(unix)]
        OfCode::Supervise => supervise::supervise(session).await,
    }
}

async fn with_store(command: OfStore, session: Session<'_>) -> Done {
    let (url, screen) = (session.url.as_deref(), session.screen);
    match command {
        OfStore::Completions { shell } => completions(shell, session),
        OfStore::Config(Configured::Show) => store::config(&session.app.config(url)?, screen),
        OfStore::Migrate { print } => store::migrate(session.app, url, print, screen).await,
        OfStore::Stats { period } => queues::stats(period, &*session.app.queue(url).await?, screen).await,
        OfStore::Failed(command) => failed::run(command, &*session.app.queue(url).await?, screen).await,
        OfStore::Jobs(command) => jobs::run(command, &*session.app.queue(url).await?, screen).await,
        OfStore::Queue(command) => queues::run(command, &*session.app.queue(url).await?, screen).await,
        OfStore::Workers => queues::workers(&*session.app.queue(url).await?, screen).await,
        OfStore::Doctor => store::doctor(&*session.app.queue(url).await?, screen).await,
    }
}

fn completions(shell: clap_complete::Shell, mut session: Session<'_>) -> Done {
    let name = session.grammar.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut session.grammar, name, &mut script);
    session.screen.raw(&script)?;
    Ok(Outcome::Done)
}
