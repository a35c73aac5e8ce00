//! R12 and R13: a supervisor and its processes.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tests::crash::{Arena, Event, FirePlan, Judgement, Mix, Moment, Role, Subject, Terms};
use tests::os;

use crate::{Found, recovery};

/// The queues are drawn by lot: in strict order a lost job of the last one would wait until the first are empty.
const POOLS: &str = "[worker.orders]\nqueues = { orders = 1, default = 1, index = 1, held = 1 }\nconcurrency = 8\nprocesses = 2\n";

/// A supervisor with two processes that work.
async fn supervise(arena: &mut Arena) -> Subject {
    let lease = crate::lease(arena).as_secs();
    let config = arena.configure("listen = \"none\"", &format!("{POOLS}lease = {lease}\n"));
    let before = workers(arena).len();
    let supervisor = arena.start(Role::Supervise { config }).await;
    arena.until("two processes work", 30, |arena| workers(arena).len() == before + 2).await;
    supervisor
}

/// The pools' processes that were ever ready, by the names of their ledgers.
fn workers(arena: &Arena) -> Vec<String> {
    let ready = arena.ledgers().iter().filter(|ledger| {
        ledger.process.starts_with("orders-") && ledger.count(|event| matches!(event, Event::Ready)) > 0
    });
    ready.map(|ledger| ledger.process.clone()).collect()
}

fn pid_of(worker: &str) -> Pid {
    let pid = worker.strip_prefix("orders-").and_then(|pid| pid.parse().ok());
    pid.and_then(os::pid).expect("a process is named after its number")
}

fn living(arena: &Arena) -> Vec<String> {
    workers(arena).into_iter().filter(|worker| os::lives(pid_of(worker))).collect()
}

/// How many handlers the pools' processes have started.
fn starts(arena: &Arena) -> usize {
    let theirs = arena.ledgers().iter().filter(|ledger| ledger.process.starts_with("orders-"));
    theirs.map(tests::crash::Ledger::starts).sum()
}

async fn until_busy(arena: &mut Arena, more: usize) {
    let wanted = starts(arena) + more;
    arena.until("the processes are busy", 30, |arena| starts(arena) >= wanted).await;
    let millis = arena.rng.u64(0..15);
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

async fn ends_with(supervisor: &mut Subject, code: i32) -> Duration {
    let sent = Instant::now();
    let status = supervisor.ended(Duration::from_secs(40)).await;
    let status = status.unwrap_or_else(|error| panic!("{error}: it did not end\n{}", supervisor.log()));
    assert_eq!(status.code(), Some(code), "{status}\n{}", supervisor.log());
    sent.elapsed()
}

async fn all_fired(firer: &mut Subject) {
    assert!(firer.ended(Duration::from_secs(60)).await.unwrap().success(), "{}", firer.log());
}

/// Ends it once nothing is left to do.
async fn end(arena: &mut Arena, mut supervisor: Subject, signal: Signal) -> Subject {
    arena.until_drained(60).await;
    supervisor.signal(signal).unwrap();
    ends_with(&mut supervisor, 0).await;
    supervisor
}

/// Judges a run in which no worker came to harm.
async fn judge_unhurt(arena: &mut Arena) -> Judgement {
    let (evidence, judgement) = arena.judge(&Terms::recovery_within(Duration::from_secs(5))).await;
    assert_eq!((judgement.counts.faults, judgement.counts.repeats), (0, 0));
    for record in &evidence.records {
        assert_eq!(record.lost_count, 0, "a worker lost {record:?}");
    }
    judgement
}

pub(crate) async fn processes_are_killed_and_replaced_under_load(mut arena: Arena) -> Found {
    const KILLS: usize = 4;
    let supervisor = supervise(&mut arena).await;
    let plan = FirePlan { pace: Some(150), ..FirePlan::of(700, 0) };
    let mut firer = arena.start(Role::Fire(plan)).await;
    for kill in 0..KILLS {
        let more = arena.rng.usize(10..60);
        until_busy(&mut arena, more).await;
        arena.until("both work", 30, |arena| living(arena).len() == 2).await;
        let victim = arena.rng.usize(0..2);
        let victim = living(&arena).remove(victim);
        let from = Moment::now();
        kill_process(pid_of(&victim), Signal::KILL).unwrap();
        arena.until("it is dead", 10, |_| !os::lives(pid_of(&victim))).await;
        arena.fault_of(&victim, "killed", from).await;
        arena.until("it is replaced", 30, |arena| workers(arena).len() == 3 + kill).await;
    }
    all_fired(&mut firer).await;
    let supervisor = end(&mut arena, supervisor, Signal::TERM).await;
    assert_eq!(supervisor.log().matches("a process has died and is replaced").count(), KILLS);
    let (_, judgement) = arena.judge(&recovery(&arena)).await;
    Found { judgement, note: format!("{KILLS} of its processes killed") }
}

pub(crate) async fn a_rolling_restart_under_load_burns_no_attempt_and_loses_no_job(
    mut arena: Arena,
) -> Found {
    const ROLLS: usize = 2;
    let supervisor = supervise(&mut arena).await;
    let plan = FirePlan { pace: Some(150), ..FirePlan::of(700, 0) };
    let mut firer = arena.start(Role::Fire(plan)).await;
    let mut fewest = usize::MAX;
    for roll in 0..ROLLS {
        until_busy(&mut arena, 20).await;
        let old = living(&arena);
        supervisor.signal(Signal::HUP).unwrap();
        arena
            .until("both are replaced", 60, |arena| {
                let now = living(arena);
                fewest = fewest.min(now.len());
                workers(arena).len() == 2 * (roll + 2)
                    && now.len() == 2
                    && now.iter().all(|new| !old.contains(new))
            })
            .await;
    }
    assert_eq!(fewest, 2, "a new process works before an old one ends");
    all_fired(&mut firer).await;
    end(&mut arena, supervisor, Signal::INT).await;
    let judgement = judge_unhurt(&mut arena).await;
    let ended = arena
        .ledgers()
        .iter()
        .filter(|ledger| ledger.count(|event| matches!(event, Event::Report { .. })) > 0);
    assert_eq!(ended.count(), 2 * (ROLLS + 1), "every process has ended in order");
    Found { judgement, note: format!("{ROLLS} rolling restarts, never fewer than {fewest} processes") }
}

pub(crate) async fn the_supervisor_is_killed_and_its_processes_end_in_order(mut arena: Arena) -> Found {
    let mut firer = arena.start(Role::Fire(FirePlan { pace: Some(200), ..FirePlan::of(600, 0) })).await;
    let mut longest = Duration::ZERO;
    for _ in 0..3 {
        let mut supervisor = supervise(&mut arena).await;
        let more = arena.rng.usize(10..60);
        until_busy(&mut arena, more).await;
        let processes = living(&arena);
        assert_eq!(processes.len(), 2);
        supervisor.kill().await.unwrap();
        let killed = Instant::now();
        arena
            .until("its processes have ended", 30, |_| {
                processes.iter().all(|worker| !os::lives(pid_of(worker)))
            })
            .await;
        longest = longest.max(killed.elapsed());
        for worker in &processes {
            let ledger = arena.ledgers().iter().find(|ledger| ledger.process == *worker).unwrap();
            assert_eq!(
                ledger.count(|event| matches!(event, Event::Report { .. })),
                1,
                "{worker} ended in order"
            );
        }
    }
    let supervisor = supervise(&mut arena).await;
    all_fired(&mut firer).await;
    end(&mut arena, supervisor, Signal::TERM).await;
    let judgement = judge_unhurt(&mut arena).await;
    Found {
        judgement,
        note: format!("3 supervisors killed, their processes gone after {longest:.0?} at most"),
    }
}

pub(crate) async fn a_signal_ends_a_supervisor_and_its_processes_in_order(mut arena: Arena) -> Found {
    let mut firer = arena.start(Role::Fire(FirePlan::of(700, 0))).await;
    let mut longest = Duration::ZERO;
    for signal in [Signal::TERM, Signal::INT, Signal::TERM, Signal::INT] {
        let mut supervisor = supervise(&mut arena).await;
        let more = arena.rng.usize(0..60);
        until_busy(&mut arena, more).await;
        supervisor.signal(signal).unwrap();
        longest = longest.max(ends_with(&mut supervisor, 0).await);
        assert_eq!(living(&arena), Vec::<String>::new(), "{}", supervisor.log());
    }
    all_fired(&mut firer).await;
    let supervisor = supervise(&mut arena).await;
    end(&mut arena, supervisor, Signal::TERM).await;
    let judgement = judge_unhurt(&mut arena).await;
    Found { judgement, note: format!("4 supervisors ended with code 0, the slowest after {longest:.0?}") }
}

pub(crate) async fn a_second_signal_kills_all_processes_at_once(mut arena: Arena) -> Found {
    let mut supervisor = supervise(&mut arena).await;
    let stubborn = Mix { stubborn: 1, ..Mix::default() };
    let plan = FirePlan { mix: stubborn, handler_ms: 1500, ..FirePlan::of(2, 0) };
    let mut firer = arena.start(Role::Fire(plan)).await;
    all_fired(&mut firer).await;
    arena.until("handlers run", 20, |arena| starts(arena) > 0).await;
    supervisor.signal(Signal::TERM).unwrap();
    arena
        .until("the first signal was taken", 10, |_| supervisor.log().contains("draining all processes"))
        .await;
    assert!(supervisor.lives().unwrap(), "the handlers still run");
    let (from, hit) = (Moment::now(), living(&arena));
    supervisor.signal(Signal::INT).unwrap();
    let took = ends_with(&mut supervisor, 130).await;
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(living(&arena), Vec::<String>::new());
    for worker in hit {
        arena.fault_of(&worker, "killed by a second signal", from).await;
    }
    let supervisor = supervise(&mut arena).await;
    end(&mut arena, supervisor, Signal::TERM).await;
    let (_, judgement) = arena.judge(&recovery(&arena)).await;
    Found { judgement, note: format!("ended with 130 after {took:.0?}") }
}
