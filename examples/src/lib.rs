//! What the examples share: exit codes, output, progress bars and luck that can be repeated. Of the framework there is
//! [`work_while`].

mod chance;
mod cli;
mod work;

pub use crate::chance::chance;
pub use crate::cli::{finish, help, print, sqlite_url, value};
pub use crate::work::{Done, bar, work_while};
