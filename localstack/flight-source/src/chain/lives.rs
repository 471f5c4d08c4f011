//! The lives of short-lived entries: when each is created, extended, archived, evicted, restored, and deleted.
//!
//! A life depends on the seed, the ledger in which it begins and its slot there, and it is over before its entry can be created
//! again. So what happens in a ledger is found by looking at the few ledgers in which a life may have begun.

use super::dice::{Dice, Use};

/// The number of ledgers after which an entry may be created again.
pub(crate) const CYCLE: u32 = 512;

/// Possible ages at which an entry is deleted. With the last one, it is deleted in the ledger that creates it again.
const LENGTHS: [u32; 5] = [1, 6, 40, 300, CYCLE];
/// From this length on, an entry may end by itself before it is deleted.
const LONG: u32 = 300;

/// How long an entry lives that is not extended in time: a temporary and a persistent one.
const LAPSES_AT: u32 = 30;
const SLEEPS_AT: u32 = 60;
/// The ages at which the network evicts it: a temporary one at either, a persistent one perhaps.
const EVICTED_AT: [u32; 2] = [90, 210];
const EVICTED_ASLEEP_AT: u32 = 120;
/// The age at which a persistent one is restored.
const RESTORED_AT: u32 = 200;

/// All ages at which something may happen, in the order of the events of one ledger: an entry is deleted before it is created
/// again.
const AGES: [u32; 13] = [1, 6, 20, 40, 90, 120, 150, 200, 210, 256, 300, CYCLE, 0];

/// The most changes of entries per slot in one ledger: a deletion of each length, a restoration and a creation.
pub(crate) const MOST: u32 = LENGTHS.len() as u32 + 2;

/// One in this many ledgers is empty.
const EMPTY_ONE_IN: u64 = 50;

/// Whether a ledger changes no contract data.
pub(crate) fn is_empty(seed: u64, ledger: u32) -> bool {
    Dice::at(seed, Use::Empty, u64::from(ledger), 0).one_in(EMPTY_ONE_IN)
}

/// Whether the short-lived entry with this number is persistent.
pub(crate) fn is_persistent(entry: usize) -> bool {
    entry % 4 < 2
}

/// How a life goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    /// The entry lives until it is deleted.
    Whole,
    /// A temporary entry ends by itself, and is evicted.
    Lapses,
    /// A persistent entry is archived, perhaps evicted, then restored, and lives until it is deleted.
    Sleeps,
}

/// What happens to an entry at some age. `until` is the last ledger in which it lives from then on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Created {
        until: u32,
    },
    /// Without a change of the entry itself.
    Extended {
        until: u32,
    },
    /// By the network, after its end.
    Evicted,
    /// With the value that it had.
    Restored {
        until: u32,
    },
    Deleted,
}

impl Step {
    /// Whether the entry itself changes, and not only its time to live.
    pub(crate) fn is_change(self) -> bool {
        matches!(self, Self::Created { .. } | Self::Restored { .. } | Self::Deleted)
    }
}

/// One life of one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Life {
    /// The number of the entry.
    pub(crate) entry: usize,
    /// The ledger that creates it.
    pub(crate) born: u32,
    /// The seed of its value, which does not change.
    pub(crate) value: u64,
    length: u32,
    course: Course,
}

impl Life {
    /// What happens at this age, if anything.
    fn step(&self, age: u32) -> Option<Step> {
        let at = |age: u32| self.born.saturating_add(age);
        let end = at(self.length + 16 + (self.value >> 32) as u32 % 1_000);
        let is_even = self.value.is_multiple_of(2);
        match (self.course, age) {
            (Course::Lapses, 0) => Some(Step::Created { until: at(LAPSES_AT) }),
            (Course::Lapses, _) => (age == EVICTED_AT[usize::from(is_even)]).then_some(Step::Evicted),
            (Course::Sleeps, 0) => Some(Step::Created { until: at(SLEEPS_AT) }),
            (Course::Sleeps, EVICTED_ASLEEP_AT) if is_even => Some(Step::Evicted),
            (Course::Sleeps, RESTORED_AT) => Some(Step::Restored { until: end }),
            (Course::Whole, 0) if self.length >= 40 => Some(Step::Created { until: at(self.length / 4 * 3) }),
            (Course::Whole, 0) => Some(Step::Created { until: end }),
            (Course::Whole, _) if self.length >= 40 && age == self.length / 2 => {
                Some(Step::Extended { until: end })
            }
            (_, _) => (age == self.length).then_some(Step::Deleted),
        }
    }
}

/// All lives of a chain.
#[derive(Debug)]
pub(crate) struct Lives {
    seed: u64,
    rows_per_ledger: u32,
    /// The maximum number of entries created per ledger.
    pub(crate) slots: u32,
}

impl Lives {
    /// The lives of a chain with this mean number of rows per ledger.
    pub(crate) fn new(seed: u64, rows_per_ledger: u32) -> Self {
        Self { seed, rows_per_ledger, slots: rows_per_ledger.div_ceil(40).clamp(1, 16) }
    }

    /// The number of entries.
    pub(crate) fn entries(&self) -> usize {
        (self.slots * CYCLE) as usize
    }

    /// What happens in a ledger, in order.
    pub(crate) fn steps(&self, ledger: u32) -> impl Iterator<Item = (Life, Step)> {
        let born = AGES.into_iter().filter_map(move |age| Some((age, ledger.checked_sub(age)?)));
        born.flat_map(move |(age, born)| {
            (0..self.slots).filter_map(move |slot| {
                let life = self.begun(born, slot)?;
                life.step(age).map(|step| (life, step))
            })
        })
    }

    /// The life that begins in a slot of a ledger, if any. Ledgers less than [`CYCLE`] apart never create the same entry. An
    /// entry is restored and deleted only in ledgers that change contract data.
    fn begun(&self, ledger: u32, slot: u32) -> Option<Life> {
        let mut dice = Dice::at(self.seed, Use::Life, u64::from(ledger), u64::from(slot));
        let throw = dice.below(1_000);
        let likely = u64::from(self.rows_per_ledger) * 30 / u64::from(self.slots);
        if throw >= likely.min(700) || is_empty(self.seed, ledger) {
            return None;
        }
        let entry = (u64::from(ledger) * u64::from(self.slots) + u64::from(slot)) as usize % self.entries();
        let first = dice.below(LENGTHS.len() as u64) as usize;
        let value = dice.next();
        let is_busy = |age: u32| ledger.checked_add(age).is_none_or(|ledger| !is_empty(self.seed, ledger));
        let mut lengths = LENGTHS.iter().copied().cycle().skip(first).take(LENGTHS.len());
        let length = lengths.find(|length| is_busy(*length))?;
        let course = match is_persistent(entry) {
            _ if length < LONG || dice.one_in(2) => Course::Whole,
            true if is_busy(RESTORED_AT) => Course::Sleeps,
            true => Course::Whole,
            false => Course::Lapses,
        };
        Some(Life { entry, born: ledger, value, length, course })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// The time to live of an entry; none from when it is evicted.
    type Until = Option<u32>;

    #[test]
    fn every_life_is_whole_and_over_before_the_next() {
        for rows in [3, 25, 1_000] {
            let lives = Lives::new(7, rows);
            let mut now: HashMap<usize, (Life, Until)> = HashMap::new();
            let mut seen: HashMap<&str, u32> = HashMap::new();
            for ledger in 10_000..14_000 {
                for (life, step) in lives.steps(ledger) {
                    let before = now.get(&life.entry).copied();
                    let is_known = life.born >= 10_000;
                    let same = |until: fn(u32, u32) -> bool| {
                        !is_known
                            || before.is_some_and(|(of, last)| {
                                of == life && last.is_some_and(|last| until(last, ledger))
                            })
                    };
                    let name = match step {
                        Step::Created { until } => {
                            assert!(before.is_none() && until >= ledger, "{life:?}");
                            now.insert(life.entry, (life, Some(until)));
                            "created"
                        }
                        Step::Extended { until } => {
                            assert!(same(|last, ledger| last >= ledger) && until > ledger, "{life:?}");
                            now.insert(life.entry, (life, Some(until)));
                            "extended"
                        }
                        Step::Evicted => {
                            assert!(same(|last, ledger| last < ledger), "{life:?}");
                            now.remove(&life.entry);
                            if is_persistent(life.entry) {
                                now.insert(life.entry, (life, None));
                            }
                            "evicted"
                        }
                        Step::Restored { until } => {
                            let evicted = before.is_some_and(|(of, last)| of == life && last.is_none());
                            assert!(evicted || same(|last, ledger| last < ledger), "{life:?}");
                            assert!(is_persistent(life.entry) && until > ledger);
                            now.insert(life.entry, (life, Some(until)));
                            "restored"
                        }
                        Step::Deleted => {
                            assert!(same(|last, ledger| last >= ledger), "{life:?}");
                            now.remove(&life.entry);
                            "deleted"
                        }
                    };
                    assert!(!step.is_change() || !is_empty(7, ledger));
                    *seen.entry(name).or_default() += 1;
                }
            }
            assert!(seen.len() == 5 && seen.values().all(|count| *count > 10), "{rows}: {seen:?}");
        }
    }
}
