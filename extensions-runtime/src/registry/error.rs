//! Everything that is wrong at start-up, in one error.

use std::fmt;

use crate::config::ConfigMistake;
use crate::point::Location;
use crate::queue::QueueError;

/// Why an instance could not be built, or handlers not be registered: every problem, not only the first.
pub struct BuildError {
    outcome: &'static str,
    problems: Vec<BuildProblem>,
}

impl BuildError {
    pub(crate) const fn at_start(problems: Vec<BuildProblem>) -> Self {
        Self { outcome: "the instance cannot start", problems }
    }

    pub(crate) const fn while_running(problems: Vec<BuildProblem>) -> Self {
        Self { outcome: "nothing was registered", problems }
    }

    /// The problems.
    #[must_use]
    pub fn problems(&self) -> &[BuildProblem] {
        &self.problems
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.problems.len();
        write!(f, "{}: {n} problem{}", self.outcome, if n == 1 { "" } else { "s" })?;
        for (i, problem) in self.problems.iter().enumerate() {
            write!(f, "\n  {}. {problem}", i + 1)?;
        }
        Ok(())
    }
}

/// `{:?}` is what `main` prints of an error, so it reads like `{}`; `{:#?}` shows the parts.
impl fmt::Debug for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !f.alternate() {
            return fmt::Display::fmt(self, f);
        }
        f.debug_struct("BuildError").field("problems", &self.problems).finish()
    }
}

impl std::error::Error for BuildError {}

/// One thing that is wrong at start-up.
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildProblem {
    /// Two points have one wire name.
    DuplicatePoint {
        /// The name.
        name: String,
        /// One point's path and place.
        first: (String, Location),
        /// The other's.
        second: (String, Location),
    },
    /// Two handlers of one point have one name, or a name is another's alias.
    DuplicateHandler {
        /// The point's wire name.
        point: String,
        /// The name.
        name: String,
        /// One handler's path and place.
        first: (String, Location),
        /// The other's.
        second: (String, Location),
    },
    /// A handler needs a resource that was not given.
    MissingResource {
        /// The handler.
        handler: String,
        /// The field or parameter.
        field: String,
        /// The resource's type.
        resource: &'static str,
        /// Where the handler is defined.
        location: Location,
    },
    /// A handler's constructor failed.
    Constructor {
        /// The handler.
        handler: String,
        /// Where the handler is defined.
        location: Location,
        /// What it said.
        error: String,
    },
    /// An option of a handler cannot be.
    Option {
        /// The handler.
        handler: String,
        /// Where the handler is defined.
        location: Location,
        /// What is wrong and what to write.
        message: String,
    },
    /// A handler's declaration and its definition do not agree.
    DeclarationDiffers {
        /// The handler.
        handler: String,
        /// Where it is declared.
        declared: Location,
        /// Where it is defined.
        defined: Location,
        /// The options that differ.
        differences: String,
    },
    /// Something that the builder was given cannot be.
    Setting {
        /// What is wrong and what to write.
        message: String,
    },
    /// A rename names nothing that is registered, or gives a name that cannot be.
    Rename {
        /// What is wrong and what to write.
        message: String,
    },
    /// There are async handlers and no queue.
    NoQueue {
        /// The handlers.
        handlers: Vec<String>,
    },
    /// The queue cannot do what a handler asks for.
    Unsupported {
        /// The handler.
        handler: String,
        /// Where the handler is defined.
        location: Location,
        /// What it asks for.
        message: String,
    },
    /// The configuration has a mistake.
    Config(ConfigMistake),
    /// The queue could not be opened.
    Queue(QueueError),
}

impl fmt::Display for BuildProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DuplicatePoint { name, first, second } => write!(
                f,
                "two points have the wire name `{name}`: `{}` ({}) and `{}` ({}); write \
                 `#[extension_point(name = \"…\")]` on one, or `.rename_point(\"{}\", \"…\")` on the builder",
                first.0, first.1, second.0, second.1, second.0
            ),
            Self::DuplicateHandler { point, name, first, second } => write!(
                f,
                "two handlers of `{point}` have the name `{name}`: `{}` ({}) and `{}` ({}); give one another name: \
                 `name = \"…\"` in its attribute, `.name(\"…\")` in its options, or `.rename_handler(\"{}\", \"…\")` on the builder",
                first.0, first.1, second.0, second.1, second.0
            ),
            Self::MissingResource { handler, field, resource, location } => write!(
                f,
                "`{handler}` ({location}) needs the resource `{resource}` for `{field}`; give it with `.resource(…)` on the \
                 builder"
            ),
            Self::Constructor { handler, location, error } => {
                write!(f, "the constructor of `{handler}` ({location}) failed: {error}")
            }
            Self::Option { handler, location, message }
            | Self::Unsupported { handler, location, message } => {
                write!(f, "`{handler}` ({location}): {message}")
            }
            Self::DeclarationDiffers { handler, declared, defined, differences } => write!(
                f,
                "`{handler}` is declared ({declared}) with other options than it is defined with ({defined}): {differences}; \
                 make them the same"
            ),
            Self::Setting { message } | Self::Rename { message } => f.write_str(message),
            Self::NoQueue { handlers } => write!(
                f,
                "there are async handlers ({}) and no queue; write `.queue_url(\"sqlite://jobs.db\")` or `.queue(…)` on the \
                 builder, set EXTENSIONS_QUEUE_URL, or write `queue_url = \"sqlite://jobs.db\"` in extensions.toml",
                handlers.join(", ")
            ),
            Self::Config(mistake) => mistake.fmt(f),
            Self::Queue(error) => write!(f, "the queue cannot be opened: {error:?}"),
        }
    }
}
