//! How a matter ends, and why.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{failure::Failure, text::one_line};

/// Why something was not done, or not by us.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// A stable word for counting and filtering, such as `protected-address`.
    pub code: String,
    /// The explanation for a reader.
    pub text: String,
}

impl Reason {
    /// The code of a refusal because an operator took the change back. It is final for every finding version that met
    /// it: once the hold is over only newer findings may bring the change again.
    pub const UNDONE: &str = "undone";

    /// The code of a plan that waits because the changes of the hour are made.
    pub const BUDGET: &str = "budget";

    /// Of an undo that finds its change taken back by another record of it.
    #[must_use]
    pub fn undone_before() -> Self {
        Self::new("undone-before", "it was undone by another record of the same change")
    }

    /// A reason. The text may quote what somebody else has chosen, so it is put in one line.
    pub fn new(code: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            text: one_line(&text.into()),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.text, self.code)
    }
}

/// How a matter ended. A finding may hold several matters: one per target and scope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub enum Outcome {
    /// The change was made, and read back.
    Remediated(Reason),
    /// The state was already as it should be; nothing was written.
    AlreadyInPlace(Reason),
    /// Dry run: this is what would have been done.
    WouldRemediate(Reason),
    /// The plan waits for an operator's word.
    AwaitingApproval(Reason),
    /// Not done, by rule.
    Declined(Reason),
    /// Not done here: a person has to.
    Escalated(Reason),
    /// Tried, and not achieved. It is retried by redelivery and ends in the dead-letter queue.
    Failed(Failure),
    /// The change was reverted, and read back.
    Undone(Reason),
}

impl Outcome {
    /// The outcome's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Remediated(_) => "Remediated",
            Self::AlreadyInPlace(_) => "AlreadyInPlace",
            Self::WouldRemediate(_) => "WouldRemediate",
            Self::AwaitingApproval(_) => "AwaitingApproval",
            Self::Declined(_) => "Declined",
            Self::Escalated(_) => "Escalated",
            Self::Failed(_) => "Failed",
            Self::Undone(_) => "Undone",
        }
    }

    /// The explanation.
    #[must_use]
    pub fn why(&self) -> String {
        match self {
            Self::Remediated(reason)
            | Self::AlreadyInPlace(reason)
            | Self::WouldRemediate(reason)
            | Self::AwaitingApproval(reason)
            | Self::Declined(reason)
            | Self::Escalated(reason)
            | Self::Undone(reason) => reason.to_string(),
            Self::Failed(failure) => failure.to_string(),
        }
    }

    /// Whether a redelivery of the same finding version has nothing left to do. A plan that was only shown, a refusal
    /// whose ground may have gone and a failure are looked at again.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::Remediated(_) | Self::AlreadyInPlace(_) | Self::Undone(_) => true,
            Self::Declined(reason) => reason.code == Reason::UNDONE,
            Self::WouldRemediate(_) | Self::AwaitingApproval(_) | Self::Escalated(_) | Self::Failed(_) => false,
        }
    }

    /// Whether the resource is as it shall be.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Remediated(_) | Self::AlreadyInPlace(_))
    }

    /// Whether people are told of it unasked: something was changed, or is for them to do.
    #[must_use]
    pub fn is_notable(&self) -> bool {
        matches!(
            self,
            Self::Remediated(_) | Self::AwaitingApproval(_) | Self::Escalated(_) | Self::Undone(_)
        )
    }

    /// Whether the message must be delivered again.
    #[must_use]
    pub fn needs_redelivery(&self) -> bool {
        matches!(self, Self::Failed(_))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name(), self.why())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refusal_for_an_undo_is_final() {
        let declined = |code: &str| Outcome::Declined(Reason::new(code, "because"));
        assert!(declined(Reason::UNDONE).is_final() && !declined("exempt").is_final());
        assert_eq!(declined("exempt").to_string(), "Declined: because (exempt)");
    }
}
