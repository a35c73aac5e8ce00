//! The operator's console of a store, for whoever has no application's binary at hand: all that needs no handler's code.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: no runtime can be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(extensions::console::run(extensions::console::App::store()))
}
