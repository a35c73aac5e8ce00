//! Runs the cases, each as one test on a store and a runtime of its own.

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};

use super::{Bench, Case, Fixture, all};

/// The longest time that a case may take.
const TIME_OUT: Duration = Duration::from_secs(120);

/// Makes a fixture with a fresh store.
pub type Make = dyn Fn() -> Pin<Box<dyn Future<Output = Box<dyn Fixture>> + Send>> + Send + Sync;

/// A backend that is to be proved.
#[derive(Clone)]
pub struct Backend {
    /// Its name in lists.
    pub name: String,
    /// What makes its stores.
    pub make: Arc<Make>,
}

impl std::fmt::Debug for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Backend").field("name", &self.name).finish_non_exhaustive()
    }
}

/// How a case ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The backend keeps the rules.
    Passed,
    /// The backend cannot be asked, for this reason.
    Ignored(String),
    /// The backend breaks a rule, as the message says.
    Failed(String),
}

impl Backend {
    /// A backend by name and what makes its stores.
    pub fn new<F, T>(name: &str, make: F) -> Self
    where
        F: Fn() -> T + Send + Sync + 'static,
        T: Future<Output = Box<dyn Fixture>> + Send + 'static,
    {
        Self { name: name.to_owned(), make: Arc::new(move || Box::pin(make())) }
    }

    /// Runs one case on a fresh store.
    #[must_use]
    pub fn run(&self, case: &Case) -> Outcome {
        let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
        {
            Ok(runtime) => runtime,
            Err(error) => return Outcome::Failed(format!("no runtime: {error}")),
        };
        let run = catch_unwind(AssertUnwindSafe(|| runtime.block_on(self.attempt(case))));
        runtime.shutdown_timeout(Duration::from_secs(1));
        run.unwrap_or_else(|panic| Outcome::Failed(message(&*panic)))
    }

    async fn attempt(&self, case: &Case) -> Outcome {
        let fixture: Arc<dyn Fixture> = (self.make)().await.into();
        if let Some(reason) = case.excluded(&*fixture) {
            return Outcome::Ignored(reason);
        }
        match tokio::time::timeout(TIME_OUT, (case.run)(Bench::new(fixture))).await {
            Ok(()) => Outcome::Passed,
            Err(_) => Outcome::Failed(format!("not done after {TIME_OUT:?}")),
        }
    }

    /// The cases that cannot be run on this backend, each with the reason.
    fn excluded(&self) -> BTreeMap<&'static str, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let fixture = (self.make)().await;
            all().filter_map(|case| Some((case.name, case.excluded(&*fixture)?))).collect()
        })
    }
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked").to_owned()
}

/// The cases as tests for `backend`; `note` hears how each ended.
pub fn trials(backend: &Backend, note: impl Fn(&Case, &Outcome) + Send + Sync + 'static) -> Vec<Trial> {
    let (note, excluded) = (Arc::new(note), backend.excluded());
    all()
        .map(|case| {
            let name = format!("{} [{}]", case.name, case.rules_text());
            if let Some(reason) = excluded.get(case.name) {
                note(case, &Outcome::Ignored(reason.clone()));
                let name = format!("{name} ({reason})");
                return Trial::test(name, || Ok(())).with_kind(&backend.name).with_ignored_flag(true);
            }
            let (owner, note) = (backend.clone(), Arc::clone(&note));
            let run = move || {
                let outcome = owner.run(case);
                note(case, &outcome);
                match outcome {
                    Outcome::Failed(why) => Err(Failed::from(why)),
                    _ => Ok(()),
                }
            };
            Trial::test(name, run).with_kind(&backend.name)
        })
        .collect()
}

/// The `main` of a test target that proves one backend; see [`conformance!`](crate::conformance!).
pub fn main<F, T>(name: &str, make: F) -> ExitCode
where
    F: Fn() -> T + Send + Sync + 'static,
    T: Future<Output = Box<dyn Fixture>> + Send + 'static,
{
    let backend = Backend::new(name, make);
    let arguments = Arguments::from_args();
    libtest_mimic::run(&arguments, trials(&backend, |_, _| {})).exit_code()
}
