//! What can go wrong with a call to AWS, by what is to be done about it.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::text::one_line;

/// What an error asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// The service asks for fewer calls: wait, longer each time.
    Throttled,
    /// Somebody else wrote first: read afresh and decide afresh.
    Conflict,
    /// The service, or the way to it, failed: the call may or may not have been carried out.
    Transient,
    /// The role may not do this. Trying again changes nothing until somebody grants it.
    Denied,
    /// The request itself is refused. Trying again changes nothing.
    Permanent,
}

impl Class {
    /// Whether the engine may try again by itself.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        matches!(self, Self::Throttled | Self::Conflict | Self::Transient)
    }

    /// The pause before try number `attempt` (from 1), jittered by `jitter` in 0..=255 to keep instances apart.
    #[must_use]
    pub fn pause(self, attempt: u32, jitter: u8) -> Duration {
        let (base, cap) = match self {
            Self::Conflict => (20, 500),
            Self::Transient => (100, 2_000),
            Self::Throttled | Self::Denied | Self::Permanent => (400, 5_000),
        };
        let ceiling = u64::min(base << attempt.saturating_sub(1).min(8), cap);
        Duration::from_millis(ceiling / 2 + ceiling / 2 * u64::from(jitter) / 255)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Throttled => "throttled",
            Self::Conflict => "conflict",
            Self::Transient => "transient",
            Self::Denied => "denied",
            Self::Permanent => "permanent",
        })
    }
}

/// A call that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{operation}: {code}: {message} ({class})")]
pub struct Failure {
    /// What is to be done about it.
    pub class: Class,
    /// The service's error code, such as `WAFOptimisticLockException`.
    pub code: String,
    /// What the service said.
    pub message: String,
    /// The call, as `service:Operation`, the name of the IAM action where there is one.
    pub operation: String,
}

impl Failure {
    /// A failure of this class. The message is put in one line.
    pub fn new(
        class: Class,
        operation: impl Into<String>,
        code: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            class,
            code: code.into(),
            message: one_line(&message.into()),
            operation: operation.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_cap() {
        for class in [Class::Conflict, Class::Transient, Class::Throttled] {
            let pauses: Vec<_> = (1..40).map(|attempt| class.pause(attempt, 255)).collect();
            assert!(pauses.is_sorted(), "{class}");
            assert!(pauses.iter().all(|pause| *pause <= Duration::from_secs(5)), "{class}");
            assert!(class.pause(1, 0) > Duration::ZERO);
        }
    }

    #[test]
    fn a_pause_is_between_half_of_its_ceiling_and_the_whole() {
        for (class, attempt, jitter, millis) in [
            (Class::Conflict, 1, 0, 10),
            (Class::Conflict, 1, 255, 20),
            (Class::Transient, 2, 0, 100),
            (Class::Transient, 2, 51, 120),
            (Class::Throttled, 9, 255, 5_000),
        ] {
            assert_eq!(
                class.pause(attempt, jitter),
                Duration::from_millis(millis),
                "{class} {attempt} {jitter}"
            );
        }
    }
}
