//! Ledgers that were counted and wait to be sent, as many as memory allows.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::ledger::Ledger;
use crate::dataset::Window;

/// Ledgers by sequence, of at most so many bytes.
#[derive(Debug)]
pub(crate) struct Kept {
    limit: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    bytes: usize,
    /// Grows with every use: what was used least recently goes first.
    clock: u64,
    ledgers: BTreeMap<u32, (u64, Arc<Ledger>)>,
}

impl Kept {
    /// Room for `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // nothing is left half done where a thread could panic
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The ledger, if it is here.
    pub(crate) fn get(&self, sequence: u32) -> Option<Arc<Ledger>> {
        let mut state = self.state();
        state.clock += 1;
        let clock = state.clock;
        let (used, ledger) = state.ledgers.get_mut(&sequence)?;
        *used = clock;
        Some(ledger.clone())
    }

    /// Keeps a ledger of `window`, in place of others that were not used for longest. Those of the window itself stay:
    /// else a window too large would drive out its beginning, which is wanted next.
    pub(crate) fn put(&self, window: Window, ledger: &Arc<Ledger>) {
        let mut state = self.state();
        if state.ledgers.contains_key(&ledger.sequence) {
            return;
        }
        let bytes = ledger.bytes();
        while state.bytes + bytes > self.limit {
            let others = state.ledgers.iter().filter(|(at, _)| !(window.start..=window.end).contains(*at));
            let Some(oldest) = others.min_by_key(|(_, (used, _))| *used).map(|(at, _)| *at) else { return };
            if let Some((_, gone)) = state.ledgers.remove(&oldest) {
                state.bytes -= gone.bytes();
            }
        }
        state.clock += 1;
        let clock = state.clock;
        state.bytes += bytes;
        state.ledgers.insert(ledger.sequence, (clock, ledger.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(sequence: u32) -> Arc<Ledger> {
        let (hash, previous, closed_at) = ([0; 32], [0; 32], chrono::DateTime::UNIX_EPOCH);
        Arc::new(Ledger { sequence, closed_at, hash, previous, rows: 0, batches: Vec::new() })
    }

    #[test]
    fn what_was_not_used_for_longest_goes_and_never_the_window_itself() {
        let kept = Kept::new(3 * ledger(0).bytes());
        let window = |start, end| Window { start, end };
        (1..=3).for_each(|at| kept.put(window(1, 3), &ledger(at)));
        assert!(kept.get(1).is_some());
        kept.put(window(4, 9), &ledger(4));
        let here = |range: std::ops::RangeInclusive<u32>| {
            range.filter(|at| kept.get(*at).is_some()).collect::<Vec<_>>()
        };
        assert_eq!(here(1..=4), [1, 3, 4]);
        (5..=9).for_each(|at| kept.put(window(4, 9), &ledger(at)));
        assert_eq!(here(1..=9), [4, 5, 6], "the beginning of the window");
        assert_eq!(kept.state().bytes, 3 * ledger(0).bytes());
    }
}
