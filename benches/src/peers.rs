//! The peers' programs: workspaces of their own in `peers`, so that nothing else compiles them.

use std::path::PathBuf;
use std::process::Command;

use extensions::BoxError;

use crate::report::Peers;
use crate::rounds::Figures;
use crate::subject::Subject;

/// Builds the peers.
///
/// # Errors
///
/// If they do not build.
pub fn build() -> Result<(), BoxError> {
    for workspace in WORKSPACES {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--quiet", "--release", "--locked"]).arg("--manifest-path");
        cargo.arg(folder(workspace).join("Cargo.toml"));
        cargo.arg("--target-dir").arg(folder(workspace).join("target"));
        if !cargo.status()?.success() {
            return Err(format!("`{workspace}` does not build; leave the peers out with `--no-peers`").into());
        }
    }
    Ok(())
}

/// Two, as their drivers bind one native library in two versions.
const WORKSPACES: [&str; 2] = ["peers", "peers/more"];

fn folder(workspace: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(workspace)
}

/// The peer's program, if it was built.
fn program(name: &str) -> Option<PathBuf> {
    let programs =
        WORKSPACES.map(|workspace| folder(workspace).join("target/release").join(format!("peer-{name}")));
    programs.into_iter().find(|program| program.is_file())
}

/// A peer on a backend.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its name.
    pub name: &'static str,
    /// The most jobs that it can drain.
    pub most: u64,
    program: PathBuf,
}

impl Peer {
    /// Those that were built, and the names of those that were not.
    #[must_use]
    pub fn all(backend: &str) -> (Vec<Self>, Vec<&'static str>) {
        let names: &[(&str, u64)] = match backend {
            "sqlite" => &[("apalis", u64::MAX)],
            "postgres" => {
                &[("apalis", u64::MAX), ("graphile", u64::MAX), ("underway", 2_000), ("fang", 2_000)]
            }
            "redis" => &[("apalis", u64::MAX), ("oxana", 20_000), ("sidekiq", 20_000)],
            _ => &[],
        };
        let (mut built, mut missing) = (Vec::new(), Vec::new());
        for &(name, most) in names {
            match program(name) {
                Some(program) => built.push(Self { name, most, program }),
                None => missing.push(name),
            }
        }
        (built, missing)
    }

    /// One of its steps.
    #[must_use]
    pub fn subject(&self, step: &str) -> Subject {
        Subject::new(&self.program, &[step])
    }
}

/// Observers of `bevy_ecs`, beside the inline handlers.
#[derive(Debug)]
pub struct Observers {
    subject: Option<Subject>,
    figures: Figures,
    failed: Option<BoxError>,
}

impl Observers {
    /// So many observers that run so often in a round.
    #[must_use]
    pub fn new(observers: u64, runs: u64) -> Self {
        let subject = program("bevy").filter(|_| observers > 0).map(|program| {
            Subject::new(&program, &["inline"]).with("handlers", &observers).with("runs", &runs)
        });
        Self { subject, figures: Figures::default(), failed: None }
    }

    /// Measures once.
    pub fn round(&mut self) {
        match self.subject.as_ref().map(Subject::run) {
            Some(Ok(answer)) => self.figures.add(answer.value.unwrap_or(f64::NAN)),
            Some(Err(error)) => self.failed = Some(error),
            None => {}
        }
    }

    /// What was measured.
    ///
    /// # Errors
    ///
    /// If it failed.
    pub fn medians(self) -> Result<Peers, BoxError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        Ok(if self.figures.is_empty() {
            Peers::new()
        } else {
            [("bevy_ecs".to_owned(), self.figures.median())].into()
        })
    }
}
