//! What holds after any sequence of steps.

use std::time::Duration;

use proptest::prelude::*;

use super::model::{Call, Model};
use crate::policy::breaker::{Admit, BreakerMachine, BreakerOptions, BreakerStatus, Change, Permit};

const TICK: Duration = Duration::from_nanos(1);

#[derive(Debug, Clone)]
enum Step {
    Admit,
    /// Of any call that has not ended, however old.
    Success(usize),
    Failure(usize),
    GiveBack(usize),
    Wait(Duration),
    ForceOpen,
    Close,
    Reset,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => Just(Step::Admit),
        5 => any::<usize>().prop_map(Step::Success),
        8 => any::<usize>().prop_map(Step::Failure),
        2 => any::<usize>().prop_map(Step::GiveBack),
        5 => (0_u64..40).prop_map(|nanos| Step::Wait(Duration::from_nanos(nanos))),
        1 => Just(Step::ForceOpen),
        1 => Just(Step::Close),
        1 => Just(Step::Reset),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 0..150)
}

prop_compose! {
    /// Small numbers, so that every state is reached often.
    fn options()(threshold in 1_u32..5, timeout in 1_u64..60, max in 1_u32..4, successes in 1_u32..5) -> BreakerOptions {
        let options = BreakerOptions::new().threshold(threshold).timeout(Duration::from_nanos(timeout));
        options.half_open_max(max).successes(successes)
    }
}

/// The machine and the model, side by side.
struct Run {
    options: BreakerOptions,
    machine: BreakerMachine,
    model: Model,
    now: Duration,
    /// The calls that have not ended, in both.
    out: Vec<(Permit, Call)>,
    changes: Vec<Change>,
    /// Every permit that was ever given.
    given: Vec<Permit>,
}

impl Run {
    fn new(options: BreakerOptions) -> Self {
        let (machine, model) = (BreakerMachine::new(options), Model::new(options));
        let (out, changes, given) = (Vec::new(), Vec::new(), Vec::new());
        Self { options, machine, model, now: Duration::ZERO, out, changes, given }
    }

    fn after(options: BreakerOptions, steps: &[Step]) -> Self {
        let mut run = Self::new(options);
        steps.iter().for_each(|step| run.take(step));
        run
    }

    /// One that nobody holds open by hand.
    fn not_forced(options: BreakerOptions, steps: &[Step]) -> Self {
        let mut run = Self::after(options, steps);
        if run.machine.retry_in(run.now) == Some(Duration::MAX) {
            run.take(&Step::Close);
        }
        run
    }

    fn end(&mut self, pick: usize) -> Option<(Permit, Call)> {
        (!self.out.is_empty()).then(|| self.out.swap_remove(pick % self.out.len()))
    }

    fn admit(&mut self) -> Option<Permit> {
        let (admit, change) = self.machine.admit(self.now);
        self.changes.extend(change);
        let call = self.model.admit();
        match (admit, call) {
            (Admit::Allowed(permit), Some(call)) => {
                self.out.push((permit, call));
                self.given.push(permit);
                Some(permit)
            }
            (Admit::Refused { retry_in }, None) => {
                assert_eq!(Some(retry_in), self.machine.retry_in(self.now));
                None
            }
            (machine, model) => panic!("the machine says {machine:?}, the model {model:?}"),
        }
    }

    fn take(&mut self, step: &Step) {
        let change = match step {
            Step::Admit => {
                self.admit();
                None
            }
            Step::Success(pick) => self.end(*pick).and_then(|(permit, call)| {
                self.model.success(call);
                self.machine.success(permit)
            }),
            Step::Failure(pick) => self.end(*pick).and_then(|(permit, call)| {
                self.model.failure(call);
                self.machine.failure(permit, self.now)
            }),
            Step::GiveBack(pick) => {
                if let Some((permit, call)) = self.end(*pick) {
                    self.model.give_back(call);
                    self.machine.give_back(permit);
                }
                None
            }
            Step::Wait(time) => {
                self.now += *time;
                self.model.wait(*time);
                None
            }
            Step::ForceOpen => {
                self.model.force_open();
                self.machine.force_open()
            }
            Step::Close => {
                self.model.close();
                self.machine.close()
            }
            Step::Reset => {
                self.model.reset();
                self.machine.reset()
            }
        };
        self.changes.extend(change);
    }

    fn status(&self) -> BreakerStatus {
        self.machine.status(self.now)
    }

    /// How many of the calls that have not ended take a place in half-open.
    fn probes(&self) -> usize {
        self.out.iter().filter(|(permit, _)| permit.probe && !self.machine.is_stale(*permit)).count()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_machine_does_what_the_model_does(options in options(), steps in steps()) {
        let mut run = Run::new(options);
        for step in &steps {
            run.take(step);
            prop_assert_eq!(run.status(), run.model.status(), "after {:?}", step);
        }
    }

    #[test]
    fn no_more_than_half_open_max_calls_are_out_in_half_open(options in options(), steps in steps()) {
        let mut run = Run::new(options);
        for step in &steps {
            run.take(step);
            prop_assert!(run.probes() <= options.half_open_max as usize);
        }
    }

    #[test]
    fn exactly_threshold_failures_in_a_row_open_it(
        options in options(),
        steps in steps(),
        row in prop::collection::vec(any::<bool>(), 0..30),
    ) {
        let mut run = Run::after(options, &steps);
        run.take(&Step::Reset);
        let mut in_a_row = 0;
        for succeeds in row {
            let permit = run.admit().expect("it is closed");
            if succeeds {
                in_a_row = 0;
                prop_assert_eq!(run.machine.success(permit), None);
            } else {
                in_a_row += 1;
                run.machine.failure(permit, run.now);
            }
            prop_assert_eq!(run.machine.failures(), in_a_row);
            prop_assert_eq!(run.machine.is_pristine(), in_a_row == 0);
            if in_a_row == options.threshold {
                prop_assert_eq!(run.status(), BreakerStatus::Open);
                break;
            }
            prop_assert_eq!(run.status(), BreakerStatus::Closed);
        }
    }

    #[test]
    fn it_closes_again_when_calls_succeed_for_long_enough(options in options(), steps in steps()) {
        let mut run = Run::not_forced(options, &steps);
        while !run.out.is_empty() {
            run.take(&Step::Success(0));
        }
        let mut rounds = 0;
        while run.status() != BreakerStatus::Closed {
            rounds += 1;
            prop_assert!(rounds <= options.successes + 1, "still {}", run.status());
            run.take(&Step::Wait(run.machine.retry_in(run.now).unwrap_or_default()));
            run.take(&Step::Admit);
            run.take(&Step::Success(0));
        }
        run.take(&Step::Admit);
        run.take(&Step::Success(0));
        prop_assert!(run.machine.is_pristine());
    }

    #[test]
    fn results_from_before_the_last_change_change_nothing(options in options(), steps in steps()) {
        let mut run = Run::new(options);
        for step in &steps {
            run.take(step);
            let before = run.machine.clone();
            for stale in run.given.iter().filter(|permit| before.is_stale(**permit)) {
                prop_assert_eq!(run.machine.success(*stale), None);
                prop_assert_eq!(run.machine.failure(*stale, run.now), None);
                run.machine.give_back(*stale);
            }
            prop_assert_eq!(&run.machine, &before);
        }
    }

    #[test]
    fn one_failure_in_half_open_opens_it_for_a_full_time_out(options in options(), steps in steps()) {
        let mut run = Run::new(options);
        for step in &steps {
            let was_half_open = run.status() == BreakerStatus::HalfOpen;
            let probes = run.probes();
            run.take(step);
            let failed = matches!(step, Step::Failure(_)) && run.probes() < probes;
            if was_half_open && failed {
                prop_assert_eq!(run.machine.retry_in(run.now), Some(options.timeout));
                prop_assert_eq!(run.machine.status(run.now + options.timeout - TICK), BreakerStatus::Open);
                prop_assert_eq!(run.machine.status(run.now + options.timeout), BreakerStatus::HalfOpen);
            }
        }
    }

    #[test]
    fn each_change_starts_where_the_last_one_led(options in options(), steps in steps()) {
        let run = Run::after(options, &steps);
        let mut at = BreakerStatus::Closed;
        for change in &run.changes {
            prop_assert_eq!(change.from, at);
            prop_assert_ne!(change.to, at);
            at = change.to;
        }
        prop_assert_eq!(run.machine.state.status(), at);
    }

    #[test]
    fn a_call_is_refused_exactly_as_long_as_is_said(options in options(), steps in steps()) {
        let run = Run::after(options, &steps);
        let admits = |now| matches!(run.machine.clone().admit(now).0, Admit::Allowed(_));
        match run.machine.retry_in(run.now) {
            None => prop_assert!(admits(run.now)),
            Some(Duration::ZERO) => prop_assert_eq!(run.probes(), run.options.half_open_max as usize),
            Some(Duration::MAX) => prop_assert!(!admits(Duration::MAX)),
            Some(rest) => {
                prop_assert!(!admits(run.now + rest - TICK));
                prop_assert!(admits(run.now + rest));
            }
        }
    }
}
