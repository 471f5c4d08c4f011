//! Random histories of entries that live, expire, are evicted, restored and removed, with a model of what lives.

use std::collections::BTreeMap;

use testkit::rows::{PERSISTENT, TEMPORARY};
use testkit::{Chain, Row, State, Ttl};

/// Entries of a history: even ones are persistent, odd ones temporary.
const KEYS: u32 = 16;

/// The two tables of ledgers 1 to `ledgers`, and the truth about them.
pub(crate) struct History {
    pub(crate) rows: Vec<Row>,
    pub(crate) ttls: Vec<Ttl>,
    /// What there is after each ledger, by key hash; position 0 is before the first.
    truth: Vec<BTreeMap<String, Option<u32>>>,
}

/// What there is of an entry.
#[derive(Clone, Copy, PartialEq)]
enum Life {
    Nothing,
    /// Lives until this ledger, or did and was not evicted.
    Until(u32),
    Evicted,
}

/// Numbers that follow from a seed (splitmix64).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            items.swap(end, self.below(end as u64 + 1) as usize);
        }
    }
}

fn entry(ledger: u32, key: u32) -> Row {
    let row = Row { expiration_ledger_seq: None, ..Row::at(ledger).key(key) };
    if key.is_multiple_of(2) { row } else { row.temporary() }
}

impl History {
    /// The history that follows from a seed.
    pub(crate) fn new(seed: u64, ledgers: u32) -> History {
        let mut dice = Dice(seed);
        let mut lives = vec![Life::Nothing; KEYS as usize];
        let mut history = History { rows: Vec::new(), ttls: Vec::new(), truth: vec![BTreeMap::new()] };
        for ledger in 1..=ledgers {
            for key in 0..KEYS {
                if dice.below(4) == 0 {
                    let life = &mut lives[key as usize];
                    *life = history.happen(&mut dice, ledger, key, *life);
                }
            }
            let there = (0..KEYS).zip(&lives).filter_map(|(key, life)| {
                let hash = entry(ledger, key).ledger_key_hash?;
                match life {
                    Life::Until(until) if *until >= ledger || key.is_multiple_of(2) => {
                        Some((hash, Some(*until)))
                    }
                    Life::Evicted if key.is_multiple_of(2) => Some((hash, None)),
                    _ => None,
                }
            });
            history.truth.push(there.collect());
        }
        history
    }

    /// Something happens to an entry; what there is of it afterwards.
    fn happen(&mut self, dice: &mut Dice, ledger: u32, key: u32, life: Life) -> Life {
        let row = entry(ledger, key).value(dice.below(1_000));
        let hash = row.ledger_key_hash.clone().unwrap();
        let until = ledger + dice.below(12) as u32;
        let durability = if key.is_multiple_of(2) { PERSISTENT } else { TEMPORARY };
        let change = |history: &mut History, change: &str, until: Option<u32>| {
            history.ttls.push(Ttl::at(ledger, &hash, change, until));
        };
        // Some sources tell the time to live with the change of the entry too.
        let told =
            |dice: &mut Dice, row: Row, until: u32| if dice.below(2) == 0 { row.expires(until) } else { row };
        match life {
            Life::Nothing => {
                change(self, "created", Some(until));
                self.rows.push(told(dice, row, until));
                Life::Until(until)
            }
            Life::Until(old) if old >= ledger => match dice.below(5) {
                0 => {
                    change(self, "removed", None);
                    self.rows.push(row.deleted());
                    // Sometimes it is there again in the same ledger.
                    if dice.below(3) > 0 {
                        return Life::Nothing;
                    }
                    change(self, "created", Some(until));
                    self.rows.push(told(dice, entry(ledger, key).value(7), until));
                    Life::Until(until)
                }
                1 => {
                    self.rows.push(told(dice, row, old));
                    Life::Until(old)
                }
                2 => {
                    // Two transactions in parallel: the second shows the value that it saw.
                    change(self, "extended", Some(old.max(until)));
                    change(self, "extended", Some(old));
                    Life::Until(old.max(until))
                }
                _ => {
                    change(self, "extended", Some(old.max(until)));
                    Life::Until(old.max(until))
                }
            },
            Life::Until(_) if dice.below(2) == 0 => {
                self.ttls.push(Ttl::evicted(ledger, &hash, durability));
                if key.is_multiple_of(2) { Life::Evicted } else { Life::Nothing }
            }
            Life::Until(_) | Life::Evicted if key.is_multiple_of(2) => {
                change(self, "restored", Some(until));
                self.rows.push(told(dice, row, until));
                Life::Until(until)
            }
            other => other,
        }
    }

    /// What there is after a ledger: hash, until when it lives, and the word for that.
    pub(crate) fn truth(&self, ledger: u32) -> Vec<String> {
        let word = |until: &Option<u32>| if *until >= Some(ledger) { "live" } else { "archived" };
        let shown = |until: &Option<u32>| until.map_or("-".to_owned(), |until| until.to_string());
        self.truth[ledger as usize]
            .iter()
            .map(|(hash, until)| format!("{hash} | {} | {}", shown(until), word(until)))
            .collect()
    }

    /// The chain of this history.
    pub(crate) fn chain(&self) -> Chain {
        let ledgers = 1..=self.truth.len() as u32 - 1;
        Chain::of_rows(self.rows.clone()).with_sides(self.ttls.clone(), Vec::new()).range(ledgers)
    }

    /// The state after a ledger, as a history archive has it.
    pub(crate) fn state(&self, ledger: u32) -> State {
        let mut newest = BTreeMap::new();
        for row in self.rows.iter().filter(|row| row.ledger_sequence <= ledger) {
            newest.insert(row.ledger_key_hash.clone().unwrap(), row);
        }
        let there = &self.truth[ledger as usize];
        let rows = there.iter().map(|(hash, until)| {
            let row = newest[hash];
            let (expiration_ledger_seq, closed_at) = (*until, testkit::rows::closed_at(ledger));
            Row { expiration_ledger_seq, ledger_sequence: ledger, closed_at, ..(*row).clone() }
        });
        let ttls = there.iter().map(|(hash, until)| match until {
            Some(until) => Ttl::at(ledger, hash, "created", *until),
            None => Ttl::evicted(ledger, hash, PERSISTENT),
        });
        State::at(ledger, rows.collect(), ttls.collect(), Vec::new())
    }
}
