//! The console: an application's own binary, or `extensions`, as its operator's tool.
//!
//! ```no_run
//! # async fn example() -> std::process::ExitCode {
//! # use extensions_runtime::{Extensions, console};
//! console::run(Extensions::builder().discover()).await
//! # }
//! ```
//!
//! Arguments are read in `args`, answers written in `screen`, each end has its number in `outcome`. What commands do is in
//! `operator`, which knows neither; `commands` put one to the other.

mod app;
mod args;
mod commands;
mod outcome;
mod screen;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

pub use self::app::App;
use self::args::{Cli, Command, Global, StoreCli};
use self::outcome::Outcome;
use self::screen::Screen;

/// The name of a program that does not know its own.
const NAMELESS: &str = "extensions";

/// Does what the process's arguments say, and answers with the exit code: the whole of `main`.
///
/// The page `console` of the guide has the commands, the exit codes, and what `--json` answers with. To be awaited in Tokio.
pub async fn run(app: impl Into<App>) -> ExitCode {
    run_from(app, std::env::args_os()).await
}

/// As [`run`], with these arguments; the first is the program's name. For programs with arguments of their own.
pub async fn run_from<A>(app: impl Into<App>, arguments: impl IntoIterator<Item = A>) -> ExitCode
where
    A: Into<OsString> + Clone,
{
    let app = app.into();
    let arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
    let name = arguments.first().and_then(|path| Path::new(path).file_name()?.to_str());
    let name = name.unwrap_or(NAMELESS).to_owned();
    let read =
        if app.has_code() { read::<Cli>(&name, arguments) } else { read::<StoreCli>(&name, arguments) };
    let (global, command, grammar) = match read {
        Ok(read) => read,
        Err(error) => {
            // Help is an answer, everything else a mistake. Nobody can be told that it cannot be printed.
            let _ = error.print();
            return if error.use_stderr() { Outcome::Usage } else { Outcome::Done }.into();
        }
    };
    let screen = Screen::of_process(global.json);
    let session = commands::Session { app, url: global.queue_url, screen: &screen, grammar };
    let outcome = commands::run(command, session).await.unwrap_or_else(|failure| {
        screen.failure(&failure);
        failure.outcome
    });
    outcome.into()
}

trait Grammar: CommandFactory + FromArgMatches {
    fn parts(self) -> (Global, Command);
}

impl Grammar for Cli {
    fn parts(self) -> (Global, Command) {
        (self.global, self.command)
    }
}

impl Grammar for StoreCli {
    fn parts(self) -> (Global, Command) {
        (self.global, Command::Store(self.command))
    }
}

fn read<G: Grammar>(
    name: &str,
    arguments: Vec<OsString>,
) -> Result<(Global, Command, clap::Command), clap::Error> {
    let grammar = G::command().name(name.to_owned()).bin_name(name.to_owned());
    let matches = grammar.clone().try_get_matches_from(arguments)?;
    let (global, command) = G::from_arg_matches(&matches)?.parts();
    Ok((global, command, grammar))
}
