//! How a command ends: the exit codes, and the one function that prints an error's chain.

use std::fmt::Write as _;
use std::process::ExitCode;

/// What a failed command tells the shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 1: it failed.
    Failed,
    /// 3: a verification found a difference.
    Difference,
    /// 4: the configuration is wrong.
    Configuration,
    /// 5: a source cannot be reached.
    Unreachable,
    /// 6: the store is locked or damaged.
    Store,
}

impl Exit {
    const fn code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Difference => 3,
            Self::Configuration => 4,
            Self::Unreachable => 5,
            Self::Store => 6,
        }
    }
}

/// An error with the exit code that says what kind it is.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) error: anyhow::Error,
}

impl Failure {
    pub(crate) fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Self { exit, error: error.into() }
    }

    /// Prints the chain once, on standard error, and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        let mut text = format!("error: {}", self.error);
        for cause in self.error.chain().skip(1) {
            write!(text, "\n  because: {cause}").expect("a String takes everything");
        }
        crate::output::say(&text);
        ExitCode::from(self.exit.code())
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(Exit::Failed, error)
    }
}

/// Gives an error its exit code.
pub(crate) trait OrExit<T> {
    /// The value, or a failure with this exit code.
    fn or_exit(self, exit: Exit) -> Result<T, Failure>;
}

impl<T, E: Into<anyhow::Error>> OrExit<T> for Result<T, E> {
    fn or_exit(self, exit: Exit) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(exit, error))
    }
}
