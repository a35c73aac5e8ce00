//! The faults of `reliability.md` in their short form, against real processes and real stores.
//!
//! Every test ends with a verdict on each invariant; the table comes after the last one. `CRASH_SEED=n` makes the choices of an
//! earlier run again, `CRASH_KEEP=1` keeps the folders.

mod clock;
mod freeze;
mod garbage;
mod kill;
mod race;
mod servers;
mod signals;
mod supervisor;
mod upgrade;
mod wicked;

use std::future::Future;
use std::io::Write;
use std::path::Path;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};
use tests::crash::{Arena, Engine, FirePlan, Judgement, Role, Site, Terms, WorkPlan};
use tests::servers::Persistence;

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
    on: &'static [Engine],
    site: Needs,
    run: fn(Arena) -> Running,
}

/// What a test needs of its site.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Needs {
    /// A store that is its own; the server may be everyone's.
    Store,
    /// A server that it can break.
    Server,
    /// A server, and a line to it that it can break.
    Line,
}

const ALL: &[Engine] = &Engine::ALL;
const SERVERS: &[Engine] = &Engine::SERVERS;
const SQLITE: &[Engine] = &[Engine::Sqlite];
/// Those in whose transactions an application can fire.
const DATABASES: &[Engine] = &[Engine::Sqlite, Engine::Postgres];

macro_rules! crashes {
    ($($fault:ident $on:ident $site:ident $module:ident::$name:ident)*) => {
        [$(Crash {
            fault: stringify!($fault),
            name: stringify!($name),
            on: $on,
            site: Needs::$site,
            run: |arena| Box::pin($module::$name(arena)),
        }),*]
    };
}

const CRASHES: &[Crash] = &crashes![
    R1 ALL Store kill::workers_are_killed_under_load
    R1 DATABASES Store kill::workers_are_killed_while_their_handlers_book_in_transactions
    R1 SQLITE Store kill::a_dead_process_is_noticed_within_about_a_second
    R2 ALL Store kill::the_firing_application_is_killed
    R2 DATABASES Store kill::the_firing_application_is_killed_in_its_own_transactions
    R3 SERVERS Server servers::the_server_is_killed_and_started_again
    R4 SERVERS Server servers::the_server_is_frozen
    R5 SERVERS Line servers::the_line_is_cut_and_slowed_and_swallows
    R6 ALL Store freeze::a_frozen_worker_notices_that_its_leases_are_gone
    R7 ALL Store wicked::handlers_block_and_never_yield_and_the_job_goes_on_elsewhere
    R7 ALL Store wicked::handlers_that_end_their_process_are_quarantined_and_panics_are_errors
    R8 ALL Store clock::wall_clocks_of_workers_jump_and_leases_stay
    R10 ALL Store race::claimers_race_and_no_job_is_claimed_twice
    R11 ALL Store race::firers_race_on_one_key_and_one_job_is_queued
    R12 ALL Store signals::a_signal_ends_a_worker_in_order_and_burns_no_attempt
    R12 ALL Store signals::a_second_signal_ends_it_at_once
    R12 ALL Store signals::handlers_that_outlast_the_grace_burn_no_attempt
    R12 ALL Store supervisor::a_signal_ends_a_supervisor_and_its_processes_in_order
    R12 ALL Store supervisor::a_second_signal_kills_all_processes_at_once
    R13 ALL Store supervisor::processes_are_killed_and_replaced_under_load
    R13 ALL Store supervisor::a_rolling_restart_under_load_burns_no_attempt_and_loses_no_job
    R13 ALL Store supervisor::the_supervisor_is_killed_and_its_processes_end_in_order
    R14 ALL Store upgrade::old_and_new_release_stand_side_by_side
    R14 ALL Store upgrade::jobs_of_a_removed_handler_wait_for_a_worker_that_knows_it
    R15 ALL Store garbage::garbage_payloads_stop_nobody_and_stay_as_they_are
    R15 ALL Store garbage::broken_metadata_and_errors_stop_nobody
    R15 SQLITE Store garbage::odd_columns_are_refused_or_stop_nobody
];

/// The lease of workers that may be killed. SQLite notices a dead process without it, and keeps its default.
fn lease(arena: &Arena) -> Duration {
    if arena.site().engine() == Engine::Sqlite { WorkPlan::default().lease } else { Duration::from_secs(3) }
}

/// How workers work that may be killed.
fn work(arena: &Arena) -> Role {
    Role::Work(WorkPlan { lease: lease(arena), ..WorkPlan::default() })
}

/// One lease and five seconds.
fn recovery(arena: &Arena) -> Terms {
    Terms::recovery_within(lease(arena) + Duration::from_secs(5))
}

/// So many fires, all of them answered.
async fn fire(arena: &mut Arena, plan: FirePlan) {
    let mut firer = arena.start(Role::Fire(plan)).await;
    let ended = firer.ended(Duration::from_secs(60)).await;
    assert!(ended.is_ok_and(|status| status.success()), "{}", firer.log());
}

type Table = Arc<Mutex<Vec<String>>>;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // They wait more than they compute.
    arguments.test_threads = arguments.test_threads.or(Some(4));
    let seed = std::env::var("CRASH_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    let table = Table::default();
    let each = CRASHES.iter().flat_map(|crash| crash.on.iter().map(move |engine| (crash, *engine)));
    let trials = each.map(|(crash, engine)| trial(crash, engine, seed, &table)).collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    let rows = table.lock().unwrap_or_else(PoisonError::into_inner);
    if !rows.is_empty() {
        let _ =
            writeln!(std::io::stdout(), "the verdicts on the invariants of a crash:\n{}\n", rows.join("\n"));
    }
    conclusion.exit_code()
}

async fn site(engine: Engine, needs: Needs, folder: &Path) -> Site {
    match needs {
        Needs::Store => Site::shared(engine, folder).await,
        Needs::Server => Site::own(engine, Persistence::Always, folder).await,
        Needs::Line => Site::own(engine, Persistence::Always, folder).await.behind_a_proxy().await,
    }
}

fn trial(crash: &'static Crash, engine: Engine, seed: u64, table: &Table) -> Trial {
    let table = Arc::clone(table);
    Trial::test(format!("{} {}", engine.name(), crash.name), move || {
        let started = Instant::now();
        // Two threads, so that a proxy goes on while a test waits for its store.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let found = runtime.block_on(async {
            let program = Path::new(env!("CARGO_BIN_EXE_chaos"));
            let arena = Arena::new(program, seed, async |folder| site(engine, crash.site, folder).await);
            (crash.run)(arena.await).await
        });
        let Found { judgement, note } = found;
        let note = if note.is_empty() { note } else { format!("; {note}") };
        let (fault, name, took) = (crash.fault, engine.name(), started.elapsed());
        let row = format!("{fault:<4} {name:<8} seed={seed}  {judgement}{note}; {took:.1?}");
        table.lock().unwrap_or_else(PoisonError::into_inner).push(row);
        if judgement.all_held() {
            return Ok(());
        }
        Err(Failed::from(format!("seed={seed}\n{}", judgement.complaints())))
    })
    .with_kind(format!("{} {} seed={seed}", crash.fault, engine.name()))
}
