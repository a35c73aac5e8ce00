//! What differs between one server and another.

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;

/// The password in every server's URL, which may never show in a log.
pub const PASSWORD: &str = "hush-this-is-secret";

/// A server's program.
pub(super) trait Program: Debug + Send + Sync {
    /// Its name, in messages.
    fn name(&self) -> &'static str;

    /// Makes what the server needs in a fresh folder.
    fn prepare(&self, folder: &Path);

    /// What starts it.
    fn command(&self, folder: &Path, port: u16) -> Command;

    /// Whether it answers.
    fn is_ready(&self, port: u16) -> bool;

    /// The URL of its only database, where no test has a place of its own.
    fn url(&self, port: u16) -> String;

    /// Makes a place in it that nobody else has, where one has to be made.
    fn make_place(&self, _port: u16, _number: u64) {}

    /// The URL of such a place.
    fn fresh_url(&self, port: u16, number: u64) -> String;

    /// The signal that ends it at once and lets it clear up.
    fn signal_to_end(&self) -> Signal;
}

/// A program in one of these folders, or in one of `PATH`.
pub(super) fn find(program: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).collect::<Vec<_>>();
    folders.iter().chain(&in_path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// The end of a test whose server is not installed.
pub(super) fn missing(program: &str, package: &str) -> ! {
    panic!(
        "`{program}` is missing; `bash scripts/test.sh` installs it, and so does `apt-get install {package}`"
    )
}
