//! Windows: closed ranges of ledgers, the unit of loading.

use std::fmt;

use serde::Serialize;

use crate::error::{Error, Result};

/// A closed range of ledgers, both ends inclusive; never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct LedgerWindow {
    #[serde(rename = "start_ledger")]
    start: u32,
    #[serde(rename = "end_ledger")]
    end: u32,
}

impl LedgerWindow {
    /// The ledgers from `start` to `end`, both inclusive.
    ///
    /// # Errors
    /// [`Error::Usage`] when the range is reversed.
    pub fn new(start: u32, end: u32) -> Result<Self> {
        if end < start {
            return Err(Error::Usage(format!(
                "the range {start} to {end} is reversed: the start ledger must not exceed the end ledger"
            )));
        }
        Ok(LedgerWindow { start, end })
    }

    /// The window of one ledger.
    pub fn single(ledger: u32) -> Self {
        LedgerWindow { start: ledger, end: ledger }
    }

    /// The first ledger.
    pub fn start(self) -> u32 {
        self.start
    }

    /// The last ledger.
    pub fn end(self) -> u32 {
        self.end
    }

    /// The number of ledgers: at least 1.
    pub fn ledgers(self) -> u64 {
        u64::from(self.end) - u64::from(self.start) + 1
    }

    /// Whether the ledger lies inside.
    pub fn contains(self, ledger: u32) -> bool {
        self.start <= ledger && ledger <= self.end
    }

    /// Whether the two share a ledger.
    pub fn overlaps(self, other: LedgerWindow) -> bool {
        self.start <= other.end && other.start <= self.end
    }

    /// Whether the other contains every ledger of this one.
    pub fn is_within(self, other: LedgerWindow) -> bool {
        other.start <= self.start && self.end <= other.end
    }

    /// The same start, with the end at `end` or before; `None` if no ledger is left.
    pub fn until(self, end: u32) -> Option<Self> {
        (end >= self.start).then(|| LedgerWindow { start: self.start, end: self.end.min(end) })
    }

    /// The same end, with the start at `start` or after; `None` if no ledger is left.
    pub fn from(self, start: u32) -> Option<Self> {
        (start <= self.end).then(|| LedgerWindow { start: self.start.max(start), end: self.end })
    }

    /// The shortest window that contains both.
    pub fn span(self, other: LedgerWindow) -> Self {
        LedgerWindow { start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// Reads a pair of BIGINT columns.
    pub(crate) fn from_row(start: i64, end: i64) -> Result<Self> {
        match (u32::try_from(start), u32::try_from(end)) {
            (Ok(start), Ok(end)) if start <= end => Ok(LedgerWindow { start, end }),
            _ => Err(Error::Schema(format!(
                "{start} to {end} in ingestion_progress is not a range of ledgers"
            ))),
        }
    }
}

impl fmt::Display for LedgerWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.start, self.end)
    }
}

/// The limits of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowLimits {
    /// The largest number of ledgers per window; at least 1.
    pub window_ledgers: u32,
    /// No window crosses a multiple of this; at least 1.
    pub partition_ledgers: u32,
}

impl WindowLimits {
    /// The longest window that starts at `free.start()` and stays inside `free`, a range that no completed window touches.
    pub fn first_window(self, free: LedgerWindow) -> LedgerWindow {
        let start = u64::from(free.start);
        let by_length = start + u64::from(self.window_ledgers.max(1)) - 1;
        let partition = u64::from(self.partition_ledgers.max(1));
        let by_partition = (start / partition + 1) * partition - 1;
        let end = u64::from(free.end).min(by_length).min(by_partition);
        // end <= free.end, so it fits
        LedgerWindow { start: free.start, end: u32::try_from(end).unwrap_or(free.end) }
    }

    /// The windows of `free`, in order.
    pub(crate) fn windows(self, free: LedgerWindow) -> impl Iterator<Item = LedgerWindow> {
        let mut rest = Some(free);
        std::iter::from_fn(move || {
            let window = self.first_window(rest?);
            rest = window.end.checked_add(1).and_then(|next| LedgerWindow::new(next, free.end).ok());
            Some(window)
        })
    }

    /// The number of windows into which [`first_window`](Self::first_window) cuts `free`, computed arithmetically:
    /// `free` may be a billion ledgers long.
    pub fn count(self, free: LedgerWindow) -> u64 {
        let length = u64::from(self.window_ledgers.max(1));
        let partition = u64::from(self.partition_ledgers.max(1));
        let (start, end) = (u64::from(free.start), u64::from(free.end));
        let first_end = ((start / partition + 1) * partition - 1).min(end);
        let head = (first_end - start + 1).div_ceil(length);
        if first_end == end {
            return head;
        }
        let rest = end - first_end;
        head + rest / partition * partition.div_ceil(length) + (rest % partition).div_ceil(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn window(start: u32, end: u32) -> LedgerWindow {
        LedgerWindow::new(start, end).unwrap()
    }

    #[test]
    fn a_reversed_range_is_refused_in_words() {
        let error = LedgerWindow::new(7, 6).unwrap_err().to_string();
        assert_eq!(error, "the range 7 to 6 is reversed: the start ledger must not exceed the end ledger");
    }

    #[test]
    fn the_whole_range_of_u32_is_cut_without_overflow() {
        let limits = WindowLimits { window_ledgers: 64, partition_ledgers: 100_000 };
        assert_eq!(limits.first_window(window(u32::MAX, u32::MAX)), window(u32::MAX, u32::MAX));
        let limits = WindowLimits { window_ledgers: u32::MAX, partition_ledgers: u32::MAX };
        assert_eq!(limits.first_window(window(0, u32::MAX)), window(0, u32::MAX - 1));
    }

    proptest! {
        /// Cutting a range into windows gives every ledger once, in windows within the limits, and as many as counted.
        #[test]
        fn windows_partition_their_range(
            start in 0u32..5_000, length in 1u32..3_000, window_ledgers in 1u32..200, partition_ledgers in 1u32..700,
        ) {
            let range = window(start, start + length - 1);
            let limits = WindowLimits { window_ledgers, partition_ledgers };
            let mut next = range.start();
            let mut count = 0u64;
            for w in limits.windows(range) {
                prop_assert_eq!(w.start(), next);
                prop_assert!(w.ledgers() <= u64::from(window_ledgers));
                prop_assert_eq!(w.start() / partition_ledgers, w.end() / partition_ledgers);
                count += 1;
                next = w.end() + 1;
            }
            prop_assert_eq!(next, range.end() + 1);
            prop_assert_eq!(count, limits.count(range));
        }

    }
}
