//! The times to live of a chain, and the rows of `ttl`: who extends which entry when, and what the network evicts.
//!
//! An ordinary entry lives all the time (`keepers.rs`), a short-lived one as `lives.rs` says. An entry that is written in one
//! ledger only ends by itself; of these, the network evicts most some time after their end.

use std::iter;
use std::sync::Arc;

use arrow::array::RecordBatch;
use pipeline::LedgerWindow;
use pipeline::contract::xdr::durability;

use super::Chain;
use super::changes::{Change, Changes, Subject};
use super::keys::{durability_of, one_off_number};
use super::lives::Step;
use crate::columns::ttl::{TTL_ROW_BYTES, TtlChange, TtlColumns, TtlRow};
use crate::dataset::{Batches, MESSAGE_BYTES, in_batches};
use crate::error::Result;

/// How long an entry lives that is written in one ledger only, and at which age the network evicts it, if it does.
const ONE_OFF: [(u32, Option<u32>); 4] =
    [(16, Some(24)), (100, Some(170)), (700, Some(1_000)), (17_280, None)];

fn one_off(value: u64) -> (u32, Option<u32>) {
    ONE_OFF[(value % ONE_OFF.len() as u64) as usize]
}

/// The entry of a time to live.
#[derive(Debug, Clone, Copy)]
enum Entry {
    /// The index of its key in the cast.
    Known(usize),
    /// The index of a contract code in the cast.
    Code(usize),
    /// An entry of the contract with this index that was written only in this ledger, with this value.
    OneOff(usize, u32, u64),
}

/// One row of `ttl`.
#[derive(Debug, Clone, Copy)]
struct Event {
    ledger: u32,
    entry: Entry,
    change: TtlChange,
    until: Option<u32>,
}

impl Chain {
    /// The last ledger of an entry after a change of it in a ledger that does not delete it.
    pub(crate) fn until(&self, change: Change, ledger: u32) -> u32 {
        match (change.subject, change.until) {
            (_, Some(until)) => until,
            (Subject::OneOff(_), None) => ledger.saturating_add(one_off(change.value).0),
            (Subject::Known(key), None) => self.keepers.until(key, self.cast.keys[key].persistent, ledger),
        }
    }

    /// The entries that a ledger writes and no other does, once each, with their contracts and values.
    fn one_offs(&self, ledger: u32) -> impl Iterator<Item = (usize, u64)> {
        let mut changes = Changes::of(self, ledger);
        let changes = iter::from_fn(move || changes.next(self));
        changes.filter_map(|change| match change.subject {
            Subject::OneOff(contract) if !change.is_again => Some((contract, change.value)),
            _ => None,
        })
    }

    /// The rows of a ledger. Those of evictions are the last.
    fn ttl_events(&self, ledger: u32) -> Vec<Event> {
        let mut events = Vec::new();
        let mut push = |entry, change, until| events.push(Event { ledger, entry, change, until });
        for (number, until) in self.keepers.extended(ledger) {
            let entry = match number.checked_sub(self.cast.mortals) {
                None => Entry::Known(number),
                Some(code) => Entry::Code(code),
            };
            push(entry, TtlChange::Extended, Some(until));
        }
        let mut evicted = Vec::new();
        for (life, step) in self.calendar.lives.steps(ledger) {
            let entry = Entry::Known(self.cast.mortals + life.entry);
            match step {
                Step::Created { until } => push(entry, TtlChange::Created, Some(until)),
                Step::Extended { until } => push(entry, TtlChange::Extended, Some(until)),
                Step::Restored { until } => push(entry, TtlChange::Restored, Some(until)),
                Step::Deleted => push(entry, TtlChange::Removed, None),
                Step::Evicted => evicted.push(entry),
            }
        }
        for (contract, value) in self.one_offs(ledger) {
            let until = ledger.saturating_add(one_off(value).0);
            push(Entry::OneOff(contract, ledger, value), TtlChange::Created, Some(until));
        }
        for age in ONE_OFF.into_iter().filter_map(|(_, age)| age) {
            let Some(written) = ledger.checked_sub(age) else { continue };
            let gone = self.one_offs(written).filter(|(_, value)| one_off(*value).1 == Some(age));
            evicted.extend(gone.map(|(contract, value)| Entry::OneOff(contract, written, value)));
        }
        evicted.into_iter().for_each(|entry| push(entry, TtlChange::Evicted, None));
        events
    }

    /// The number of rows of `ttl` in a window.
    pub(crate) fn ttl_count(&self, window: LedgerWindow) -> u64 {
        (window.start()..=window.end()).map(|ledger| self.ttl_events(ledger).len() as u64).sum()
    }

    /// The rows of `ttl` in a window.
    pub(crate) fn ttl(self: Arc<Self>, window: LedgerWindow, batch_rows: usize) -> Batches {
        let chain = self.clone();
        let events = (window.start()..=window.end()).flat_map(move |ledger| chain.ttl_events(ledger));
        let rows = batch_rows.min(MESSAGE_BYTES / TTL_ROW_BYTES);
        in_batches(events, rows, move |events| self.ttl_batch(&events))
    }

    fn ttl_batch(&self, events: &[Event]) -> Result<RecordBatch> {
        let mut columns = TtlColumns::with_capacity(events.len());
        let (mut xdr, mut key, mut hash) = (Vec::new(), String::new(), String::new());
        for event in events {
            let (ledger_key_hash, persistent) = match event.entry {
                Entry::Known(key) => (&*self.cast.keys[key].hash, self.cast.keys[key].persistent),
                Entry::Code(code) => (self.cast.codes[code].as_str(), true),
                Entry::OneOff(contract, ledger, value) => {
                    if let Some(one_off) = &self.cast.contracts[contract].one_off {
                        one_off.write(one_off_number(ledger, value), &mut xdr, &mut key, &mut hash);
                    }
                    (hash.as_str(), false)
                }
            };
            columns.push(&TtlRow {
                ledger_key_hash,
                change: event.change,
                live_until_ledger: event.until,
                contract_durability: (event.change == TtlChange::Evicted)
                    .then(|| durability(durability_of(persistent))),
                ledger_sequence: event.ledger,
                closed_at: self.tip.closed_at(event.ledger).timestamp_micros(),
            });
        }
        columns.finish()
    }
}
