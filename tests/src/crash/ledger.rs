//! One append-only, fsynced file for each process: what it fired and ran, outside the system under test.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

use extensions::job::{HandlerKey, JobId};
use extensions::time::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::Moment;
use super::moment::wall_clock;

/// One line of a ledger.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entry {
    /// When it happened.
    pub at: Moment,
    /// The same by the wall clock, in which a store's times are.
    pub wall: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What a process writes down.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum Event {
    /// The process is ready.
    Ready,
    /// It is about to fire.
    Firing {
        /// The fire's number, unique among all processes.
        fire: u64,
        /// How many jobs the fire queues, where uniqueness drops none.
        jobs: Option<usize>,
    },
    /// The fire's last inline handler has run up to its marker, and waits there.
    AtMarker {
        /// The fire.
        fire: u64,
    },
    /// `fire` came back with an answer.
    Answered {
        /// The fire.
        fire: u64,
        /// The jobs reported as queued.
        queued: Vec<JobId>,
        /// The holders of the keys of those that were not.
        duplicates: Vec<JobId>,
    },
    /// `fire` came back with an error after which its jobs may be queued or not.
    Unanswered {
        /// The fire.
        fire: u64,
        /// The error.
        why: String,
    },
    /// Jobs were put into the store past `fire`.
    Planted {
        /// The jobs.
        jobs: Vec<JobId>,
    },
    /// A handler started.
    Started {
        /// This run of it.
        run: RunId,
        /// Its job.
        job: JobId,
        /// Its name.
        handler: HandlerKey,
        /// The attempt.
        attempt: u32,
    },
    /// A handler is about to return.
    Ended {
        /// The run.
        run: RunId,
        /// What it will return.
        outcome: Outcome,
    },
    /// `on_failure` was called.
    ToldOfFailure {
        /// The job that ended without success.
        job: JobId,
    },
    /// The harness let something happen to a process, from `from` to `at`.
    Fault {
        /// The process.
        process: String,
        /// What.
        what: String,
        /// When it began.
        from: Moment,
    },
    /// A worker ended in order, with this report.
    Report {
        /// The report.
        report: serde_json::Value,
    },
}

/// What a handler returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Success.
    Done,
    /// An error; the attempt failed.
    Failed,
    /// An error that ends the job.
    Permanent,
    /// It was told to stop, and did.
    Stopped,
    /// Nothing: its worker dropped it.
    Dropped,
    /// Nothing that counts: its time was up long before.
    Outlived,
}

/// One run of a handler.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub String);

impl RunId {
    /// The error that the run's handler returns, so that whoever finds it stored knows whose it was.
    #[must_use]
    pub fn error(&self) -> String {
        format!("run {} fails", self.0)
    }

    /// The run whose error this is.
    #[must_use]
    pub fn of_error(message: &str) -> Option<Self> {
        let id = message.split_once("run ")?.1.split_once(" fails")?.0;
        Some(Self(id.to_owned()))
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

struct Line {
    text: Vec<u8>,
    written: oneshot::Sender<()>,
}

/// Appends to a process's ledger; every write is on the disk before it returns.
#[derive(Debug, Clone)]
pub struct LedgerWriter {
    process: Arc<str>,
    lines: mpsc::Sender<Line>,
    runs: Arc<AtomicU64>,
}

impl LedgerWriter {
    /// Makes the ledger of `process`.
    ///
    /// # Errors
    ///
    /// If the file or the thread that writes it cannot be made.
    pub fn create(process: &str, path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        let (lines, inbox) = mpsc::channel();
        std::thread::Builder::new().name("ledger".into()).spawn(move || write_lines(file, &inbox))?;
        Ok(Self { process: process.into(), lines, runs: Arc::default() })
    }

    /// A new run's id.
    #[must_use]
    pub fn new_run(&self) -> RunId {
        RunId(format!("{}:{}", self.process, self.runs.fetch_add(1, Ordering::Relaxed)))
    }

    /// Writes an event that happens now.
    pub async fn write(&self, event: Event) {
        let _ = self.send(event).await;
    }

    /// The same from a thread that may block.
    pub fn write_blocking(&self, event: Event) {
        let _ = self.send(event).blocking_recv();
    }

    /// The same without waiting until it is on the disk.
    pub fn write_later(&self, event: Event) {
        drop(self.send(event));
    }

    fn send(&self, event: Event) -> oneshot::Receiver<()> {
        let entry = Entry { at: Moment::now(), wall: wall_clock(), event };
        let mut text = serde_json::to_vec(&entry).expect("an entry is JSON");
        text.push(b'\n');
        let (written, answer) = oneshot::channel();
        let _ = self.lines.send(Line { text, written });
        answer
    }
}

/// Writes what has come together with one sync. A ledger that fails would make a judgement worthless: the process ends.
fn write_lines(mut file: File, inbox: &mpsc::Receiver<Line>) {
    while let Ok(first) = inbox.recv() {
        let mut group = vec![first];
        group.extend(inbox.try_iter());
        let text: Vec<u8> = group.iter().flat_map(|line| line.text.iter().copied()).collect();
        if file.write_all(&text).and_then(|()| file.sync_data()).is_err() {
            std::process::abort();
        }
        for line in group {
            let _ = line.written.send(());
        }
    }
}

/// A ledger as it is read, while it is written or later.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    /// The process that writes it.
    pub process: String,
    /// What it has written so far.
    pub entries: Vec<Entry>,
    path: PathBuf,
    read: u64,
}

impl Ledger {
    /// The ledger of `process` at `path`, of which nothing is read yet.
    #[must_use]
    pub fn at(process: &str, path: &Path) -> Self {
        Self { process: process.to_owned(), path: path.to_owned(), ..Self::default() }
    }

    /// A ledger that never was a file.
    #[must_use]
    pub fn of(process: &str, entries: Vec<Entry>) -> Self {
        Self { process: process.to_owned(), entries, ..Self::default() }
    }

    /// Reads what is new. A last line that is cut off, as its process was killed over it, does not count.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or a whole line of it.
    pub fn refresh(&mut self) -> io::Result<()> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        file.seek(SeekFrom::Start(self.read))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        for line in bytes[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            self.entries.push(serde_json::from_slice(line)?);
        }
        self.read += whole as u64;
        Ok(())
    }

    /// How many entries are such.
    pub fn count(&self, such: impl Fn(&Event) -> bool) -> usize {
        self.entries.iter().filter(|entry| such(&entry.event)).count()
    }

    /// How many handlers have started.
    #[must_use]
    pub fn starts(&self) -> usize {
        self.count(|event| matches!(event, Event::Started { .. }))
    }
}

#[cfg(test)]
mod tests {
    use super::{Event, Ledger, LedgerWriter, RunId};
    use std::io::Write;

    #[test]
    fn what_is_written_is_read_and_a_cut_off_line_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.ledger");
        let mut ledger = Ledger::at("a", &path);
        ledger.refresh().unwrap();
        let writer = LedgerWriter::create("a", &path).unwrap();
        writer.write_blocking(Event::Ready);
        writer.write_blocking(Event::AtMarker { fire: 7 });
        ledger.refresh().unwrap();
        assert_eq!(ledger.entries.len(), 2);
        let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"at\":1,\"wal").unwrap();
        ledger.refresh().unwrap();
        assert_eq!(ledger.count(|event| matches!(event, Event::AtMarker { fire: 7 })), 1);
        assert_eq!(ledger.entries.len(), 2);
    }

    #[test]
    fn an_error_names_its_run() {
        let run = RunId("worker-3:17".into());
        assert_eq!(RunId::of_error(&format!("failed: {}", run.error())), Some(run));
        assert_eq!(RunId::of_error("something else"), None);
    }
}
