//! How deliveries come in: a line each, from a file or standard input.

use std::collections::BTreeMap;
use std::time::Duration;

use extensions::prelude::*;
use serde::Serialize;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, BufReader, Split};

use crate::args::Input;
use crate::handlers::Routed;
use crate::points::DeliveryReceived;

/// The most deliveries to fire at once.
const BATCH: usize = 500;
/// How long a batch that has begun waits for another line.
const LULL: Duration = Duration::from_millis(20);

type Lines = Split<Box<dyn AsyncBufRead + Send + Unpin>>;

/// What came in, and what was fired.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Received {
    /// Lines that were understood.
    pub(crate) deliveries: u64,
    /// Lines that were not.
    pub(crate) rejected: u64,
    /// Fires that ended with a veto.
    pub(crate) vetoed: u64,
    /// Fires that ended with an error.
    pub(crate) failed: u64,
    /// Fires that passed, nested ones included.
    pub(crate) fired: u64,
    /// Jobs that were queued.
    pub(crate) queued: u64,
    /// Deliveries of each event.
    pub(crate) by_event: BTreeMap<String, u64>,
}

/// Fires every delivery of the input, in order. Those that come in together are queued in one step.
pub(crate) async fn receive(ext: &Extensions, input: &Input) -> Result<Received, BoxError> {
    let mut received = Received::default();
    let mut lines = open(input).await?.split(b'\n');
    let mut last = 0;
    let bar = examples::bar("deliveries", None);
    loop {
        let batch = batch(&mut lines).await.map_err(|error| format!("{input}: {error}"))?;
        if batch.is_empty() {
            break;
        }
        let (mut numbers, mut deliveries) = (Vec::new(), Vec::new());
        for line in batch {
            last += 1;
            if let Some(delivery) = received.understand(last, &line) {
                numbers.push(last);
                deliveries.push(delivery);
            }
        }
        bar.inc(deliveries.len() as u64);
        for (number, fired) in numbers.into_iter().zip(ext.fire_many(deliveries).await) {
            received.note(number, fired);
        }
    }
    received.fired += ext.resource::<Routed>().map_or(0, |routed| routed.passed());
    Ok(received)
}

impl Received {
    fn understand(&mut self, number: u64, line: &[u8]) -> Option<DeliveryReceived> {
        match serde_json::from_slice::<DeliveryReceived>(line) {
            Ok(delivery) => {
                self.deliveries += 1;
                *self.by_event.entry(delivery.event.clone()).or_default() += 1;
                Some(delivery)
            }
            Err(error) => {
                self.rejected += 1;
                eprintln!("line {number} rejected: {}", reason(&error));
                None
            }
        }
    }

    fn note(&mut self, number: u64, fired: Result<Fired<DeliveryReceived>, FireError>) {
        match fired {
            Ok(fired) => {
                self.fired += u64::from(fired.is_success());
                self.vetoed += u64::from(fired.veto().is_some());
                self.queued += fired.queued().len() as u64;
            }
            Err(error) => {
                self.failed += 1;
                eprintln!("line {number} failed: {error}");
            }
        }
    }
}

/// What is wrong with a line, and at which column. The line that the error names is always the first: it is of the text that was parsed.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.strip_suffix(&format!(" at line {} column {}", error.line(), error.column())) {
        Some(what) => format!("{what} (column {})", error.column()),
        None => text,
    }
}

/// The lines that are at hand; none at the end.
async fn batch(lines: &mut Lines) -> std::io::Result<Vec<Vec<u8>>> {
    let mut batch = Vec::from_iter(lines.next_segment().await?);
    while (1..BATCH).contains(&batch.len()) {
        match tokio::time::timeout(LULL, lines.next_segment()).await {
            Ok(line) => match line? {
                Some(line) => batch.push(line),
                None => break,
            },
            Err(_lull) => break,
        }
    }
    Ok(batch)
}

async fn open(input: &Input) -> Result<Box<dyn AsyncBufRead + Send + Unpin>, BoxError> {
    Ok(match input {
        Input::Stdin => Box::new(BufReader::new(tokio::io::stdin())),
        Input::File(path) => {
            let file = tokio::fs::File::open(path).await.map_err(|error| format!("{input}: {error}"))?;
            Box::new(BufReader::new(file))
        }
    })
}
