//! The rows of a window, made ledger by ledger in reused buffers.

use std::sync::Arc;

use arrow::array::RecordBatch;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use pipeline::LedgerWindow;
use pipeline::contract::xdr::durability;

use super::Chain;
use super::calendar::Event;
use super::cast::{ASSETS, BEYOND_INT64, Cast, Kind};
use super::dice::{Dice, Use};
use super::keys::{Content, OneOff, durability_of};
use crate::columns::{Columns, Row, STELLAR_ASSET, WASM};
use crate::dataset::MESSAGE_BYTES;
use crate::error::Result;

/// The entry of a row.
#[derive(Clone, Copy)]
enum Subject {
    /// The index of its key in the cast.
    Known(usize),
    /// An entry that is written only once, of the contract with this index.
    OneOff(usize),
}

/// One change of an entry. `value` is the seed of everything in the row that the entry does not determine.
#[derive(Clone, Copy)]
struct Change {
    subject: Subject,
    value: u64,
    /// For a deletion, the ledger of the modification before it.
    deleted_since: Option<u32>,
}

/// The rows of a window in progress.
pub(crate) struct Rows {
    chain: Arc<Chain>,
    batch_rows: usize,
    window: LedgerWindow,
    /// The current ledger; at the end one past the window, which may not fit u32.
    ledger: u64,
    /// The number of rows of that ledger, and of those already made.
    rows: u32,
    made: u32,
    closed_at: i64,
    events: Vec<Event>,
    next_event: usize,
    dice: Dice,
    last: Option<Change>,
    pen: Pen,
}

impl Rows {
    /// The rows of `window`, in batches of at most `batch_rows` (at least 1).
    pub(crate) fn new(chain: Arc<Chain>, window: LedgerWindow, batch_rows: usize) -> Self {
        let mut rows = Self {
            dice: Dice::at(chain.seed, Use::Rows, 0, 0),
            chain,
            batch_rows: batch_rows.max(1),
            window,
            ledger: u64::from(window.start()),
            rows: 0,
            made: 0,
            closed_at: 0,
            events: Vec::new(),
            next_event: 0,
            last: None,
            pen: Pen::default(),
        };
        rows.open(u64::from(window.start()));
        rows
    }

    /// Starts a ledger.
    fn open(&mut self, ledger: u64) {
        self.ledger = ledger;
        if ledger > u64::from(self.window.end()) {
            return;
        }
        let at = ledger as u32;
        self.chain.calendar.events(at, &mut self.events);
        self.rows = self.chain.calendar.rows(at);
        self.made = 0;
        self.next_event = 0;
        self.closed_at = self.chain.tip.closed_at(at).timestamp_micros();
        self.dice = Dice::at(self.chain.seed, Use::Rows, ledger, 0);
        self.last = None;
    }

    /// The next change of the current ledger. Its scheduled events are spread evenly over its rows.
    fn change(&mut self) -> Change {
        if let Some(event) = self.events.get(self.next_event) {
            let at = self.next_event as u64 * u64::from(self.rows) / self.events.len() as u64;
            if at <= u64::from(self.made) {
                self.next_event += 1;
                return self.happen(*event);
            }
        }
        let change = self.ordinary();
        self.last = Some(change);
        change
    }

    fn happen(&self, event: Event) -> Change {
        let cast = &self.chain.cast;
        match event {
            Event::Instance(asset) => Change {
                subject: Subject::Known(cast.contracts[usize::from(asset)].first_key),
                value: u64::from(asset),
                deleted_since: None,
            },
            Event::Birth { entry, value } => {
                Change { subject: Subject::Known(cast.mortals + entry), value, deleted_since: None }
            }
            Event::Death { entry, born, value } => {
                Change { subject: Subject::Known(cast.mortals + entry), value, deleted_since: Some(born) }
            }
        }
    }

    /// A random change: sometimes the last one again, identical or with another value; otherwise a balance or another entry
    /// of a contract, most often of a popular one.
    fn ordinary(&mut self) -> Change {
        let cast = &self.chain.cast;
        let (throw, value) = (self.dice.below(1_000), self.dice.next());
        match (throw, self.last) {
            (0..12, Some(last)) => return last,
            (12..90, Some(last)) => return Change { value, ..last },
            _ => {}
        }
        let assets = usize::from(ASSETS);
        let subject = if throw >= 520 {
            let contract = &cast.contracts[self.dice.rank(assets)];
            Subject::Known(contract.first_key + 1 + self.dice.rank(contract.keys))
        } else {
            let place = assets + self.dice.rank(cast.contracts.len() - assets);
            let contract = &cast.contracts[place];
            match self.dice.below(100) {
                0..10 => Subject::OneOff(place),
                10..18 => Subject::Known(contract.first_key),
                _ => Subject::Known(contract.first_key + 1 + self.dice.rank(contract.keys)),
            }
        };
        Change { subject, value, deleted_since: None }
    }

    fn batch(&mut self) -> Option<Result<RecordBatch>> {
        let mut columns: Option<Columns> = None;
        while self.ledger <= u64::from(self.window.end()) {
            if self.made == self.rows {
                self.open(self.ledger + 1);
                continue;
            }
            let columns = columns.get_or_insert_with(|| {
                // capacity for the rest of the window or for one message, whichever is less
                let rest = u64::from(self.window.end()) - self.ledger + 1;
                let rows = (MESSAGE_BYTES / 512).min(self.batch_rows);
                Columns::with_capacity(rows.min((rest as usize).saturating_mul(64)))
            });
            let change = self.change();
            let at = Moment { ledger: self.ledger as u32, closed_at: self.closed_at };
            self.pen.write(&self.chain.cast, change, at, columns);
            self.made += 1;
            // the next value may take up to 64 KiB
            if columns.rows() >= self.batch_rows || columns.bytes() >= MESSAGE_BYTES - (64 << 10) {
                break;
            }
        }
        columns.map(Columns::finish)
    }
}

impl Iterator for Rows {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.batch()
    }
}

#[derive(Clone, Copy)]
struct Moment {
    ledger: u32,
    closed_at: i64,
}

/// Writes changes as rows, in reused buffers.
#[derive(Default)]
struct Pen {
    xdr: Vec<u8>,
    val: String,
    key: String,
    hash: String,
}

/// The approximate balance of the richest holder of an asset, in stroops.
const RICHEST: i128 = 2_000_000_000_000_000;

/// A balance of the holder with this rank: the higher the rank the less, and sometimes nothing.
fn amount(contract: u16, rank: u32, dice: &mut Dice) -> i128 {
    let usual = RICHEST / i128::from(rank + 1) * i128::from(500 + dice.below(1_000)) / 1_000;
    match contract {
        _ if dice.one_in(200) => 0,
        BEYOND_INT64 if rank < 24 => (i128::from(i64::MAX) + usual) * i128::from(1 + dice.below(1 << 20)),
        _ => usual,
    }
}

impl Pen {
    fn write(&mut self, cast: &Cast, change: Change, at: Moment, columns: &mut Columns) {
        let mut dice = Dice::at(change.value, Use::Value, 0, 0);
        let (place, key_type, persistent, content) = match change.subject {
            Subject::Known(key) => {
                let key = &cast.keys[key];
                (usize::from(key.contract), &*key.key_type, key.persistent, key.content)
            }
            Subject::OneOff(contract) => (contract, OneOff::KEY_TYPE, false, Content::Any),
        };
        let contract = &cast.contracts[place];
        // The columns that few rows have.
        let mut row = Row::default();
        self.value(cast, place, content, &mut dice, &mut row);
        let (key_xdr, ledger_key_hash) = match (change.subject, &contract.one_off) {
            (Subject::Known(key), _) => (&*cast.keys[key].xdr, &*cast.keys[key].hash),
            (Subject::OneOff(_), one_off) => {
                if let Some(one_off) = one_off {
                    let number = u128::from(at.ledger) << 64 | u128::from(change.value);
                    one_off.write(number, &mut self.xdr, &mut self.key, &mut self.hash);
                }
                (self.key.as_str(), self.hash.as_str())
            }
        };
        if let Content::Instance = content {
            match &contract.kind {
                Kind::Asset(asset) => {
                    row.asset_code = asset.code.as_deref();
                    row.asset_issuer = asset.issuer.as_deref();
                    row.asset_type = Some(asset.asset_type);
                    row.contract_instance_type = Some(STELLAR_ASSET);
                }
                Kind::Wasm(hash) => {
                    row.contract_instance_type = Some(WASM);
                    row.contract_instance_wasm_hash = Some(hash.as_str());
                }
            }
        }
        columns.push(&Row {
            contract_id: &contract.strkey,
            contract_key_type: key_type,
            contract_durability: durability(durability_of(persistent)),
            last_modified_ledger: change.deleted_since.unwrap_or(at.ledger),
            deleted: change.deleted_since.is_some(),
            ledger_sequence: at.ledger,
            closed_at: at.closed_at,
            ledger_key_hash,
            key_xdr,
            val_xdr: &self.val,
            expiration_ledger_seq: match change.deleted_since {
                None => expiration(persistent, at.ledger, &mut dice),
                Some(_) => None,
            },
            ..row
        });
    }

    /// Writes the value into `val`, and holder and balance into `row` if it is a balance.
    fn value<'a>(
        &mut self,
        cast: &'a Cast,
        contract: usize,
        content: Content,
        dice: &mut Dice,
        row: &mut Row<'a>,
    ) {
        match content {
            Content::Balance { holder, rank } => {
                let amount = amount(contract as u16, rank, dice);
                cast.values.balance(amount, dice, &mut self.xdr);
                row.balance_holder = Some(&*cast.holders[usize::from(holder)]);
                row.balance = i64::try_from(amount).ok();
            }
            Content::Instance => cast.contracts[contract].instance.fill(dice, &mut self.xdr),
            Content::Any => cast.values.any(dice, &mut self.xdr),
        }
        self.val.clear();
        BASE64_STANDARD.encode_string(&self.xdr, &mut self.val);
    }
}

/// The ledger until which an entry lives, in some of the rows: soon for a temporary entry, late for a persistent one.
fn expiration(persistent: bool, ledger: u32, dice: &mut Dice) -> Option<u32> {
    let (said, least, span) = if persistent { (50, 4_096, 500_000) } else { (80, 16, 1_000) };
    (dice.below(100) < said).then(|| ledger.saturating_add((least + dice.below(span)) as u32))
}
