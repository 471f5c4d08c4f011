//! The changes of contract data in a ledger.

use pipeline::contract::tables::entry_change;

use super::Chain;
use super::apps::APPS;
use super::calendar::Event;
use super::cast::{ASSETS, Cast, WASM};
use super::dice::{Dice, Use};
use super::lives::{Life, Step};

/// The entry of a change.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Subject {
    /// The index of its key in the cast.
    Known(usize),
    /// An entry that is written in one ledger only, of the contract with this index.
    OneOff(usize),
}

/// One change of an entry. `value` is the seed of everything in the row that the entry does not determine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change {
    pub(crate) subject: Subject,
    pub(crate) value: u64,
    /// The ledger of the modification, or of the one before a deletion or a restoration.
    pub(crate) last_modified: u32,
    pub(crate) deleted: bool,
    /// One of [`entry_change`]. Entries that do not begin in the chain are there before it.
    pub(crate) what: u32,
    /// The last ledger of a short-lived entry; the others have rules of their own.
    pub(crate) until: Option<u32>,
    /// Whether the change before is the same.
    pub(crate) is_again: bool,
}

/// The changes of a ledger of a chain, in order.
pub(crate) struct Changes {
    ledger: u32,
    /// How many there are, and how many were made.
    rows: u32,
    made: u32,
    events: Vec<Event>,
    next_event: usize,
    dice: Dice,
    last: Option<Change>,
}

impl Changes {
    /// The changes of this ledger.
    pub(crate) fn of(chain: &Chain, ledger: u32) -> Self {
        let dice = Dice::at(chain.seed, Use::Rows, u64::from(ledger), 0);
        let mut changes =
            Self { ledger, rows: 0, made: 0, events: Vec::new(), next_event: 0, dice, last: None };
        changes.open(chain, ledger);
        changes
    }

    /// Goes on with another ledger.
    pub(crate) fn open(&mut self, chain: &Chain, ledger: u32) {
        self.ledger = ledger;
        chain.calendar.events(ledger, &mut self.events);
        self.rows = chain.calendar.rows(ledger);
        self.made = 0;
        self.next_event = 0;
        self.dice = Dice::at(chain.seed, Use::Rows, u64::from(ledger), 0);
        self.last = None;
    }

    /// The next change. The scheduled events are spread evenly over the changes of the ledger.
    pub(crate) fn next(&mut self, chain: &Chain) -> Option<Change> {
        if self.made == self.rows {
            return None;
        }
        let event = self.events.get(self.next_event).filter(|_| {
            let at = self.next_event as u64 * u64::from(self.rows) / self.events.len() as u64;
            at <= u64::from(self.made)
        });
        self.made += 1;
        if let Some(event) = event {
            self.next_event += 1;
            return Some(self.happen(chain, *event));
        }
        self.last = Some(self.ordinary(&chain.cast));
        self.last
    }

    /// A change that writes an entry.
    fn written(&self, subject: Subject, value: u64) -> Change {
        let last_modified = self.ledger;
        let what = match subject {
            Subject::Known(_) => entry_change::UPDATED,
            Subject::OneOff(_) => entry_change::CREATED,
        };
        Change { subject, value, last_modified, deleted: false, what, until: None, is_again: false }
    }

    fn happen(&self, Chain { cast, .. }: &Chain, event: Event) -> Change {
        let (Life { entry, value, born, .. }, step) = match event {
            Event::Instance(asset) => {
                let subject = Subject::Known(cast.contracts[usize::from(asset)].first_key);
                return self.written(subject, u64::from(asset));
            }
            Event::Life(life, step) => (life, step),
        };
        let (what, until) = match step {
            Step::Created { until } => (entry_change::CREATED, Some(until)),
            Step::Extended { until } => (entry_change::UPDATED, Some(until)),
            Step::Restored { until } => (entry_change::RESTORED, Some(until)),
            Step::Evicted | Step::Deleted => (entry_change::REMOVED, None),
        };
        let change = self.written(Subject::Known(cast.mortals + entry), value);
        // the last modification was the creation: a life has one value
        let deleted = step == Step::Deleted;
        Change { last_modified: born, deleted, what, until, ..change }
    }

    /// A random change: sometimes the last one again, identical or with another value; otherwise a balance or another entry
    /// of a contract, most often of a popular one; one in thirty is of an app.
    fn ordinary(&mut self, cast: &Cast) -> Change {
        let (throw, value) = (self.dice.below(1_000), self.dice.next());
        match (throw, self.last) {
            (0..12, Some(last)) => return Change { is_again: true, what: entry_change::UPDATED, ..last },
            (12..90, Some(last)) => return self.written(last.subject, value),
            _ => {}
        }
        let (assets, wasm) = (usize::from(ASSETS), usize::from(WASM));
        let subject = if throw >= 520 {
            let contract = &cast.contracts[self.dice.rank(assets)];
            Subject::Known(contract.first_key + 1 + self.dice.rank(contract.keys))
        } else if throw >= 485 {
            let contract = &cast.contracts[assets + wasm + self.dice.rank(usize::from(APPS))];
            let key = if self.dice.one_in(6) { 0 } else { 1 + self.dice.rank(contract.keys) };
            Subject::Known(contract.first_key + key)
        } else {
            let place = assets + self.dice.rank(wasm);
            let contract = &cast.contracts[place];
            match self.dice.below(100) {
                0..10 => Subject::OneOff(place),
                10..18 => Subject::Known(contract.first_key),
                _ => Subject::Known(contract.first_key + 1 + self.dice.rank(contract.keys)),
            }
        };
        self.written(subject, value)
    }
}
