//! The rows of a window, made ledger by ledger in reused buffers.

use std::sync::Arc;

use arrow::array::RecordBatch;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use pipeline::LedgerWindow;
use pipeline::contract::xdr::durability;

use super::Chain;
use super::cast::{BEYOND_INT64, Cast, Kind};
use super::changes::{Change, Changes, Subject};
use super::dice::{Dice, Use};
use super::keys::{Content, OneOff, durability_of, one_off_number};
use crate::columns::{Columns, Row, STELLAR_ASSET, WASM};
use crate::dataset::MESSAGE_BYTES;
use crate::error::Result;

/// The rows of a window in progress.
pub(crate) struct Rows {
    chain: Arc<Chain>,
    batch_rows: usize,
    window: LedgerWindow,
    /// The current ledger; at the end one past the window, which may not fit u32.
    ledger: u64,
    /// The changes of that ledger that have no row yet.
    changes: Changes,
    pen: Pen,
}

impl Rows {
    /// The rows of `window`, in batches of at most `batch_rows` (at least 1).
    pub(crate) fn new(chain: Arc<Chain>, window: LedgerWindow, batch_rows: usize) -> Self {
        let changes = Changes::of(&chain, window.start());
        let (batch_rows, ledger) = (batch_rows.max(1), u64::from(window.start()));
        Self { chain, batch_rows, window, ledger, changes, pen: Pen::default() }
    }

    fn batch(&mut self) -> Option<Result<RecordBatch>> {
        let mut columns: Option<Columns> = None;
        while self.ledger <= u64::from(self.window.end()) {
            let Some(change) = self.changes.next(&self.chain) else {
                self.ledger += 1;
                if self.ledger <= u64::from(self.window.end()) {
                    self.changes.open(&self.chain, self.ledger as u32);
                }
                continue;
            };
            let columns = columns.get_or_insert_with(|| {
                // capacity for the rest of the window or for one message, whichever is less
                let rest = u64::from(self.window.end()) - self.ledger + 1;
                let rows = (MESSAGE_BYTES / 512).min(self.batch_rows);
                Columns::with_capacity(rows.min((rest as usize).saturating_mul(64)))
            });
            self.pen.write(&self.chain, change, self.ledger as u32, columns);
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
    fn write(&mut self, chain: &Chain, change: Change, ledger: u32, columns: &mut Columns) {
        let cast = &chain.cast;
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
        self.value(cast, (place, content), ledger, &mut dice, &mut row);
        let (key_xdr, ledger_key_hash) = match (change.subject, &contract.one_off) {
            (Subject::Known(key), _) => (&*cast.keys[key].xdr, &*cast.keys[key].hash),
            (Subject::OneOff(_), one_off) => {
                if let Some(one_off) = one_off {
                    one_off.write(
                        one_off_number(ledger, change.value),
                        &mut self.xdr,
                        &mut self.key,
                        &mut self.hash,
                    );
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
            last_modified_ledger: change.last_modified,
            deleted: change.deleted,
            ledger_sequence: ledger,
            closed_at: chain.tip.closed_at(ledger).timestamp_micros(),
            ledger_key_hash,
            key_xdr,
            val_xdr: &self.val,
            expiration_ledger_seq: (!change.deleted && is_said(persistent, &mut dice))
                .then(|| chain.until(change, ledger)),
            ledger_entry_change: Some(change.what),
            ..row
        });
    }

    /// Writes the value into `val`, and holder and balance into `row` if it is a balance.
    fn value<'a>(
        &mut self,
        cast: &'a Cast,
        (contract, content): (usize, Content),
        ledger: u32,
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
            Content::Amount { rank } => {
                cast.values.amount(amount(contract as u16, rank, dice) / 10, &mut self.xdr);
            }
            Content::Allowance => {
                let amount = i128::from(1 + dice.below(1_000)) * 1_000_000;
                let until = ledger.saturating_add(dice.below(20_000) as u32);
                cast.values.allowance(amount, until, &mut self.xdr);
            }
            Content::Owner => {
                let owner = dice.rank(cast.people.len());
                self.xdr.clone_from(&cast.people[owner]);
            }
            Content::Any => cast.values.any(dice, &mut self.xdr),
        }
        self.val.clear();
        BASE64_STANDARD.encode_string(&self.xdr, &mut self.val);
    }
}

/// Whether a row says how long its entry lives.
fn is_said(persistent: bool, dice: &mut Dice) -> bool {
    dice.below(100) < if persistent { 50 } else { 80 }
}
