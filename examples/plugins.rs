//! Handlers that come in by linking alone.
//!
//! ```text
//! cargo run --release --example plugins
//! ```
//!
//! The crate `plugin` has handlers for a point of the crate `plugin-api`. This program names nothing of `plugin`; it only sees to it
//! that `plugin` is linked, which takes two things:
//!
//! 1. a dependency in Cargo.toml, which makes Cargo build it, and
//! 2. `use plugin as _;` (or `extern crate plugin;`), which makes rustc link it: a dependency that no line of code mentions is left out
//!    of the program.
//!
//! A Rust program keeps what it links, whatever `lto` or `strip` say. A linker that is not driven by rustc may drop a crate that nothing
//! refers to: where Rust code is built as a `staticlib` and linked into a C program, link it whole (`-Wl,--whole-archive`, on macOS
//! `-Wl,-force_load`). Where that can't be had, register the handlers by hand at start-up with `.register(…)`. Either way, the
//! listing that this program begins with (`handlers_of`) shows what was found, and the strict mode (`.strict(true)`) makes a point
//! without handlers an error.

use std::io::Write;
use std::process::ExitCode;

use extensions::prelude::*;
use lexopt::Arg;
use plugin as _;
use plugin_api::ShippingQuoted;

const USAGE: &str = "\
plugins

  lists the handlers that came in by linking, and asks them for quotes; there are no options";

#[tokio::main]
async fn main() -> ExitCode {
    examples::finish(run().await)
}

async fn run() -> Result<(), BoxError> {
    if let Some(arg) = lexopt::Parser::from_env().next()? {
        return match arg {
            Arg::Long("help") | Arg::Short('h') => examples::help(USAGE).map(|_: Option<()>| ()),
            _ => Err(arg.unexpected().into()),
        };
    }
    let mut out = std::io::stdout().lock();
    let ext = Extensions::builder().discover().strict(true).build().await?;

    for handler in ext.handlers_of::<ShippingQuoted>() {
        writeln!(out, "found {} (priority {}) in {}", handler.name, handler.priority, handler.location)?;
    }
    for (grams, country) in [(800, "NL"), (2_500, "PT"), (31_000, "PT")] {
        let fired = ext.fire(ShippingQuoted { grams, country: country.to_owned() }).await?;
        let quotes: Vec<_> = fired
            .outputs_by_handler()
            .filter_map(|(carrier, cents)| Some(format!("{} {} ct", carrier.name, (*cents)?)))
            .collect();
        writeln!(
            out,
            "{grams} g to {country}: {}",
            if quotes.is_empty() { "nobody".into() } else { quotes.join(", ") }
        )?;
    }
    Ok(())
}
