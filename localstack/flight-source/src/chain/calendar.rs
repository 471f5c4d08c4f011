//! The schedule of a chain: how many rows each ledger has, and the changes that happen at fixed ledgers and not by chance.
//! All of it is a function of the seed, the parameters and the ledger, and costs a few hashes.

use super::dice::{Dice, Use};

/// The number of ledgers after which a short-lived entry may be created again.
const CYCLE: u32 = 512;

/// Possible lifetimes of such an entry, in ledgers. With the last one, the entry is deleted in the ledger that creates it
/// again.
const LIVES: [u32; 5] = [1, 6, 40, 300, CYCLE];

/// One in this many ledgers is empty.
const EMPTY_ONE_IN: u64 = 50;

/// A change that happens at a fixed ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// The instance entry of the asset contract with this number is written.
    Instance(u16),
    /// The short-lived entry with this number is deleted; it was last modified in the ledger `born`.
    Death { entry: usize, born: u32, value: u64 },
    /// The short-lived entry with this number is created, perhaps again.
    Birth { entry: usize, value: u64 },
}

/// The schedule of a chain.
#[derive(Debug)]
pub(crate) struct Calendar {
    seed: u64,
    rows_per_ledger: u32,
    /// The maximum number of short-lived entries created per ledger.
    slots: u32,
    /// Ledger and asset contract of each instance entry that is written, by ledger.
    instances: Vec<(u32, u16)>,
}

impl Calendar {
    /// The schedule of a chain whose `span` is its first ledger and its number of ledgers (at least 1). Of the `assets`
    /// asset contracts, most write their instance within the first 2 % of the chain, number `late` after its middle, and
    /// number `never` not at all.
    pub(crate) fn new(
        seed: u64,
        rows_per_ledger: u32,
        span: (u32, u32),
        assets: u16,
        late: u16,
        never: u16,
    ) -> Self {
        let (first, ledgers) = span;
        let slots = rows_per_ledger.div_ceil(40).clamp(1, 16);
        let mut calendar = Self { seed, rows_per_ledger, slots, instances: Vec::new() };
        for asset in (0..assets).filter(|asset| *asset != never) {
            let mut dice = Dice::at(seed, Use::Instances, u64::from(asset), 0);
            let early = dice.below(u64::from((ledgers / 50).max(1))) as u32;
            let shown = if asset == late { ledgers / 5 * 3 + early } else { early };
            let again = |dice: &mut Dice| shown + dice.below(u64::from(ledgers - shown)) as u32;
            for offset in [shown, again(&mut dice), again(&mut dice)] {
                calendar.instances.push((calendar.not_empty(first + offset, first), asset));
            }
        }
        calendar.instances.sort_unstable();
        calendar.instances.dedup();
        calendar
    }

    /// The number of short-lived entries.
    pub(crate) fn mortals(&self) -> usize {
        (self.slots * CYCLE) as usize
    }

    /// The last ledger with rows from `first` to `ledger`, or `ledger` if there is none.
    fn not_empty(&self, ledger: u32, first: u32) -> u32 {
        (first..=ledger).rev().find(|ledger| !self.is_empty(*ledger)).unwrap_or(ledger)
    }

    fn is_empty(&self, ledger: u32) -> bool {
        Dice::at(self.seed, Use::Empty, u64::from(ledger), 0).one_in(EMPTY_ONE_IN)
    }

    /// A random number of rows for a ledger: the mean over all ledgers, including empty ones, is `rows_per_ledger`; one
    /// ledger in a hundred has four to twelve times as many.
    fn crowd(&self, ledger: u32) -> u32 {
        let mut dice = Dice::at(self.seed, Use::Crowd, u64::from(ledger), 0);
        let (low, high) = if dice.one_in(100) { (4.0, 12.0) } else { (0.25, 1.75) };
        let usual = f64::from(self.rows_per_ledger) / (0.98 * (0.99 + 0.01 * 8.0));
        (usual * (low + (high - low) * dice.unit()) + dice.unit()) as u32
    }

    /// The number of rows of a ledger.
    pub(crate) fn rows(&self, ledger: u32) -> u32 {
        if self.is_empty(ledger) {
            return 0;
        }
        let crowd = self.crowd(ledger);
        let most = self.instances_in(ledger).len() as u32 + self.slots * (1 + LIVES.len() as u32);
        if crowd >= most {
            return crowd;
        }
        let mut events = Vec::with_capacity(most as usize);
        self.events(ledger, &mut events);
        crowd.max(events.len() as u32)
    }

    fn instances_in(&self, ledger: u32) -> &[(u32, u16)] {
        let from = self.instances.partition_point(|(at, _)| *at < ledger);
        let len = self.instances[from..].partition_point(|(at, _)| *at == ledger);
        &self.instances[from..from + len]
    }

    /// Writes the events of a ledger into `out`, in order: an entry is deleted before it is created again.
    pub(crate) fn events(&self, ledger: u32, out: &mut Vec<Event>) {
        out.clear();
        if self.is_empty(ledger) {
            return;
        }
        out.extend(self.instances_in(ledger).iter().map(|(_, asset)| Event::Instance(*asset)));
        for life in LIVES {
            let Some(born) = ledger.checked_sub(life) else { continue };
            for slot in 0..self.slots {
                if let Some((entry, value, lives)) = self.birth(born, slot)
                    && lives == life
                    && !self.is_empty(born)
                {
                    out.push(Event::Death { entry, born, value });
                }
            }
        }
        for slot in 0..self.slots {
            if let Some((entry, value, _)) = self.birth(ledger, slot) {
                out.push(Event::Birth { entry, value });
            }
        }
    }

    /// The entry that a ledger with rows creates in a slot, if any: its number, its value and its lifetime in ledgers.
    /// Ledgers less than [`CYCLE`] apart never create the same entry.
    fn birth(&self, ledger: u32, slot: u32) -> Option<(usize, u64, u32)> {
        let mut dice = Dice::at(self.seed, Use::Life, u64::from(ledger), u64::from(slot));
        let throw = dice.below(1_000);
        let likely = u64::from(self.rows_per_ledger) * 30 / u64::from(self.slots);
        if throw >= likely.min(700) {
            return None;
        }
        let entry = (u64::from(ledger) * u64::from(self.slots) + u64::from(slot)) as usize % self.mortals();
        let lives = LIVES[dice.below(LIVES.len() as u64) as usize];
        Some((entry, dice.next(), lives))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const LEDGERS: u32 = 4_000;

    fn calendar(rows: u32) -> Calendar {
        Calendar::new(7, rows, (1_000, LEDGERS), 12, 3, 7)
    }

    #[test]
    fn the_mean_is_the_one_asked_for_with_empty_and_big_ledgers() {
        for rows in [10, 25, 400] {
            let calendar = calendar(rows);
            let counts: Vec<u32> = (1_000..1_000 + LEDGERS).map(|ledger| calendar.rows(ledger)).collect();
            let mean = f64::from(counts.iter().sum::<u32>()) / f64::from(LEDGERS);
            assert!((mean / f64::from(rows) - 1.0).abs() < 0.1, "mean {mean} of {rows}");
            let empty = counts.iter().filter(|n| **n == 0).count();
            assert!((LEDGERS / 100..LEDGERS / 30).contains(&(empty as u32)), "{empty} empty ledgers");
            assert!(counts.iter().any(|n| *n > rows * 4));
        }
    }

    #[test]
    fn every_death_ends_the_life_that_the_last_birth_began() {
        for rows in [3, 25, 1_000] {
            let calendar = calendar(rows);
            let (mut alive, mut events) = (HashMap::new(), Vec::new());
            let (mut deaths, mut again) = (0, 0);
            for ledger in 1_000..1_000 + LEDGERS {
                calendar.events(ledger, &mut events);
                assert!(events.len() as u32 <= calendar.rows(ledger));
                for event in &events {
                    match *event {
                        Event::Birth { entry, value } => {
                            again += u32::from(alive.insert(entry, (ledger, value)).is_some());
                        }
                        Event::Death { entry, born, value } if born >= 1_000 => {
                            deaths += 1;
                            assert!(born < ledger);
                            assert_eq!(alive.get(&entry), Some(&(born, value)));
                        }
                        _ => {}
                    }
                }
            }
            assert!(deaths > 50 && again > 50, "{deaths} deaths, {again} births again");
        }
    }

    #[test]
    fn instances_are_written_early_late_or_never() {
        let calendar = calendar(25);
        let first =
            |asset| calendar.instances.iter().find(|(_, a)| *a == asset).map(|(ledger, _)| *ledger - 1_000);
        for asset in (0..12).filter(|a| ![3, 7].contains(a)) {
            assert!(first(asset).is_some_and(|ledger| ledger < LEDGERS / 50), "asset {asset}");
        }
        assert!(first(3).is_some_and(|ledger| ledger > LEDGERS / 2));
        assert_eq!(first(7), None);
        assert!(calendar.instances.iter().all(|(ledger, _)| calendar.rows(*ledger) > 0));
    }

    #[test]
    fn a_chain_of_one_ledger_has_a_calendar() {
        for first in [1, u32::MAX] {
            let calendar = Calendar::new(1, 1, (first, 1), 12, 3, 7);
            calendar.rows(first);
        }
    }
}
