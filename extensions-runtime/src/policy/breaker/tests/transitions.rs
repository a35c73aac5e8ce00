//! Every road between the states, and the numbers at the ends of their ranges.

use std::time::Duration;

use crate::policy::breaker::BreakerStatus::{self, Closed, HalfOpen, Open};
use crate::policy::breaker::{Admit, BreakerMachine, BreakerOptions, Change, Permit};
use crate::time::secs;

const OPENED: Duration = secs(100);
const AFTER: Duration = secs(160);

fn permit(machine: &mut BreakerMachine, now: Duration) -> Permit {
    match machine.admit(now).0 {
        Admit::Allowed(permit) => permit,
        Admit::Refused { retry_in } => panic!("refused for {retry_in:?}"),
    }
}

fn fail(machine: &mut BreakerMachine, now: Duration) -> Option<Change> {
    let permit = permit(machine, now);
    machine.failure(permit, now)
}

fn succeed(machine: &mut BreakerMachine, now: Duration) -> Option<Change> {
    let permit = permit(machine, now);
    machine.success(permit)
}

fn times(n: u32, mut step: impl FnMut() -> Option<Change>) -> Option<Change> {
    (0..n).fold(None, |last, i| {
        assert_eq!(last, None, "before step {i}");
        step()
    })
}

/// A machine with the default numbers in that state.
fn in_state(status: BreakerStatus) -> BreakerMachine {
    let mut machine = BreakerMachine::new(BreakerOptions::default());
    if status != Closed {
        times(5, || fail(&mut machine, OPENED));
    }
    if status == HalfOpen {
        let probe = permit(&mut machine, AFTER);
        machine.give_back(probe);
    }
    machine
}

fn forced() -> BreakerMachine {
    let mut machine = in_state(Closed);
    machine.force_open();
    machine
}

type Row = (&'static str, BreakerMachine, fn(&mut BreakerMachine) -> Option<Change>, Option<BreakerStatus>);

#[test]
fn the_table_of_all_transitions() {
    let table: [Row; 22] = [
        ("a success", in_state(Closed), |m| succeed(m, OPENED), None),
        ("four failures", in_state(Closed), |m| times(4, || fail(m, OPENED)), None),
        ("five failures", in_state(Closed), |m| times(5, || fail(m, OPENED)), Some(Open)),
        ("opened by hand", in_state(Closed), BreakerMachine::force_open, Some(Open)),
        ("closed by hand", in_state(Closed), BreakerMachine::close, None),
        ("reset", in_state(Closed), BreakerMachine::reset, None),
        ("asked before the time-out is over", in_state(Open), |m| m.admit(secs(159)).1, None),
        ("asked after it", in_state(Open), |m| m.admit(AFTER).1, Some(HalfOpen)),
        ("opened by hand", in_state(Open), BreakerMachine::force_open, None),
        ("closed by hand", in_state(Open), BreakerMachine::close, Some(Closed)),
        ("reset", in_state(Open), BreakerMachine::reset, Some(Closed)),
        ("asked, ever", forced(), |m| m.admit(Duration::MAX).1, None),
        ("opened by hand again", forced(), BreakerMachine::force_open, None),
        ("closed by hand", forced(), BreakerMachine::close, Some(Closed)),
        ("reset", forced(), BreakerMachine::reset, Some(Closed)),
        ("two successes", in_state(HalfOpen), |m| times(2, || succeed(m, AFTER)), None),
        ("three successes", in_state(HalfOpen), |m| times(3, || succeed(m, AFTER)), Some(Closed)),
        ("a failure", in_state(HalfOpen), |m| fail(m, AFTER), Some(Open)),
        (
            "a failure after two successes",
            in_state(HalfOpen),
            |m| times(2, || succeed(m, AFTER)).or_else(|| fail(m, AFTER)),
            Some(Open),
        ),
        ("opened by hand", in_state(HalfOpen), BreakerMachine::force_open, Some(Open)),
        ("closed by hand", in_state(HalfOpen), BreakerMachine::close, Some(Closed)),
        ("reset", in_state(HalfOpen), BreakerMachine::reset, Some(Closed)),
    ];
    for (what, mut machine, step, to) in table {
        let from = machine.state.status();
        assert_eq!(step(&mut machine), to.map(|to| Change { from, to }), "{from}: {what}");
        assert_eq!(machine.state.status(), to.unwrap_or(from), "{from}: {what}");
    }
}

#[test]
fn a_success_in_between_starts_the_count_anew() {
    let mut machine = in_state(Closed);
    for _ in 0..10 {
        assert_eq!(times(4, || fail(&mut machine, OPENED)), None);
        assert_eq!((machine.failures(), succeed(&mut machine, OPENED)), (4, None));
    }
    assert!(machine.is_pristine());
}

#[test]
fn half_open_lets_three_through_and_one_more_for_each_that_ends() {
    let mut machine = in_state(HalfOpen);
    let probes = [(); 3].map(|()| permit(&mut machine, AFTER));
    assert_eq!(machine.admit(AFTER), (Admit::Refused { retry_in: Duration::ZERO }, None));
    machine.give_back(probes[0]);
    permit(&mut machine, AFTER);
    machine.success(probes[1]);
    permit(&mut machine, AFTER);
    assert_eq!(machine.admit(AFTER), (Admit::Refused { retry_in: Duration::ZERO }, None));
}

#[test]
fn a_slow_call_from_before_it_opened_does_not_count_after_it() {
    let mut machine = in_state(Closed);
    let slow = permit(&mut machine, OPENED);
    times(5, || fail(&mut machine, OPENED));
    assert_eq!(machine.success(slow), None);
    permit(&mut machine, AFTER);
    let before = machine.clone();
    assert_eq!(machine.failure(slow, AFTER), None);
    assert_eq!(machine, before);
}

#[test]
fn one_that_is_closed_already_keeps_its_failures_when_closed_and_loses_them_when_reset() {
    let mut machine = in_state(Closed);
    times(4, || fail(&mut machine, OPENED));
    let under_way = permit(&mut machine, OPENED);
    assert_eq!((machine.close(), machine.failures()), (None, 4));
    assert_eq!((machine.reset(), machine.failures()), (None, 0));
    assert_eq!((machine.failure(under_way, OPENED), machine.failures()), (None, 0));
}

#[test]
fn it_shows_as_half_open_as_soon_as_the_time_out_is_over() {
    let machine = in_state(Open);
    let before = AFTER - Duration::from_nanos(1);
    assert_eq!((machine.status(before), machine.status(AFTER)), (Open, HalfOpen));
    assert_eq!(machine.retry_in(OPENED), Some(secs(60)));
    assert_eq!((machine.retry_in(before), machine.retry_in(AFTER)), (Some(Duration::from_nanos(1)), None));
    assert_eq!((forced().status(Duration::MAX), forced().retry_in(AFTER)), (Open, Some(Duration::MAX)));
}

#[test]
fn nothing_overflows_at_the_ends_of_the_ranges() {
    let options = BreakerOptions::new().threshold(1).timeout(Duration::MAX);
    let mut machine = BreakerMachine::new(options.half_open_max(u32::MAX).successes(u32::MAX));
    fail(&mut machine, secs(1));
    assert_eq!(machine.retry_in(secs(1)), Some(Duration::MAX));
    assert_eq!(machine.status(Duration::MAX), Open);
    assert_eq!(machine.retry_in(Duration::MAX), Some(secs(1)));
    machine.reset();
    fail(&mut machine, Duration::MAX);
    assert_eq!(machine.status(Duration::MAX), Open);
    // A caller that read the time a little before the one whose failure opened it.
    assert_eq!(machine.retry_in(secs(1)), Some(Duration::MAX));
    let mut never = BreakerMachine::new(options.threshold(u32::MAX));
    never.failures = u32::MAX - 1;
    assert_eq!(fail(&mut never, secs(1)), Some(Change { from: Closed, to: Open }));
}

#[test]
fn options_that_cannot_be_are_named_with_what_to_write() {
    assert_eq!(BreakerOptions::default().check(), Ok(()));
    let zero = BreakerOptions::new().threshold(0).timeout(Duration::ZERO).half_open_max(0).successes(0);
    let wrong = zero.check().unwrap_err();
    for (message, option) in wrong.iter().zip(["threshold", "timeout", "half_open_max", "successes"]) {
        assert!(message.starts_with(&format!("`{option}` is 0")), "{message}");
        assert!(message.contains("; write "), "{message}");
    }
    assert_eq!(wrong.len(), 4);
    assert_eq!(BreakerOptions::new().successes(0).check().unwrap_err().len(), 1);
}

#[test]
fn statuses_have_one_name_everywhere() {
    for status in [Closed, Open, HalfOpen] {
        assert_eq!(serde_json::to_value(status).unwrap(), status.to_string());
    }
    assert_eq!(HalfOpen.as_str(), "half_open");
}
