//! What a supervisor and its processes tell each other: one JSON text on each line.

use std::io;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::worker::WorkerStatus;

/// The variable that tells a process that it has a supervisor, and where: [`STDIN`].
pub(super) const VARIABLE: &str = "EXTENSIONS_SUPERVISOR";
/// The socket is the process's standard input. It has no name that others could find, and goes with the last of the two.
pub(super) const STDIN: &str = "stdin";

/// The longest line that is read. Metrics of thousands of series are the longest that there are.
const LONGEST: u64 = 16 * 1024 * 1024;

/// What a supervisor says. Those who do not know a message pass over it: programs of different age meet here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ToProcess {
    /// The first line.
    Welcome(Welcome),
    /// From now on so many jobs run at once.
    Slots(usize),
    /// Drain, and end.
    Drain,
    /// Say your metrics.
    Metrics,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Welcome {
    /// How long the process may take to end once its supervisor is gone.
    pub(super) stop_timeout: Duration,
    /// How many jobs run at once, where that changes.
    pub(super) slots: Option<usize>,
}

/// What a process says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ToSupervisor {
    /// The first line.
    Hello {
        /// The version of this crate in it.
        version: String,
    },
    /// How its worker is: every second, and at the end.
    Status(Box<WorkerStatus>),
    /// Its metrics as Prometheus text: when they are asked for, and at the end.
    Metrics(String),
}

/// Writes a message as a line.
pub(super) async fn write<T: Serialize>(to: &mut (impl AsyncWrite + Unpin), message: &T) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    to.write_all(&line).await
}

/// The next message that is understood; none at the end.
pub(super) async fn read<T: DeserializeOwned>(from: &mut (impl AsyncBufRead + Unpin)) -> Option<T> {
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut *from).take(LONGEST).read_until(b'\n', &mut line).await.ok()?;
        if read == 0 {
            return None;
        }
        match serde_json::from_slice(&line) {
            Ok(message) => return Some(message),
            Err(error) => tracing::debug!(%error, "a message between supervisor and process is passed over"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ToProcess, ToSupervisor, Welcome, read, write};
    use crate::time::secs;

    #[tokio::test]
    async fn messages_are_read_as_they_were_written_and_others_are_passed_over() {
        let told = [
            ToProcess::Welcome(Welcome { stop_timeout: secs(60), slots: Some(3) }),
            ToProcess::Slots(7),
            ToProcess::Metrics,
            ToProcess::Drain,
        ];
        let mut line = Vec::new();
        for message in &told {
            write(&mut line, message).await.unwrap();
            line.extend_from_slice(b"{\"from_the_future\":1}\n\xff\n\n");
        }
        let (mut from, mut heard) = (&line[..], Vec::new());
        while let Some(message) = read::<ToProcess>(&mut from).await {
            heard.push(message);
        }
        assert_eq!(heard, told);
    }

    #[tokio::test]
    async fn a_status_is_one_small_message() {
        let mut line = Vec::new();
        write(&mut line, &ToSupervisor::Status(Box::default())).await.unwrap();
        assert!(line.len() < 600, "{}", line.len());
        let status = read::<ToSupervisor>(&mut &line[..]).await;
        assert_eq!(status, Some(ToSupervisor::Status(Box::default())));
    }
}
