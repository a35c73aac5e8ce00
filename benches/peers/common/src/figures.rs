//! What is answered: one line of JSON, or why there is none.

use std::fmt;
use std::future::Future;
use std::process::ExitCode;

use crate::{BoxError, Command};

/// The figures of one run.
#[derive(Debug, Clone, Copy)]
pub enum Figures {
    /// Jobs per second, or nanoseconds per fire.
    Value(f64),
    /// A drained backlog.
    Drained {
        /// Jobs per second.
        rate: f64,
        /// The most memory that the process had, in MiB.
        peak: f64,
    },
    /// How long jobs waited for their handlers, in milliseconds.
    Waits {
        /// The median.
        p50: f64,
        /// What one in a hundred waits longer than.
        p99: f64,
        /// How many handlers did not begin at all.
        lost: usize,
    },
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) => write!(f, r#"{{"value": {value:.1}}}"#),
            Self::Drained { rate, peak } => write!(f, r#"{{"value": {rate:.1}, "peak_mib": {peak:.1}}}"#),
            Self::Waits { p50, p99, lost } => {
                write!(f, r#"{{"p50": {p50:.3}, "p99": {p99:.3}, "lost": {lost}}}"#)
            }
        }
    }
}

/// Prints what came out: figures on the standard output, an error on the other one.
#[must_use]
#[allow(clippy::print_stdout)]
pub fn answer(figures: Result<Figures, BoxError>) -> ExitCode {
    match figures {
        Ok(figures) => {
            println!("{figures}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Reads the arguments and answers with what `measure` finds: the whole `main` of a program with a store.
#[must_use]
pub fn answer_with<M, F>(measure: M) -> ExitCode
where
    M: FnOnce(Command) -> F,
    F: Future<Output = Result<Figures, BoxError>> + Send + 'static,
{
    let figures = Command::from_args().and_then(|command| {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        // As a task of its own, not in `block_on`, whose thread would have to be woken for every answer.
        let figures = runtime.block_on(runtime.spawn(measure(command)));
        runtime.shutdown_background();
        figures?
    });
    answer(figures)
}
