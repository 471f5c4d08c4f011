//! The last closed ledger, which may advance, and the close time of each ledger: functions of the clock alone.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// The tip of a chain over time.
#[derive(Debug)]
pub(crate) struct Tip {
    /// The tip when the chain started.
    pub(crate) start: u32,
    /// The last ledger that it reaches.
    pub(crate) end: u32,
    /// The interval at which it advances by one ledger; `None` if it does not.
    pub(crate) every: Option<Duration>,
    /// When the chain started.
    pub(crate) since: DateTime<Utc>,
    /// When the ledger `start` closed.
    pub(crate) closed_at: DateTime<Utc>,
    /// Seconds between the close times of consecutive ledgers.
    pub(crate) ledger_seconds: u32,
}

impl Tip {
    /// The tip now.
    pub(crate) fn now(&self) -> u32 {
        // a clock that was set back: as at the start
        self.after((Utc::now() - self.since).to_std().unwrap_or_default())
    }

    /// The tip this long after the start.
    fn after(&self, elapsed: Duration) -> u32 {
        let moved = match self.every {
            Some(every) if !every.is_zero() => elapsed.as_nanos() / every.as_nanos(),
            _ => 0,
        };
        let moved = u32::try_from(moved).unwrap_or(u32::MAX);
        self.start.saturating_add(moved).min(self.end)
    }

    /// When a ledger closed, or will close.
    pub(crate) fn closed_at(&self, ledger: u32) -> DateTime<Utc> {
        let ledgers = i64::from(ledger) - i64::from(self.start);
        self.closed_at + TimeDelta::seconds(ledgers * i64::from(self.ledger_seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tip(every: Option<Duration>) -> Tip {
        Tip {
            start: 100,
            end: 103,
            every,
            since: Utc::now(),
            closed_at: DateTime::from_timestamp(1_000_000, 0).unwrap(),
            ledger_seconds: 5,
        }
    }

    #[test]
    fn advances_by_one_ledger_at_a_time_up_to_the_end() {
        let tip = tip(Some(Duration::from_secs(5)));
        let after = |ms| tip.after(Duration::from_millis(ms));
        assert_eq!([after(0), after(4_999), after(5_000), after(14_999)], [100, 100, 101, 102]);
        assert_eq!([after(15_000), after(u64::MAX)], [103, 103]);
    }

    #[test]
    fn does_not_advance_without_an_interval() {
        assert_eq!(tip(None).after(Duration::from_secs(1 << 40)), 100);
    }

    #[test]
    fn ledgers_close_one_after_the_other() {
        let tip = tip(None);
        assert_eq!(tip.closed_at(100).timestamp(), 1_000_000);
        assert_eq!(tip.closed_at(98).timestamp(), 999_990);
        assert_eq!(tip.closed_at(101).timestamp(), 1_000_005);
    }
}
