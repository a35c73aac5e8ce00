//! Everything that is wrong with a configuration, in one error.

use std::fmt;

/// Why a configuration cannot be used: every mistake, not only the first.
pub struct ConfigError {
    mistakes: Vec<ConfigMistake>,
}

/// One mistake in a configuration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfigMistake {
    pub(super) file: Option<String>,
    pub(super) line: Option<usize>,
    pub(super) message: String,
}

impl ConfigError {
    /// None without mistakes.
    pub(crate) fn of(mistakes: Vec<ConfigMistake>) -> Option<Self> {
        (!mistakes.is_empty()).then_some(Self { mistakes })
    }

    /// The mistakes: those of the file from top to bottom, then those of variables.
    #[must_use]
    pub fn mistakes(&self) -> &[ConfigMistake] {
        &self.mistakes
    }
}

impl ConfigMistake {
    pub(super) fn of_variable(message: String) -> Self {
        Self { file: None, line: None, message }
    }

    /// The file that it is in; none for one of a variable, which the message names.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// The line, from 1, where it is in one.
    #[must_use]
    pub const fn line(&self) -> Option<usize> {
        self.line
    }

    /// What is wrong and what to write, without the place.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// ``extensions.toml:3: `async.tires` is no key; did you mean `async.tries`?``
impl fmt::Display for ConfigMistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            f.write_str(file)?;
            if let Some(line) = self.line {
                write!(f, ":{line}")?;
            }
            f.write_str(": ")?;
        }
        f.write_str(&self.message)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.mistakes.len();
        write!(f, "the configuration cannot be used: {n} mistake{}", if n == 1 { "" } else { "s" })?;
        for (i, mistake) in self.mistakes.iter().enumerate() {
            write!(f, "\n  {}. {mistake}", i + 1)?;
        }
        Ok(())
    }
}

/// `{:?}` is what `main` prints of an error, so it reads like `{}`; `{:#?}` shows the parts.
impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !f.alternate() {
            return fmt::Display::fmt(self, f);
        }
        f.debug_struct("ConfigError").field("mistakes", &self.mistakes).finish()
    }
}

impl std::error::Error for ConfigError {}
