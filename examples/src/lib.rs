//! What the examples share: exit codes, output, progress bars, an HTTP client and luck that can be repeated. Of the framework there is
//! [`work_while`].

mod chance;
mod cli;
pub mod http;
mod work;

pub use crate::chance::chance;
pub use crate::cli::{finish, help, print, sqlite_url, value};
pub use crate::work::{Done, bar, work_while};
