//! The ways in which a call can break.

use std::time::Duration;

use local_cloud::{Fault, Kill, Refusal};

/// What happens to the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Throttled,
    Internal,
    Unavailable,
    Denied,
    Garbage,
    Reset,
    Hang,
    Late,
    AnswerLost,
    KilledBefore,
    KilledAfter,
}

/// Whether only that call breaks, or all of its operation until the delivery ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasting {
    Once,
    ThroughTheDelivery,
}

pub const FAULTS: &[Kind] = &[
    Kind::Throttled,
    Kind::Internal,
    Kind::Unavailable,
    Kind::Denied,
    Kind::Garbage,
    Kind::Reset,
    Kind::Hang,
    Kind::Late,
    Kind::AnswerLost,
    Kind::KilledBefore,
    Kind::KilledAfter,
];

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::Internal => "HTTP 500",
            Self::Unavailable => "HTTP 503",
            Self::Denied => "denied",
            Self::Garbage => "garbage",
            Self::Reset => "connection reset",
            Self::Hang => "no answer",
            Self::Late => "late",
            Self::AnswerLost => "applied, answer lost",
            Self::KilledBefore => "killed before",
            Self::KilledAfter => "killed after",
        }
    }

    /// A process is killed once; a late call is only late.
    pub fn can_last(self) -> bool {
        !matches!(self, Self::Hang | Self::Late | Self::KilledBefore | Self::KilledAfter)
    }

    /// Whether the service may have got the call although the caller was told nothing.
    pub fn may_repeat(self) -> bool {
        matches!(self, Self::AnswerLost | Self::KilledAfter)
    }

    pub fn fault(self, kill: &Kill) -> Fault {
        let kill = kill.clone();
        let killing = std::sync::Arc::new(move || kill.now());
        match self {
            Self::Throttled => Fault::Refuse(Refusal::Throttled),
            Self::Internal => Fault::Refuse(Refusal::Internal),
            Self::Unavailable => Fault::Refuse(Refusal::Unavailable),
            Self::Denied => Fault::Refuse(Refusal::Denied),
            Self::Garbage => Fault::Garbage,
            Self::Reset => Fault::Reset,
            Self::Hang => Fault::Hang,
            Self::Late => Fault::Delay(Duration::from_millis(700)),
            Self::AnswerLost => Fault::LoseAnswer,
            Self::KilledBefore => Fault::Before(killing),
            Self::KilledAfter => Fault::After(killing),
        }
    }
}
