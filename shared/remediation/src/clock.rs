//! Time as an argument: decisions take it, only the edge reads it.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// A moment in UTC.
pub type Timestamp = DateTime<Utc>;

/// Where the engine takes the time from, and waits.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// Waits at least this long.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send {
        tokio::time::sleep(duration)
    }
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Utc::now()
    }
}

/// How long an invocation may still work.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(Timestamp);

impl Deadline {
    /// What is kept back to record, report and answer.
    const RESERVE: Duration = Duration::from_secs(3);
    /// What is assumed where the caller names no usable deadline, as `cargo lambda watch` does (it says 1970).
    const ASSUMED: Duration = Duration::from_secs(30);

    /// From the deadline of a Lambda context, in milliseconds since 1970.
    #[must_use]
    pub fn from_context(deadline_ms: u64, now: Timestamp) -> Self {
        let stated = i64::try_from(deadline_ms)
            .ok()
            .and_then(DateTime::from_timestamp_millis);
        match stated {
            Some(at) if at > now => Self(at - Self::RESERVE),
            _ => Self(now + Self::ASSUMED),
        }
    }

    /// This long from now.
    #[must_use]
    pub fn after(duration: Duration, now: Timestamp) -> Self {
        Self(now + duration)
    }

    /// The time left for recording that the work is not done: the first second of what is kept back.
    #[must_use]
    pub fn remaining_to_record(&self, now: Timestamp) -> Duration {
        self.and(Duration::from_secs(1)).remaining(now)
    }

    /// The time left for telling what was done, out of what is kept back; a second stays for what follows.
    #[must_use]
    pub fn remaining_to_report(&self, now: Timestamp) -> Duration {
        self.and(Self::RESERVE - Duration::from_secs(1)).remaining(now)
    }

    /// The time left for noting who was told; half a second stays for the answer itself.
    #[must_use]
    pub fn remaining_to_note(&self, now: Timestamp) -> Duration {
        self.and(Self::RESERVE - Duration::from_millis(500)).remaining(now)
    }

    fn and(&self, more: Duration) -> Self {
        Self(self.0 + more)
    }

    /// A deadline after half of the time that is left.
    #[must_use]
    pub fn half(&self, now: Timestamp) -> Self {
        Self::after(self.remaining(now) / 2, now)
    }

    /// The time left for work; zero when it is over.
    #[must_use]
    pub fn remaining(&self, now: Timestamp) -> Duration {
        (self.0 - now).to_std().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s9_a_deadline_leaves_time_to_answer() {
        let now = Utc::now();
        let stated = u64::try_from((now + Duration::from_secs(60)).timestamp_millis()).unwrap();
        let left = Deadline::from_context(stated, now).remaining(now);
        assert!(
            left <= Duration::from_secs(57) && left > Duration::from_secs(56),
            "{left:?}"
        );
    }

    #[test]
    fn a_deadline_in_the_past_is_unknown_not_over() {
        let now = Utc::now();
        assert_eq!(Deadline::from_context(600_000, now).remaining(now), Deadline::ASSUMED);
        assert_eq!(Deadline::from_context(u64::MAX, now).remaining(now), Deadline::ASSUMED);
    }

    #[test]
    fn what_is_left_is_shared_out() {
        let now = Utc::now();
        let deadline = Deadline::after(Duration::from_secs(60), now);
        assert_eq!(deadline.half(now).remaining(now), Duration::from_secs(30));
        let to_report = Deadline::RESERVE - Duration::from_secs(1);
        assert_eq!(deadline.remaining_to_report(now), Duration::from_secs(60) + to_report);
        let over = now + Duration::from_secs(60);
        assert_eq!(
            (deadline.remaining(over), deadline.remaining_to_report(over)),
            (Duration::ZERO, to_report)
        );
        assert_eq!(
            deadline.remaining_to_report(over + Duration::from_secs(60)),
            Duration::ZERO
        );
        let kept = [
            deadline.remaining_to_record(over),
            deadline.remaining_to_report(over),
            deadline.remaining_to_note(over),
            Deadline::RESERVE,
        ];
        assert!(kept.is_sorted_by(|one, next| one < next), "{kept:?}");
        assert_eq!(
            deadline.remaining_to_record(over + Duration::from_secs(1)),
            Duration::ZERO
        );
    }

    #[test]
    fn the_clock_of_the_system_goes() {
        assert!(SystemClock.now() > Timestamp::UNIX_EPOCH);
    }

    #[test]
    fn a_deadline_that_is_now_is_unknown_as_well() {
        let now = DateTime::from_timestamp_millis(1_790_000_000_000).unwrap();
        let left = Deadline::from_context(1_790_000_000_000, now).remaining(now);
        assert_eq!(left, Deadline::ASSUMED);
    }
}
