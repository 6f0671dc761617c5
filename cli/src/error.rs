//! What goes wrong, and the exit code that says so.

use std::process::ExitCode;

use remediation::{failure::Failure, settings::InvalidSettings};

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What was given cannot be read.
    #[error("{what}: {problem}")]
    Input {
        /// What was given.
        what: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The settings are wrong.
    #[error("{0}")]
    Settings(#[from] InvalidSettings),
    /// The function refused.
    #[error("{function} refused: {why}")]
    Refused {
        /// The function.
        function: String,
        /// Its words.
        why: String,
    },
    /// AWS did not answer as it should.
    #[error("{0}")]
    Aws(#[from] Failure),
}

impl Error {
    /// What cannot be read.
    pub fn input(what: impl ToString, problem: impl ToString) -> Self {
        Self::Input {
            what: what.to_string(),
            problem: problem.to_string(),
        }
    }

    /// The exit code.
    pub fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Refused { .. } | Self::Settings(_) => 1,
            Self::Input { .. } => 2,
            Self::Aws(_) => 3,
        })
    }
}
