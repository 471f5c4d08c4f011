//! A cache of ledgers that were counted and not yet sent, with the rows of all tables: one is decoded once for all of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pipeline::LedgerWindow;

use super::ledger::Ledger;

/// Ledgers by sequence, up to a limit in bytes.
#[derive(Debug)]
pub(crate) struct Cache {
    limit: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    bytes: usize,
    /// Advances with every use: the least recently used ledger is removed first.
    clock: u64,
    ledgers: BTreeMap<u32, (u64, Arc<Ledger>)>,
}

impl Cache {
    /// An empty cache of up to `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // no thread can panic while the state is inconsistent
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The ledger, if it is cached.
    pub(crate) fn get(&self, sequence: u32) -> Option<Arc<Ledger>> {
        let mut state = self.state();
        state.clock += 1;
        let clock = state.clock;
        let (used, ledger) = state.ledgers.get_mut(&sequence)?;
        *used = clock;
        Some(ledger.clone())
    }

    /// Caches a ledger of `window`, and removes the least recently used ledgers of other windows to make room. Those of the
    /// window itself stay: otherwise a window larger than the cache would push out its beginning, which is sent first.
    pub(crate) fn put(&self, window: LedgerWindow, ledger: &Arc<Ledger>) {
        let mut state = self.state();
        if state.ledgers.contains_key(&ledger.sequence) {
            return;
        }
        let bytes = ledger.bytes();
        while state.bytes + bytes > self.limit {
            let others = state.ledgers.iter().filter(|(at, _)| !window.contains(**at));
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
        Arc::new(Ledger { sequence, closed_at, hash, previous, tables: Default::default() })
    }

    #[test]
    fn the_least_recently_used_ledgers_of_other_windows_are_removed() {
        let cache = Cache::new(3 * ledger(0).bytes());
        let window = |start, end| LedgerWindow::new(start, end).unwrap();
        (1..=3).for_each(|at| cache.put(window(1, 3), &ledger(at)));
        assert!(cache.get(1).is_some());
        cache.put(window(4, 9), &ledger(4));
        let here = |range: std::ops::RangeInclusive<u32>| {
            range.filter(|at| cache.get(*at).is_some()).collect::<Vec<_>>()
        };
        assert_eq!(here(1..=4), [1, 3, 4]);
        (5..=9).for_each(|at| cache.put(window(4, 9), &ledger(at)));
        assert_eq!(here(1..=9), [4, 5, 6], "the beginning of the window");
        assert_eq!(cache.state().bytes, 3 * ledger(0).bytes());
    }
}
