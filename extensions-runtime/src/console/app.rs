//! What a console is the console of.

use std::sync::Arc;

use super::outcome::{Failure, Outcome};
use crate::builder::ExtensionsBuilder;
use crate::config::{Config, ConfigError};
use crate::instance::Extensions;
use crate::queue::{QueueBackend, connect_existing, in_memory, is_sync};
use crate::time::SystemClock;

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
            Code::Builder(builder) => build(builder.shared_queue(in_memory(Arc::new(SystemClock)))).await,
            Code::None => Err(no_code()),
        }
    }

    /// The instance with its queue, which is there already.
    pub(super) async fn instance(
        self,
        url: Option<&str>,
        change: impl FnOnce(ExtensionsBuilder) -> ExtensionsBuilder,
    ) -> Result<Extensions, Failure> {
        match self.0 {
            Code::Instance(_) if url.is_some() => Err(is_made()),
            Code::Instance(extensions) => Ok(extensions),
            Code::Builder(builder) => {
                let builder = told(*builder, url);
                // `sync:` is no store, and what is not to be opened may be anything.
                let url = builder.config()?.queue_url().filter(|url| !is_sync(url));
                let queue = match url {
                    Some(url) => Some(connect_existing(&url).await?),
                    None => None,
                };
                build(change(match queue {
                    Some(queue) => builder.shared_queue(queue),
                    None => builder,
                }))
                .await
            }
            Code::None => Err(no_code()),
        }
    }

    /// The store alone, which is there already.
    pub(super) async fn queue(self, url: Option<&str>) -> Result<Arc<dyn QueueBackend>, Failure> {
        if url.is_none() {
            let given = match &self.0 {
                Code::Instance(extensions) => extensions.queue(),
                Code::Builder(builder) => builder.given_queue(),
                Code::None => None,
            };
            if let Some(given) = given {
                return Ok(Arc::clone(given));
            }
        }
        Ok(connect_existing(&self.queue_url(url)?).await?)
    }

    /// What is configured, and the queue that is open already, if there is one.
    #[cfg(unix)]
    pub(super) fn supervised(
        self,
        url: Option<&str>,
    ) -> Result<(Config, Option<Arc<dyn QueueBackend>>), Failure> {
        let given = match (&self.0, url) {
            (Code::Instance(_), Some(_)) => return Err(is_made()),
            (Code::Instance(extensions), None) => extensions.queue().cloned(),
            (Code::Builder(builder), None) => builder.given_queue().cloned(),
            _ => None,
        };
        Ok((self.config(url)?, given))
    }

    /// The URL of the store.
    pub(super) fn queue_url(self, url: Option<&str>) -> Result<String, Failure> {
        let missing = "no queue is named; write `--queue-url URL`, set EXTENSIONS_QUEUE_URL, or `queue_url` in extensions.toml";
        let url = self.config(url)?.queue_url();
        url.ok_or_else(|| Failure::usage(missing))
    }

    /// What is configured.
    pub(super) fn config(self, url: Option<&str>) -> Result<Config, Failure> {
        let config = match (self.0, url) {
            (Code::Instance(extensions), None) => return Ok(extensions.config().clone()),
            (Code::Builder(builder), url) => told(*builder, url).config()?,
            (Code::Instance(_) | Code::None, url) => told(ExtensionsBuilder::new(), url).config()?,
        };
        Ok(config)
    }
}

/// The builder with the queue of `--queue-url` instead of its own.
fn told(builder: ExtensionsBuilder, url: Option<&str>) -> ExtensionsBuilder {
    match url {
        Some(url) => builder.without_given_queue().queue_url(url),
        None => builder,
    }
}

async fn build(builder: ExtensionsBuilder) -> Result<Extensions, Failure> {
    builder.build().await.map_err(|error| Failure::new(Outcome::Failed, error.to_string()))
}

fn is_made() -> Failure {
    Failure::usage(
        "`--queue-url` cannot change the queue of an instance that is made; give the builder to `console::run`",
    )
}

fn no_code() -> Failure {
    Failure::usage("this console belongs to no application; ask the application's own")
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(Outcome::Failed, error.to_string())
    }
}
