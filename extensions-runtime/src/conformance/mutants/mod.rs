//! Deliberately broken backends: what the suite is for. Each must be caught by the case it names.

mod faults;
mod mutant;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

pub use self::faults::Fault;
use self::mutant::Mutant;
use super::{Backend, Fixture, MemoryFixture, Outcome, Step, all};
use crate::queue::QueueBackend;

/// What became of a mutant.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// The mutant.
    pub fault: Fault,
    /// The message of the case that caught it, if it did.
    pub caught: Option<String>,
}

/// Runs the named case against the mutant.
#[must_use]
pub fn hunt(fault: Fault) -> Verdict {
    let backend = backend(Some(fault));
    let case = all().find(|case| case.name == fault.caught_by());
    let outcome = case.map(|case| backend.run(case));
    let caught = match outcome {
        Some(Outcome::Failed(why)) => Some(why),
        _ => None,
    };
    Verdict { fault, caught }
}

/// The backend from which mutants are made, with a fault or sound.
#[must_use]
pub fn backend(fault: Option<Fault>) -> Backend {
    let name = fault.map_or_else(|| "unbroken mutant".to_owned(), |fault| format!("{fault:?}"));
    Backend::new(&name, move || async move {
        let memory = MemoryFixture::new();
        let mutant = Mutant::new(memory.memory(), fault);
        Box::new(MutantFixture { memory, mutant }) as Box<dyn Fixture>
    })
}

struct MutantFixture {
    memory: MemoryFixture,
    mutant: Mutant,
}

impl Fixture for MutantFixture {
    fn backend(&self) -> Arc<dyn QueueBackend> {
        Arc::new(self.mutant.clone())
    }

    fn reopen(&self) -> Step<'_, Arc<dyn QueueBackend>> {
        Box::pin(async { Arc::new(self.mutant.second_handle()) as Arc<dyn QueueBackend> })
    }

    fn advance(&self, by: Duration) -> Step<'_, ()> {
        self.memory.advance(by)
    }

    fn can_obstruct(&self) -> bool {
        true
    }

    fn obstruct(&self) -> Box<dyn Any + Send> {
        Box::new(self.mutant.refuse())
    }
}
