//! Case `compile`: what the framework takes of a build, and what 500 handlers with attributes take against 500 that are registered by hand.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use extensions::BoxError;

use crate::report::Row;
use crate::rounds::Figures;

const HANDLERS: usize = 500;

/// A program in a folder of its own, with a target folder of its own.
struct Program {
    folder: PathBuf,
    target: PathBuf,
}

impl Program {
    fn new(folder: &Path, name: &str, source: &str) -> Result<Self, BoxError> {
        let program = Self { folder: folder.join(name), target: folder.join("target") };
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        std::fs::create_dir_all(program.folder.join("src"))?;
        std::fs::copy(root.join("Cargo.lock"), program.folder.join("Cargo.lock"))?;
        let manifest = format!(
            "[package]\nname = \"{name}\"\nedition = \"2024\"\n[workspace]\n[dependencies]\nextensions = {{ path = {:?} }}\n\
             serde = {{ version = \"1\", features = [\"derive\"] }}\ntokio = {{ version = \"1\", features = [\"macros\", \"rt-multi-thread\"] }}\n",
            root.canonicalize()?.join("extensions")
        );
        std::fs::write(program.folder.join("Cargo.toml"), manifest)?;
        program.write(source)?;
        Ok(program)
    }

    fn write(&self, source: &str) -> Result<(), BoxError> {
        Ok(std::fs::write(self.folder.join("src/main.rs"), source)?)
    }

    /// Builds it; in how many seconds, and of how many crates.
    fn build(&self, release: bool) -> Result<(f64, usize), BoxError> {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.arg("build").args(release.then_some("--release")).arg("--target-dir").arg(&self.target);
        // Each build of the program is one of the whole of it.
        cargo.current_dir(&self.folder).env("CARGO_TERM_COLOR", "never").env("CARGO_INCREMENTAL", "0");
        let start = Instant::now();
        let output = cargo.output()?;
        let seconds = start.elapsed().as_secs_f64();
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            return Err(format!("{} does not build:\n{said}", self.folder.display()).into());
        }
        Ok((seconds, said.lines().filter(|line| line.trim_start().starts_with("Compiling ")).count()))
    }

    #[allow(clippy::cast_precision_loss)]
    fn mib(&self, release: bool) -> Result<f64, BoxError> {
        let name = self.folder.file_name().ok_or("a name")?;
        let file = self.target.join(if release { "release" } else { "debug" }).join(name);
        Ok(std::fs::metadata(file)?.len() as f64 / f64::from(1 << 20))
    }
}

/// The rows.
///
/// # Errors
///
/// If a program does not build.
pub fn compile(rounds: usize) -> Result<Vec<Row>, BoxError> {
    let folder = tempfile::tempdir()?;
    let program = Program::new(folder.path(), "program", &attributed(1))?;
    let row = |case: &str, figure: f64, unit| Row::new(case, &Figures::of(&[figure]), unit);
    let (seconds, crates) = program.build(false)?;
    let (optimised, _) = program.build(true)?;
    #[allow(clippy::cast_precision_loss)]
    let crates = crates as f64;
    let mut rows = vec![
        row("compile, clean", seconds, "s"),
        row("compile, clean, release", optimised, "s"),
        row("compile, crates", crates, "crates"),
        row("compile, binary, release", program.mib(true)?, "MiB"),
    ];
    let by_attribute = Program::new(folder.path(), "attributed", &attributed(HANDLERS))?;
    let by_hand = Program::new(folder.path(), "by_hand", &registered(HANDLERS))?;
    let mut figures = [Figures::default(), Figures::default()];
    // The first builds the dependencies that the other programs do not share.
    for round in 0..=rounds {
        for ((program, source), figures) in
            [(&by_attribute, attributed(HANDLERS)), (&by_hand, registered(HANDLERS))]
                .into_iter()
                .zip(&mut figures)
        {
            program.write(&format!("{source}// {round}\n"))?;
            let (seconds, _) = program.build(false)?;
            if round > 0 {
                figures.add(seconds);
            }
        }
    }
    let sizes = [by_attribute.mib(false)?, by_hand.mib(false)?].map(|mib| Figures::of(&[mib]));
    rows.push(Row::new("compile, 500 attributed", &figures[0], "s").limit(&figures[1]));
    rows.push(Row::new("compile, 500, binary", &sizes[0], "MiB").limit(&sizes[1]));
    Ok(rows)
}

const HEAD: &str = "\
use extensions::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct OrderPlaced { order_id: u64 }
";

fn attributed(handlers: usize) -> String {
    let mut source = HEAD.to_owned();
    for n in 0..handlers {
        let _ = write!(
            source,
            "#[extension_handler(OrderPlaced)]\nstruct Handler{n};\n\
             impl Handler<OrderPlaced> for Handler{n} {{\n    fn handle(&self, point: &mut OrderPlaced, _: &Context) -> HandlerResult {{\n        \
             point.order_id += {n};\n        Ok(())\n    }}\n}}\n"
        );
    }
    source.push_str(
        "#[tokio::main]\nasync fn main() -> Result<(), BoxError> {\n    let extensions = Extensions::builder().discover().build().await?;\n    \
         extensions.fire(OrderPlaced { order_id: 1 }).await?;\n    Ok(())\n}\n",
    );
    source
}

fn registered(handlers: usize) -> String {
    let mut source = HEAD.to_owned();
    let mut calls = String::new();
    for n in 0..handlers {
        let _ = write!(
            source,
            "struct Handler{n};\n\
             impl Handler<OrderPlaced> for Handler{n} {{\n    fn handle(&self, point: &mut OrderPlaced, _: &Context) -> HandlerResult {{\n        \
             point.order_id += {n};\n        Ok(())\n    }}\n}}\n"
        );
        let _ = writeln!(
            calls,
            "    builder = builder.register::<OrderPlaced, _>(Handler{n}, HandlerOptions::new().name(\"handler-{n}\"));"
        );
    }
    let _ = write!(
        source,
        "#[tokio::main]\nasync fn main() -> Result<(), BoxError> {{\n    let mut builder = Extensions::builder();\n{calls}    \
         let extensions = builder.build().await?;\n    extensions.fire(OrderPlaced {{ order_id: 1 }}).await?;\n    Ok(())\n}}\n"
    );
    source
}
