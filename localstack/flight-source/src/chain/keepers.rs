//! The times to live of the entries that live all the time: someone extends each of them at a fixed interval, without a change of
//! the entry itself.

use super::dice::{Dice, Use};

/// The ledgers between two extensions of a temporary and of a persistent entry: powers of two.
const PERIODS: [u32; 2] = [1_024, 4_096];

/// When each of these entries is extended. They have numbers from 0.
#[derive(Debug)]
pub(crate) struct Keepers {
    seed: u64,
    /// By durability and by the place of a ledger in its period, the entries that the ledger extends.
    due: [Vec<Vec<u32>>; 2],
}

impl Keepers {
    /// The entries that are persistent or not.
    pub(crate) fn new(seed: u64, persistent: impl IntoIterator<Item = bool>) -> Self {
        let mut keepers = Self { seed, due: PERIODS.map(|period| vec![Vec::new(); period as usize]) };
        for (number, persistent) in persistent.into_iter().enumerate() {
            let (phase, _) = keepers.schedule(number, persistent);
            keepers.due[usize::from(persistent)][phase as usize].push(number as u32);
        }
        keepers
    }

    /// The place in its period of the ledgers that extend an entry, and how long it lives beyond the next extension.
    fn schedule(&self, number: usize, persistent: bool) -> (u32, u32) {
        let mut dice = Dice::at(self.seed, Use::Keepers, number as u64, 0);
        let mut below = || dice.below(u64::from(PERIODS[usize::from(persistent)])) as u32;
        (below(), below())
    }

    /// The last ledger in which an entry lives, as it is at the end of this ledger.
    pub(crate) fn until(&self, number: usize, persistent: bool, ledger: u32) -> u32 {
        let (phase, more) = self.schedule(number, persistent);
        let period = PERIODS[usize::from(persistent)];
        let since = ledger.wrapping_sub(phase) % period;
        ledger.saturating_add(period - since).saturating_add(more)
    }

    /// The entries that a ledger extends, with the last ledger in which each lives then.
    pub(crate) fn extended(&self, ledger: u32) -> impl Iterator<Item = (usize, u32)> {
        [false, true].into_iter().flat_map(move |persistent| {
            let due = &self.due[usize::from(persistent)];
            let due = &due[ledger as usize % due.len()];
            due.iter().map(move |number| {
                let number = *number as usize;
                (number, self.until(number, persistent, ledger))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_extended_in_time_and_then_only() {
        let keepers = Keepers::new(7, [false, true, true]);
        for first in [0, 50_000_000] {
            let mut last = [false, true, true].map(|_| None);
            for ledger in first..first + 9_000 {
                let extended: Vec<_> = keepers.extended(ledger).collect();
                for (number, persistent) in [false, true, true].into_iter().enumerate() {
                    let until = keepers.until(number, persistent, ledger);
                    assert!(until > ledger);
                    let is_extended = extended.contains(&(number, until));
                    if let Some(last) = last[number].replace(until) {
                        assert_eq!(until > last, is_extended, "entry {number} in ledger {ledger}");
                        assert!(until >= last);
                    }
                }
            }
        }
        assert_eq!(keepers.until(0, true, u32::MAX), u32::MAX);
    }
}
