//! A clock that follows tokio's, so that a test with paused time needs no waiting.

use std::time::Duration;

use remediation::clock::{Clock, Timestamp};
use tokio::time::Instant;

/// Starts at a fixed time of day when it is made.
#[derive(Debug, Clone, Copy)]
pub struct TokioClock {
    begin: Instant,
    at: Timestamp,
}

impl TokioClock {
    /// Starts at this time.
    #[must_use]
    pub fn starting_at(at: Timestamp) -> Self {
        Self {
            begin: Instant::now(),
            at,
        }
    }

    /// Moves on without running anything that sleeps meanwhile to its end; for tests with paused time.
    pub async fn advance(&self, by: Duration) {
        tokio::time::sleep(by).await;
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        self.at + self.begin.elapsed()
    }
}
