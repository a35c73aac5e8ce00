//! Which processes of a pool are started and drained, and when. Decisions without I/O.

use std::time::{Duration, Instant};

use super::restart::{Ending, Restart};

/// The number of a process, unlike its pid never used again.
pub(super) type ProcessId = u64;

/// Where a process stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// It was started, and has not yet been ready.
    Starting,
    /// It has been ready, and was not told to end.
    Ready,
    /// It was told to end.
    Draining,
}

/// A process as far as the plan knows it.
#[derive(Debug, Clone)]
pub(super) struct Process {
    pub(super) id: ProcessId,
    /// Which configuration it was started with.
    pub(super) generation: u64,
    pub(super) phase: Phase,
    pub(super) started: Instant,
}

/// One of a pool's places. Usually one process has it; two while one takes over from the other.
#[derive(Debug, Default)]
pub(super) struct Seat {
    processes: Vec<Process>,
    restart: Restart,
}

/// What a pool is to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Want {
    /// How many processes; none while the supervisor ends.
    pub(super) processes: usize,
    /// Of which configuration.
    pub(super) generation: u64,
}

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// A process is to be started for this seat.
    Start(usize),
    /// This process is to drain and end.
    Drain(ProcessId),
}

/// What is to be done now, and when to ask again if nothing happens before.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) orders: Vec<Order>,
    pub(super) wake: Option<Instant>,
}

impl Plan {
    fn start_when_due(&mut self, at: usize, seat: &Seat, now: Instant) {
        match seat.restart.due().filter(|due| *due > now) {
            None => self.orders.push(Order::Start(at)),
            Some(due) => self.wake = Some(self.wake.map_or(due, |wake| wake.min(due))),
        }
    }

    fn drain<'a>(&mut self, processes: impl Iterator<Item = &'a Process>) {
        let serving = processes.filter(|process| process.phase != Phase::Draining);
        self.orders.extend(serving.map(|process| Order::Drain(process.id)));
    }
}

/// A pool's seats.
#[derive(Debug, Default)]
pub(super) struct Roster {
    seats: Vec<Seat>,
}

impl Seat {
    fn serving(&self) -> impl Iterator<Item = &Process> {
        self.processes.iter().filter(|process| process.phase != Phase::Draining)
    }

    /// The process that has proved itself most recently: the one to keep, if only one can be.
    fn best(&self) -> Option<&Process> {
        self.serving().max_by_key(|process| (process.phase == Phase::Ready, process.generation, process.id))
    }

    fn is_ready(&self) -> bool {
        self.serving().any(|process| process.phase == Phase::Ready)
    }

    /// Whether one process takes over from another, or one is missing.
    fn changes(&self) -> bool {
        self.processes.len() > 1 || self.serving().next().is_none()
    }

    /// Whether it has a process of this configuration that has not proved itself.
    fn proves(&self, generation: u64) -> bool {
        self.serving().any(|process| process.phase == Phase::Starting && process.generation >= generation)
    }
}

impl Roster {
    /// What is to be done. Asked again after the orders were carried out, it orders nothing more.
    pub(super) fn plan(&mut self, want: Want, now: Instant) -> Plan {
        while self.seats.len() > want.processes
            && self.seats.last().is_some_and(|seat| seat.processes.is_empty())
        {
            self.seats.pop();
        }
        if self.seats.len() < want.processes {
            self.seats.resize_with(want.processes, Seat::default);
        }
        let mut plan = Plan::default();
        let (wanted, surplus) = self.seats.split_at(want.processes);
        plan.drain(surplus.iter().flat_map(|seat| &seat.processes));
        for (at, seat) in wanted.iter().enumerate() {
            match seat.serving().count() {
                0 => plan.start_when_due(at, seat, now),
                1 => {}
                _ => take_over(&mut plan, seat, want),
            }
        }
        if !wanted.iter().any(|seat| seat.changes() || seat.proves(want.generation)) {
            let stale = |seat: &Seat| seat.serving().any(|process| process.generation < want.generation);
            if let Some(at) = wanted.iter().position(stale) {
                plan.start_when_due(at, &wanted[at], now);
            }
        }
        plan
    }

    /// A process was started for a seat, or could not be: then its end follows.
    pub(super) fn started(&mut self, at: usize, id: ProcessId, generation: u64, now: Instant) {
        if let Some(seat) = self.seats.get_mut(at) {
            seat.processes.push(Process { id, generation, phase: Phase::Starting, started: now });
        }
    }

    /// A process is ready.
    pub(super) fn ready(&mut self, id: ProcessId) {
        if let Some(process) = self.process(id)
            && process.phase == Phase::Starting
        {
            process.phase = Phase::Ready;
        }
    }

    /// A process was told to end.
    pub(super) fn drains(&mut self, id: ProcessId) {
        if let Some(process) = self.process(id) {
            process.phase = Phase::Draining;
        }
    }

    /// A process has ended: in order is with exit code 0, after having been ready. Answers with what it was.
    pub(super) fn ended(
        &mut self,
        id: ProcessId,
        in_order: bool,
        now: Instant,
        random: f64,
    ) -> Option<Process> {
        let seat =
            self.seats.iter_mut().find(|seat| seat.processes.iter().any(|process| process.id == id))?;
        let at = seat.processes.iter().position(|process| process.id == id)?;
        let process = seat.processes.remove(at);
        if process.phase != Phase::Draining {
            seat.restart.ended(Ending { in_order, started: process.started }, now, random);
        }
        Some(process)
    }

    fn process(&mut self, id: ProcessId) -> Option<&mut Process> {
        self.seats.iter_mut().flat_map(|seat| &mut seat.processes).find(|process| process.id == id)
    }

    /// Every process.
    pub(super) fn processes(&self) -> impl Iterator<Item = &Process> {
        self.seats.iter().flat_map(|seat| &seat.processes)
    }

    /// When the next process is started in a seat that has none.
    pub(super) fn next_start(&self, now: Instant) -> Option<Duration> {
        let waiting = self.seats.iter().filter(|seat| seat.serving().next().is_none());
        waiting.filter_map(|seat| seat.restart.due()).map(|due| due.saturating_duration_since(now)).max()
    }

    /// Whether every seat has had a ready process, all are of the wanted configuration, and none changes.
    pub(super) fn is_settled(&self, want: Want) -> bool {
        let settled = |seat: &Seat| {
            !seat.changes()
                && seat.is_ready()
                && seat.serving().all(|process| process.generation >= want.generation)
        };
        self.seats.len() == want.processes && self.seats.iter().all(settled)
    }
}

/// Two serve one seat: the older one drains once the newer one is ready. A newer one that is itself out of date gives way.
fn take_over(plan: &mut Plan, seat: &Seat, want: Want) {
    let Some(best) = seat.best() else { return };
    let newest = seat.serving().map(|process| process.generation).max().unwrap_or_default();
    let proved = best.phase == Phase::Ready && best.generation >= want.generation;
    if proved || newest < want.generation {
        plan.drain(seat.processes.iter().filter(|process| process.id != best.id));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::{Order, Phase, ProcessId, Roster, Want};

    /// A pool whose processes do as they are told, or die.
    struct World {
        roster: Roster,
        want: Want,
        now: Instant,
        next: ProcessId,
        /// When processes were started, by seat.
        starts: BTreeMap<usize, Vec<Instant>>,
    }

    impl World {
        fn new(processes: usize) -> Self {
            let want = Want { processes, generation: 0 };
            Self { roster: Roster::default(), want, now: Instant::now(), next: 0, starts: BTreeMap::new() }
        }

        fn of_phase(&self, phase: Phase) -> Vec<ProcessId> {
            self.roster
                .processes()
                .filter(|process| process.phase == phase)
                .map(|process| process.id)
                .collect()
        }

        /// Carries out what is to be done; nothing more may be ordered after it.
        fn turn(&mut self) {
            let plan = self.roster.plan(self.want, self.now);
            for order in &plan.orders {
                self.carry_out(*order);
            }
            let again = self.roster.plan(self.want, self.now);
            assert_eq!(again.orders, [], "after {:?}", plan.orders);
            assert!(
                again.wake.is_none_or(|wake| wake > self.now),
                "a wake that has passed would be a busy loop"
            );
        }

        fn carry_out(&mut self, order: Order) {
            match order {
                Order::Start(seat) => {
                    assert!(seat < self.want.processes, "no start for a seat that is given up");
                    self.roster.started(seat, self.next, self.want.generation, self.now);
                    self.starts.entry(seat).or_default().push(self.now);
                    self.next += 1;
                }
                Order::Drain(id) => {
                    self.may_drain(id);
                    self.roster.drains(id);
                }
            }
            let two = |seat: &super::Seat| seat.serving().count() > 1;
            let doubled = self.roster.seats.iter().take(self.want.processes).filter(|seat| two(seat)).count();
            assert!(doubled <= 1 || self.want.processes == 0, "one process at a time is replaced");
        }

        /// A ready process drains only where another is ready in its seat, or where the seat is given up.
        fn may_drain(&self, id: ProcessId) {
            let (at, seat) = self
                .roster
                .seats
                .iter()
                .enumerate()
                .find(|(_, seat)| seat.processes.iter().any(|process| process.id == id))
                .expect("it has a seat");
            let process = seat.processes.iter().find(|process| process.id == id).expect("it sits");
            let other = seat.serving().any(|other| other.id != id && other.phase == Phase::Ready);
            let superseded = process.phase == Phase::Starting && seat.serving().count() > 1;
            assert!(at >= self.want.processes || other || superseded, "{process:?} drains for nobody");
        }

        fn settle(&mut self) {
            for _ in 0..200 {
                self.turn();
                for id in self.of_phase(Phase::Starting) {
                    self.roster.ready(id);
                }
                for id in self.of_phase(Phase::Draining) {
                    self.roster.ended(id, true, self.now, 0.5);
                }
                self.now += Duration::from_secs(61);
            }
            self.turn();
        }
    }

    #[test]
    fn a_roll_replaces_one_process_after_the_other_each_proved_ready_first() {
        let mut world = World::new(2);
        world.turn();
        assert_eq!(world.of_phase(Phase::Starting), [0, 1]);
        world.roster.ready(0);
        world.roster.ready(1);
        assert!(world.roster.is_settled(world.want));
        world.want.generation = 1;
        assert!(!world.roster.is_settled(world.want));
        world.turn();
        assert_eq!((world.of_phase(Phase::Starting), world.of_phase(Phase::Draining)), (vec![2], vec![]));
        world.roster.ready(2);
        world.turn();
        assert_eq!(world.of_phase(Phase::Draining), [0], "the new one is ready");
        assert!(world.of_phase(Phase::Starting).is_empty(), "the next waits until the old one is gone");
        world.roster.ended(0, true, world.now, 0.5);
        world.turn();
        assert_eq!(world.of_phase(Phase::Starting), [3]);
        world.roster.ready(3);
        world.turn();
        world.roster.ended(1, true, world.now, 0.5);
        world.turn();
        assert_eq!(world.of_phase(Phase::Ready), [2, 3]);
        assert!(world.roster.is_settled(world.want));
    }

    #[test]
    fn a_new_process_that_dies_leaves_the_old_one_alone() {
        let mut world = World::new(1);
        world.turn();
        world.roster.ready(0);
        world.want.generation = 1;
        for _ in 0..5 {
            world.turn();
            let new = world.of_phase(Phase::Starting);
            assert_eq!(new.len(), 1);
            world.roster.ended(new[0], false, world.now, 0.5);
            world.turn();
            assert!(world.of_phase(Phase::Starting).is_empty(), "not before its time");
            world.now += Duration::from_secs(70);
        }
        assert_eq!(world.of_phase(Phase::Ready), [0]);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Ready(usize),
        Ends(usize, bool),
        Passes(u64),
        Rolls,
        Resizes(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => any::<usize>().prop_map(Step::Ready),
            3 => (any::<usize>(), any::<bool>()).prop_map(|(which, in_order)| Step::Ends(which, in_order)),
            3 => (0_u64..2_000).prop_map(Step::Passes),
            1 => Just(Step::Rolls),
            1 => (0_usize..4).prop_map(Step::Resizes),
        ]
    }

    proptest! {
        #[test]
        fn whatever_happens_seats_are_kept_and_in_the_end_filled(steps in prop::collection::vec(step(), 0..120)) {
            let mut world = World::new(2);
            world.turn();
            for step in steps {
                let all: Vec<_> = world.roster.processes().map(|process| process.id).collect();
                match step {
                    Step::Ready(which) if !all.is_empty() => world.roster.ready(all[which % all.len()]),
                    Step::Ends(which, in_order) if !all.is_empty() => {
                        world.roster.ended(all[which % all.len()], in_order, world.now, 0.5);
                    }
                    Step::Passes(millis) => world.now += Duration::from_millis(millis),
                    Step::Rolls => world.want.generation += 1,
                    Step::Resizes(processes) => world.want.processes = processes,
                    Step::Ready(_) | Step::Ends(..) => {}
                }
                world.turn();
            }
            world.settle();
            prop_assert!(world.roster.is_settled(world.want));
            let current = world.roster.processes().all(|process| process.generation == world.want.generation);
            prop_assert!(current && world.roster.processes().count() == world.want.processes);
        }

        #[test]
        fn a_process_that_always_dies_at_once_is_started_ever_more_rarely(
            lives in prop::collection::vec((0_u64..900, any::<bool>(), any::<bool>()), 30),
        ) {
            let mut world = World::new(1);
            let start = world.now;
            for (life, is_ready, in_order) in lives {
                while world.of_phase(Phase::Starting).is_empty() {
                    world.turn();
                    world.now += Duration::from_millis(10);
                }
                world.now += Duration::from_millis(life);
                let id = world.of_phase(Phase::Starting)[0];
                if is_ready {
                    world.roster.ready(id);
                }
                world.roster.ended(id, in_order, world.now, 0.5);
            }
            let starts = &world.starts[&0];
            for within in [5, 60, 600] {
                let count = starts.iter().filter(|at| **at < start + Duration::from_secs(within)).count() as u64;
                prop_assert!(count <= 2 * within + 1, "{count} starts in {within} s");
            }
        }
    }
}
