//! The schedule of a chain: how many rows each ledger has, and the changes that happen at fixed ledgers and not by chance.
//! All of it is a function of the seed, the parameters and the ledger, and costs a few hashes.

use super::dice::{Dice, Use};
use super::lives::{self, Life, Lives, Step};

/// A change that happens at a fixed ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// The instance entry of the asset contract with this number is written.
    Instance(u16),
    /// A short-lived entry is created, restored or deleted.
    Life(Life, Step),
}

/// The schedule of a chain.
#[derive(Debug)]
pub(crate) struct Calendar {
    seed: u64,
    rows_per_ledger: u32,
    pub(crate) lives: Lives,
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
        let lives = Lives::new(seed, rows_per_ledger);
        let mut calendar = Self { seed, rows_per_ledger, lives, instances: Vec::new() };
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

    /// The last ledger with rows from `first` to `ledger`, or `ledger` if there is none.
    fn not_empty(&self, ledger: u32, first: u32) -> u32 {
        (first..=ledger).rev().find(|ledger| !self.is_empty(*ledger)).unwrap_or(ledger)
    }

    /// Whether a ledger has no rows of contract data.
    pub(crate) fn is_empty(&self, ledger: u32) -> bool {
        lives::is_empty(self.seed, ledger)
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
        let most = self.instances_in(ledger).count() as u32 + self.lives.slots * lives::MOST;
        if crowd >= most {
            return crowd;
        }
        let mut events = Vec::with_capacity(most as usize);
        self.events(ledger, &mut events);
        crowd.max(events.len() as u32)
    }

    /// The asset contracts whose instance is written in a ledger.
    pub(crate) fn instances_in(&self, ledger: u32) -> impl Iterator<Item = u16> {
        let from = self.instances.partition_point(|(at, _)| *at < ledger);
        self.instances[from..].iter().take_while(move |(at, _)| *at == ledger).map(|(_, asset)| *asset)
    }

    /// Writes the events of a ledger into `out`, in order: an entry is deleted before it is created again.
    pub(crate) fn events(&self, ledger: u32, out: &mut Vec<Event>) {
        out.clear();
        if self.is_empty(ledger) {
            return;
        }
        out.extend(self.instances_in(ledger).map(Event::Instance));
        let changes = self.lives.steps(ledger).filter(|(_, step)| step.is_change());
        out.extend(changes.map(|(life, step)| Event::Life(life, step)));
    }
}

#[cfg(test)]
mod tests {
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
    fn a_ledger_has_room_for_its_events() {
        for rows in [1, 3, 25, 1_000] {
            let (calendar, mut events) = (calendar(rows), Vec::new());
            for ledger in 1_000..1_000 + LEDGERS {
                calendar.events(ledger, &mut events);
                assert!(events.len() as u32 <= calendar.rows(ledger));
            }
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
