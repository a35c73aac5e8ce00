//! Ends a server whose test was killed.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal};

/// Waits for the end of its input, which comes when the test's process is gone. `$1` is the server, `$2` the number of the signal that ends it, `$3`
/// its folder.
const SCRIPT: &str = r#"
read -r _
kill -CONT "$1" && kill -"$2" "$1"
n=0
while kill -0 "$1" && [ $n -lt 100 ]; do n=$((n + 1)); sleep 0.1; done
kill -KILL "$1"
rm -rf "$3"
"#;

/// A shell that outlives this process for as long as it takes to end a server.
#[derive(Debug)]
pub(super) struct Watchdog(Child);

impl Watchdog {
    /// Watches over a server.
    pub(super) fn over(server: Pid, signal: Signal, folder: &Path) -> io::Result<Self> {
        let (server, signal) = (server.as_raw_nonzero().to_string(), signal.as_raw().to_string());
        let mut shell = Command::new("sh");
        shell.args(["-c", SCRIPT, "watchdog", &server, &signal]).arg(folder);
        // Of its own group, so that what ends the test at a terminal does not end it too.
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        Ok(Self(shell.spawn()?))
    }
}

/// The server has ended, so nothing is left to watch.
impl Drop for Watchdog {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
