//! A breaker written in the most obvious way: it keeps everything that ever happened and looks it up.

use std::time::Duration;

use crate::policy::breaker::{BreakerOptions, BreakerStatus};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Started,
    Succeeded,
    Failed,
    GivenBack,
}

/// What happened from one change of state to the next.
#[derive(Debug)]
struct Chapter {
    status: BreakerStatus,
    since: Duration,
    by_hand: bool,
    events: Vec<Event>,
}

/// A call of the model: the number of the chapter in which it started.
pub(super) type Call = usize;

#[derive(Debug)]
pub(super) struct Model {
    options: BreakerOptions,
    now: Duration,
    chapters: Vec<Chapter>,
}

impl Model {
    pub(super) fn new(options: BreakerOptions) -> Self {
        let mut model = Self { options, now: Duration::ZERO, chapters: Vec::new() };
        model.turn(BreakerStatus::Closed, false);
        model
    }

    fn turn(&mut self, status: BreakerStatus, by_hand: bool) {
        self.chapters.push(Chapter { status, since: self.now, by_hand, events: Vec::new() });
    }

    fn chapter(&self) -> &Chapter {
        self.chapters.last().expect("the first is always there")
    }

    fn count(&self, event: Event) -> usize {
        self.chapter().events.iter().filter(|other| **other == event).count()
    }

    pub(super) fn wait(&mut self, time: Duration) {
        self.now += time;
        let chapter = self.chapter();
        let ends = chapter.status == BreakerStatus::Open && !chapter.by_hand;
        if ends && self.now >= chapter.since + self.options.timeout {
            self.turn(BreakerStatus::HalfOpen, false);
        }
    }

    pub(super) fn admit(&mut self) -> Option<Call> {
        let out = self.count(Event::Started)
            - self.count(Event::Succeeded)
            - self.count(Event::Failed)
            - self.count(Event::GivenBack);
        let lets_through = match self.status() {
            BreakerStatus::Closed => true,
            BreakerStatus::Open => false,
            BreakerStatus::HalfOpen => out < self.options.half_open_max as usize,
        };
        lets_through.then(|| self.note(Event::Started))
    }

    fn note(&mut self, event: Event) -> Call {
        self.chapters.last_mut().expect("the first is always there").events.push(event);
        self.chapters.len() - 1
    }

    fn ends(&mut self, call: Call, event: Event) -> bool {
        let counts = call == self.chapters.len() - 1;
        if counts {
            self.note(event);
        }
        counts
    }

    pub(super) fn success(&mut self, call: Call) {
        let counts = self.ends(call, Event::Succeeded);
        let enough = self.count(Event::Succeeded) >= self.options.successes as usize;
        if counts && enough && self.status() == BreakerStatus::HalfOpen {
            self.turn(BreakerStatus::Closed, false);
        }
    }

    pub(super) fn failure(&mut self, call: Call) {
        let counts = self.ends(call, Event::Failed);
        let in_a_row = self.chapter().events.iter().rev();
        let in_a_row = in_a_row.filter(|event| [Event::Failed, Event::Succeeded].contains(event));
        let in_a_row = in_a_row.take_while(|event| **event == Event::Failed).count();
        let enough = match self.status() {
            BreakerStatus::Closed => in_a_row >= self.options.threshold as usize,
            BreakerStatus::Open => false,
            BreakerStatus::HalfOpen => true,
        };
        if counts && enough {
            self.turn(BreakerStatus::Open, false);
        }
    }

    pub(super) fn give_back(&mut self, call: Call) {
        self.ends(call, Event::GivenBack);
    }

    pub(super) fn force_open(&mut self) {
        self.turn(BreakerStatus::Open, true);
    }

    pub(super) fn close(&mut self) {
        if self.status() != BreakerStatus::Closed {
            self.reset();
        }
    }

    pub(super) fn reset(&mut self) {
        self.turn(BreakerStatus::Closed, false);
    }

    pub(super) fn status(&self) -> BreakerStatus {
        self.chapter().status
    }
}
