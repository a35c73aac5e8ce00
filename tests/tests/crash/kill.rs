//! R1 and R2: processes that die at once.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use extensions::job::JobState;
use tests::crash::{Answer, Arena, Engine, Event, FirePlan, Ledger, Mix, Role, Subject, Terms, WorkPlan};
use tests::shop::Shop;

use crate::{Found, recovery, work};

/// How many kills among how many fires. Where leases have to end first, jobs that were lost wait for longer.
const fn load(engine: Engine) -> (usize, u64) {
    match engine {
        Engine::Sqlite => (12, 2000),
        Engine::Postgres | Engine::Redis => (6, 1000),
    }
}

/// SQLite notices a dead process within a second, and takes up its jobs one after the other. Its leases of 30 s would be far too
/// late; what is measured stands in the table.
const NOTICED: Duration = Duration::from_secs(15);
/// The same where nothing else waits for the worker.
const NOTICED_IDLE: Duration = Duration::from_secs(5);

/// One lease and five seconds, or how soon the engine notices without waiting for the lease.
fn terms(arena: &Arena) -> Terms {
    match arena.site().engine() {
        Engine::Sqlite => Terms::recovery_within(NOTICED),
        _ => recovery(arena),
    }
}

pub(crate) async fn start_worker(arena: &mut Arena) -> Subject {
    let role = work(arena);
    arena.start(role).await
}

/// Waits until the subject has started so many more handlers, and then for a moment that nobody chose.
pub(crate) async fn until_busy(arena: &mut Arena, subject: &Subject, starts: usize) {
    let wanted = arena.ledger(subject).starts() + starts;
    arena.until("the worker is busy", 30, |arena| arena.ledger(subject).starts() >= wanted).await;
    let millis = arena.rng.u64(0..15);
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

/// Kills one of two workers again and again, each time after so many more starts of handlers, until all that was fired is done.
async fn kill_amid(arena: &mut Arena, kills: usize, starts: Range<usize>, plan: FirePlan) {
    let mut workers = [start_worker(arena).await, start_worker(arena).await];
    let mut firer = arena.start(Role::Fire(plan)).await;
    for _ in 0..kills {
        let victim = &mut workers[arena.rng.usize(0..2)];
        let starts = arena.rng.usize(starts.clone());
        until_busy(arena, victim, starts).await;
        arena.kill(victim).await;
        *victim = start_worker(arena).await;
    }
    assert!(firer.ended(Duration::from_secs(60)).await.unwrap().success(), "{}", firer.log());
    arena.until_drained(60).await;
    for worker in &mut workers {
        arena.stop(worker).await;
    }
}

pub(crate) async fn workers_are_killed_under_load(mut arena: Arena) -> Found {
    let (kills, fires) = load(arena.site().engine());
    kill_amid(&mut arena, kills, 10..60, FirePlan::of(fires, 0)).await;
    let (evidence, judgement) = arena.judge(&terms(&arena)).await;
    assert!(evidence.records.len() as u64 >= fires, "{} jobs", evidence.records.len());
    assert!(judgement.counts.in_flight > 0, "no kill hit a job");
    Found { judgement, note: String::new() }
}

pub(crate) async fn workers_are_killed_while_their_handlers_book_in_transactions(mut arena: Arena) -> Found {
    const FIRES: u64 = 600;
    const KILLS: usize = 6;
    let mut shop = Shop::open(arena.site().url()).await;
    let booked = Mix { booked: 1, ..Mix::default() };
    kill_amid(&mut arena, KILLS, 5..40, FirePlan { mix: booked, ..FirePlan::of(FIRES, 0) }).await;
    let booked = shop.booked().await;
    let (evidence, judgement) = arena.judge(&terms(&arena)).await;
    // A job that four kills have hit is quarantined. Jobs that were lost twice run one at a time, so no kill quarantines two.
    let fires = |state| evidence.fires_where(|record| record.state == state);
    let (completed, quarantined) = (fires(JobState::Completed), fires(JobState::Quarantined));
    assert_eq!(
        booked,
        completed.into_iter().collect::<Vec<_>>(),
        "what is completed is booked once, and nothing else"
    );
    assert_eq!((booked.len() + quarantined.len()) as u64, FIRES, "{quarantined:?} are quarantined");
    assert!(quarantined.len() <= KILLS, "{quarantined:?} are quarantined");
    let again = evidence.book.runs.len() as u64 - FIRES;
    assert!(again > 0, "no kill hit a handler");
    Found { judgement, note: format!("{} booked, in {again} runs more", booked.len()) }
}

pub(crate) async fn a_dead_process_is_noticed_within_about_a_second(mut arena: Arena) -> Found {
    let mut idle = arena.start(Role::Work(WorkPlan::default())).await;
    let mut noticed = Vec::new();
    for round in 0..4 {
        let held = Mix { held: 1, ..Mix::default() };
        arena.queue().pause("held".into()).await.unwrap();
        let mut firer =
            arena.start(Role::Fire(FirePlan { mix: held, handler_ms: 800, ..FirePlan::of(1, round) })).await;
        assert!(firer.ended(Duration::from_secs(20)).await.unwrap().success());
        let mut victim = std::mem::replace(&mut idle, start_worker(&mut arena).await);
        arena.queue().resume("held".into()).await.unwrap();
        let before = (arena.ledger(&victim).starts(), arena.ledger(&idle).starts());
        arena
            .until("one of two has the job", 20, |arena| {
                arena.ledger(&victim).starts() > before.0 || arena.ledger(&idle).starts() > before.1
            })
            .await;
        if arena.ledger(&idle).starts() > before.1 {
            std::mem::swap(&mut victim, &mut idle);
        }
        let before = arena.ledger(&idle).starts();
        let killed = tests::crash::Moment::now();
        arena.kill(&mut victim).await;
        arena.until("the other has the job", 20, |arena| arena.ledger(&idle).starts() > before).await;
        let taken = arena
            .ledger(&idle)
            .entries
            .iter()
            .rev()
            .find(|entry| matches!(entry.event, Event::Started { .. }));
        noticed.push(taken.unwrap().at.since(killed));
        arena.until_drained(20).await;
    }
    arena.stop(&mut idle).await;
    noticed.sort();
    let (_, judgement) = arena.judge(&Terms::recovery_within(NOTICED_IDLE)).await;
    Found { judgement, note: format!("idle: {noticed:.0?}") }
}

pub(crate) async fn the_firing_application_is_killed(mut arena: Arena) -> Found {
    let mut worker = start_worker(&mut arena).await;
    for round in 0..8 {
        let fires = arena.rng.u64(5..60);
        let at_marker = round % 2 == 0;
        let plan =
            FirePlan { pause_at: at_marker.then_some(fires), ..FirePlan::of(1_000_000, round * 1_000_000) };
        let mut firer = arena.start(Role::Fire(plan)).await;
        arena
            .until("the application fires", 30, |arena| {
                arena.ledger(&firer).count(|event| match event {
                    Event::AtMarker { .. } => at_marker,
                    Event::Answered { .. } => !at_marker,
                    _ => false,
                }) as u64
                    >= if at_marker { 1 } else { fires }
            })
            .await;
        let micros = arena.rng.u64(0..5000);
        tokio::time::sleep(Duration::from_micros(micros)).await;
        arena.kill(&mut firer).await;
    }
    arena.until_drained(60).await;
    arena.stop(&mut worker).await;
    let (evidence, judgement) = arena.judge(&terms(&arena)).await;
    let fires = evidence.book.fires.values();
    let cut = fires.clone().filter(|fire| fire.answer == Answer::None).count();
    let at_marker = fires.filter(|fire| fire.at_marker).count();
    assert_eq!(at_marker, 4, "every second kill came between inline handlers and push");
    assert!(cut > 8, "only {cut} fires were cut off");
    Found { judgement, note: format!("{cut} fires cut off, {at_marker} of them before their push") }
}

pub(crate) async fn the_firing_application_is_killed_in_its_own_transactions(mut arena: Arena) -> Found {
    let mut worker = start_worker(&mut arena).await;
    for round in 0..8 {
        let mut seller = arena.start(Role::Sell { first: round * 1_000_000 }).await;
        let sales = arena.rng.usize(3..30);
        let answered = |ledger: &Ledger| ledger.count(|event| matches!(event, Event::Answered { .. }));
        arena.until("the application sells", 30, |arena| answered(arena.ledger(&seller)) >= sales).await;
        let micros = arena.rng.u64(0..8000);
        tokio::time::sleep(Duration::from_micros(micros)).await;
        arena.kill(&mut seller).await;
    }
    arena.until_drained(60).await;
    arena.stop(&mut worker).await;
    let sold: BTreeSet<u64> = Shop::open(arena.site().url()).await.sold().await.into_iter().collect();
    let (evidence, judgement) = arena.judge(&terms(&arena)).await;
    assert_eq!(evidence.fires_with_jobs(), sold, "rows and jobs are there together or not at all");
    let fires = &evidence.book.fires;
    let cut: Vec<_> = fires.iter().filter(|(_, fire)| fire.answer == Answer::None).collect();
    let undone = cut.iter().filter(|(fire, _)| !sold.contains(fire)).count();
    assert!(fires.iter().all(|(fire, its)| its.answer == Answer::None || sold.contains(fire)));
    Found { judgement, note: format!("{} sold, {} cut off, {undone} of them undone", sold.len(), cut.len()) }
}
