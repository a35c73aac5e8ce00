//! What a console is the console of.

use std::sync::Arc;

use super::outcome::{Failure, Outcome};
use crate::builder::ExtensionsBuilder;
use crate::instance::Extensions;
use crate::queue::{Memory, QueueBackend, connect};

/// The application that a console belongs to.
///
/// Best made of a builder: then `--queue-url` holds for every command, commands that need no store open none, and what is wrong with
/// the store is said before anything is done.
#[derive(Debug)]
pub struct App(Code);

#[derive(Debug)]
enum Code {
    Instance(Extensions),
    Builder(Box<ExtensionsBuilder>),
    None,
}

impl From<Extensions> for App {
    fn from(extensions: Extensions) -> Self {
        Self(Code::Instance(extensions))
    }
}

impl From<ExtensionsBuilder> for App {
    fn from(builder: ExtensionsBuilder) -> Self {
        Self(Code::Builder(Box::new(builder)))
    }
}

impl App {
    /// No application: the console has only the commands that need no handler's code.
    #[must_use]
    pub const fn store() -> Self {
        Self(Code::None)
    }

    /// Whether there are handlers, or might be.
    pub(super) const fn has_code(&self) -> bool {
        !matches!(self.0, Code::None)
    }

    /// The instance, for its registry only: where it is still to be made, no store is opened.
    pub(super) async fn registry(self) -> Result<Extensions, Failure> {
        match self.0 {
            Code::Instance(extensions) => Ok(extensions),
            Code::Builder(builder) if builder.given_queue().is_some() => build(*builder).await,
            Code::Builder(builder) => build(builder.queue(Memory::new())).await,
            Code::None => Err(no_code()),
        }
    }

    /// The instance with its queue.
    pub(super) async fn instance(
        self,
        url: Option<&str>,
        change: impl FnOnce(ExtensionsBuilder) -> ExtensionsBuilder,
    ) -> Result<Extensions, Failure> {
        match self.0 {
            Code::Instance(_) if url.is_some() => Err(Failure::usage(
                "`--queue-url` cannot change the queue of an instance that is made; give the builder to `console::run`",
            )),
            Code::Instance(extensions) => Ok(extensions),
            Code::Builder(builder) => match wanted(&builder, url) {
                Some(url) => {
                    let queue = connect(&url).await?;
                    build(change(builder.shared_queue(queue))).await
                }
                None => build(change(*builder)).await,
            },
            Code::None => Err(no_code()),
        }
    }

    /// The store alone.
    pub(super) async fn queue(self, url: Option<&str>) -> Result<Arc<dyn QueueBackend>, Failure> {
        let url = match (&self.0, url) {
            (_, Some(url)) => Some(url.to_owned()),
            (Code::Instance(extensions), None) => match extensions.queue() {
                Some(queue) => return Ok(Arc::clone(queue)),
                None => None,
            },
            (Code::Builder(builder), None) => match builder.given_queue() {
                Some(queue) => return Ok(Arc::clone(queue)),
                None => builder.chosen_queue_url(),
            },
            (Code::None, None) => ExtensionsBuilder::new().chosen_queue_url(),
        };
        let missing = "there is no queue to look at; write `--queue-url URL`, or set EXTENSIONS_QUEUE_URL";
        Ok(connect(&url.ok_or_else(|| Failure::usage(missing))?).await?)
    }
}

/// The URL to open instead of what the builder would.
fn wanted(builder: &ExtensionsBuilder, url: Option<&str>) -> Option<String> {
    let chosen = || builder.chosen_queue_url().filter(|url| !crate::queue::is_sync(url));
    match url {
        Some(url) => Some(url.to_owned()),
        None if builder.given_queue().is_some() => None,
        None => chosen(),
    }
}

async fn build(builder: ExtensionsBuilder) -> Result<Extensions, Failure> {
    builder.build().await.map_err(|error| Failure::new(Outcome::Failed, error.to_string()))
}

fn no_code() -> Failure {
    Failure::usage("this console belongs to no application; ask the application's own")
}
