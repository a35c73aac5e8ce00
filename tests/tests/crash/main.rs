//! The faults of `reliability.md` in their short form, against real processes and a real store.
//!
//! Every test ends with a verdict on each invariant; the table comes after the last one. `CRASH_SEED=n` makes the choices of an
//! earlier run again, `CRASH_KEEP=1` keeps the folders.

mod freeze;
mod garbage;
mod kill;
mod race;
mod signals;

use std::future::Future;
use std::io::Write;
use std::path::Path;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use libtest_mimic::{Arguments, Failed, Trial};
use tests::crash::{Arena, Judgement};

/// What a test found: the verdicts, and what it measured besides.
struct Found {
    judgement: Judgement,
    note: String,
}

type Running = Pin<Box<dyn Future<Output = Found>>>;

/// A test, and the fault of `reliability.md` that it is about.
struct Crash {
    fault: &'static str,
    name: &'static str,
    run: fn(Arena) -> Running,
}

/// A durable backend under test.
#[derive(Clone, Copy)]
struct Backend {
    name: &'static str,
    url: fn(&Path) -> String,
}

macro_rules! crashes {
    ($($fault:ident $module:ident::$name:ident)*) => {
        [$(Crash { fault: stringify!($fault), name: stringify!($name), run: |arena| Box::pin($module::$name(arena)) }),*]
    };
}

const CRASHES: &[Crash] = &crashes![
    R1 kill::workers_are_killed_under_load
    R1 kill::a_dead_process_is_noticed_within_about_a_second
    R2 kill::the_firing_application_is_killed
    R6 freeze::a_frozen_worker_notices_that_its_leases_are_gone
    R10 race::claimers_race_and_no_job_is_claimed_twice
    R11 race::firers_race_on_one_key_and_one_job_is_queued
    R12 signals::a_signal_ends_a_worker_in_order_and_burns_no_attempt
    R12 signals::a_second_signal_ends_it_at_once
    R12 signals::handlers_that_outlast_the_grace_burn_no_attempt
    R15 garbage::garbage_payloads_stop_nobody_and_stay_as_they_are
    R15 garbage::broken_metadata_and_errors_stop_nobody
    R15 garbage::odd_columns_are_refused_or_stop_nobody
];

const SQLITE: Backend =
    Backend { name: "sqlite", url: |folder| format!("sqlite://{}", folder.join("jobs.db").display()) };

type Table = Arc<Mutex<Vec<String>>>;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // They measure time, and each keeps the machine's cores busy by itself.
    arguments.test_threads = arguments.test_threads.or(Some(1));
    let seed = std::env::var("CRASH_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    let table = Table::default();
    let trials = CRASHES.iter().map(|crash| trial(crash, SQLITE, seed, &table)).collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    let rows = table.lock().unwrap_or_else(PoisonError::into_inner);
    if !rows.is_empty() {
        let _ =
            writeln!(std::io::stdout(), "the verdicts on the invariants of a crash:\n{}\n", rows.join("\n"));
    }
    conclusion.exit_code()
}

fn trial(crash: &'static Crash, backend: Backend, seed: u64, table: &Table) -> Trial {
    let table = Arc::clone(table);
    Trial::test(crash.name, move || {
        let started = Instant::now();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let found = runtime.block_on(async {
            let program = Path::new(env!("CARGO_BIN_EXE_subject"));
            (crash.run)(Arena::new(program, seed, backend.url).await).await
        });
        let Found { judgement, note } = found;
        let note = if note.is_empty() { note } else { format!("; {note}") };
        let (fault, name, took) = (crash.fault, backend.name, started.elapsed());
        let row = format!("{fault:<4} {name} seed={seed}  {judgement}{note}; {took:.1?}");
        table.lock().unwrap_or_else(PoisonError::into_inner).push(row);
        if judgement.all_held() {
            return Ok(());
        }
        Err(Failed::from(format!("seed={seed}\n{}", judgement.complaints())))
    })
    .with_kind(format!("{} {} seed={seed}", crash.fault, backend.name))
}
