//! R3, R4 and R5: the server dies, stands still, and is out of reach.

use std::time::{Duration, Instant};

use tests::crash::{Arena, Disturbance, Event, FirePlan, Ledger, Role, STORE, Subject};

use crate::kill::start_worker;
use crate::{Found, recovery};

/// An application under load: two workers, and a firer that never tires.
struct Load {
    workers: Vec<Subject>,
    firer: Subject,
}

impl Load {
    async fn start(arena: &mut Arena) -> Self {
        let workers = vec![start_worker(arena).await, start_worker(arena).await];
        let plan = FirePlan { pace: Some(60), ..FirePlan::of(1_000_000, 0) };
        let load = Self { workers, firer: arena.start(Role::Fire(plan)).await };
        load.until_it_flows(arena, 30).await;
        load
    }

    /// Waits until the firer fires and both workers work.
    async fn until_it_flows(&self, arena: &mut Arena, seconds: u64) {
        let answers = |ledger: &Ledger| ledger.count(|event| matches!(event, Event::Answered { .. }));
        let progress = |arena: &Arena| {
            let starts: Vec<_> = self.workers.iter().map(|worker| arena.ledger(worker).starts()).collect();
            (answers(arena.ledger(&self.firer)), starts)
        };
        arena.until("the ledgers are read", 5, |_| true).await;
        let (answered, started) = progress(arena);
        arena
            .until("fires are answered and both workers work", seconds, |arena| {
                let (answers, starts) = progress(arena);
                answers > answered + 5 && starts.iter().zip(&started).all(|(now, then)| now > then)
            })
            .await;
    }

    /// Waits until everybody is back to work after a fault, without hands, and how long that took.
    async fn recovers(&self, arena: &mut Arena) -> Duration {
        let over = Instant::now();
        self.until_it_flows(arena, recovery(arena).recovery.as_secs()).await;
        over.elapsed()
    }

    async fn end(mut self, arena: &mut Arena, took: &[Duration]) -> Found {
        self.firer.say("stop").await.unwrap();
        let ended = self.firer.ended(Duration::from_secs(70)).await;
        assert!(ended.is_ok_and(|status| status.success()), "{}", self.firer.log());
        arena.until_drained(60).await;
        for worker in &mut self.workers {
            assert!(worker.lives().unwrap(), "a worker has ended\n{}", worker.log());
            arena.stop(worker).await;
        }
        let (evidence, judgement) = arena.judge(&recovery(arena)).await;
        assert!(evidence.book.faults.iter().any(|fault| fault.process == STORE));
        Found { judgement, note: format!("works again after {took:.1?}") }
    }
}

pub(crate) async fn the_server_is_killed_and_started_again(mut arena: Arena) -> Found {
    let load = Load::start(&mut arena).await;
    let mut took = Vec::new();
    for _ in 0..3 {
        let millis = arena.rng.u64(0..800);
        tokio::time::sleep(Duration::from_millis(millis)).await;
        let down = Duration::from_millis(arena.rng.u64(0..1500));
        arena.kill_server(down).await;
        took.push(load.recovers(&mut arena).await);
    }
    load.end(&mut arena, &took).await
}

pub(crate) async fn the_server_is_frozen(mut arena: Arena) -> Found {
    let load = Load::start(&mut arena).await;
    // Longer than the clients' time-outs, and longer than the leases.
    arena.freeze_server(Duration::from_millis(4500)).await;
    let took = [load.recovers(&mut arena).await];
    load.end(&mut arena, &took).await
}

pub(crate) async fn the_line_is_cut_and_slowed_and_swallows(mut arena: Arena) -> Found {
    let load = Load::start(&mut arena).await;
    let mut all = Disturbance::ALL;
    arena.rng.shuffle(&mut all);
    let mut took = Vec::new();
    for how in all {
        arena.disturb(how, Duration::from_millis(2500)).await;
        took.push(load.recovers(&mut arena).await);
    }
    load.end(&mut arena, &took).await
}
