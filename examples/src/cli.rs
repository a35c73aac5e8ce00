//! What goes in and out on the command line.

use std::fmt::Display;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use extensions::BoxError;
use lexopt::ValueExt;
use serde::Serialize;

/// Ends a program: reports the error, if there is one, on standard error, with the causes that it does not name itself. The exit code is 2 for arguments that can't be, 1
/// for any other error.
#[must_use]
pub fn finish(result: Result<(), BoxError>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    let mut said = error.to_string();
    eprintln!("error: {said}");
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !said.contains(&text) {
            eprintln!("  because: {text}");
            said = text;
        }
        source = cause.source();
    }
    if error.is::<lexopt::Error>() {
        eprintln!("see --help");
        return ExitCode::from(2);
    }
    ExitCode::FAILURE
}

/// Prints what a program did on standard output: as one JSON object, or for people.
///
/// # Errors
///
/// If standard output is closed.
pub fn print<S: Serialize + Display>(summary: &S, json: bool) -> Result<(), BoxError> {
    let text = if json { serde_json::to_string(summary)? } else { summary.to_string() };
    writeln!(std::io::stdout(), "{text}")?;
    Ok(())
}

/// The value of an option; an error names the option.
///
/// # Errors
///
/// If there is no value, or it can't be.
pub fn value<T, E: Into<BoxError>>(
    parser: &mut lexopt::Parser,
    option: &str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, lexopt::Error> {
    let text = parser.value()?.string()?;
    parse(&text).map_err(|error| format!("{option} {text}: {}", error.into()).into())
}

/// Answers `--help`: prints the usage, and leaves nothing to do.
///
/// # Errors
///
/// If standard output is closed.
pub fn help<T>(usage: &str) -> Result<Option<T>, BoxError> {
    writeln!(std::io::stdout(), "{usage}")?;
    Ok(None)
}

/// The URL of a queue in the SQLite file at `path`.
#[must_use]
pub fn sqlite_url(path: &Path) -> String {
    let path = path.to_string_lossy().replace('%', "%25").replace('?', "%3F");
    format!("sqlite://{path}")
}
