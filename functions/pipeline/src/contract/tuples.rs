//! COPY BINARY: rows as PostgreSQL stores them, encoded column-wise from Arrow, and their digest.
//!
//! Each tuple has the columns of the source, `change_index`, what the loader derives, and `batch_id`. The digest covers the first
//! and `change_index`, so that it equals the digest of `COPY (SELECT … ORDER BY ledger_sequence, change_index) TO STDOUT (FORMAT
//! binary)`, independently of the batch and of this release. A `ledger_entry_change` that is not known is not covered: rows of
//! releases that did not have the column keep their digest.

use arrow::array::{
    Array, AsArray, BooleanArray, Int32Array, Int64Array, RecordBatch, StringArray, UInt32Array,
};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType, UInt32Type};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::numeric;
use super::tables::{Kind, Table, position};
use super::token::{self, Balance};
use super::xdr::{balance_amount, base16, value_bytes};
use crate::error::{Error, Result};

/// The header of a COPY BINARY stream: signature, flags, length of the header extension.
pub(crate) const HEADER: [u8; 19] = *b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// The trailer of a COPY BINARY stream.
pub(crate) const TRAILER: [u8; 2] = [0xff, 0xff];

/// Bytes of the field `change_index`: its length and an int4.
const CHANGE_INDEX_BYTES: usize = 8;
/// The length of a null field.
const NULL: [u8; 4] = (-1i32).to_be_bytes();
/// From the Unix epoch to PostgreSQL's, in microseconds.
const POSTGRES_EPOCH: i64 = 946_684_800_000_000;
/// PostgreSQL's earliest timestamp, 4714-11-24 BC, in microseconds from its epoch.
const EARLIEST: i64 = -211_813_488_000_000_000;
/// One past PostgreSQL's latest timestamp, 294277-01-01, in microseconds from its epoch.
const END_OF_TIME: i64 = 9_223_371_331_200_000_000;

/// The rows digest: SHA-256 over the tuples of a table, and their number.
#[derive(Debug, Clone)]
pub(crate) struct RowsDigest {
    table: Table,
    hash: Sha256,
    rows: u64,
}

impl RowsDigest {
    /// The digest of no rows yet.
    pub(crate) fn new(table: Table) -> Self {
        RowsDigest { table, hash: Sha256::new(), rows: 0 }
    }

    /// Adds the tuples of an encoded batch.
    pub(crate) fn update(&mut self, tuples: &Tuples) {
        let mut start = 0;
        for (&digested, &end) in tuples.digested.iter().zip(&tuples.ends) {
            self.tuple(&tuples.bytes[start + 2..digested]);
            start = end;
        }
    }

    /// Adds one tuple: its fields from the first column of the source to `change_index`.
    pub(crate) fn tuple(&mut self, fields: &[u8]) {
        let (columns, index) = fields.split_at(fields.len() - CHANGE_INDEX_BYTES);
        // An int2 that is there ends with 0, 2 and its two bytes.
        let known = match self.table {
            Table::Data => columns.strip_suffix(&NULL).unwrap_or(columns),
            Table::Ttl | Table::Assets => columns,
        };
        let count = self.table.columns().len() + usize::from(known.len() == columns.len());
        self.hash.update((count as u16).to_be_bytes());
        self.hash.update(known);
        self.hash.update(index);
        self.rows += 1;
    }

    /// Number of rows so far.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// The digest, in hexadecimal.
    pub(crate) fn finish(self) -> String {
        base16(&self.hash.finalize())
    }
}

/// Encoded tuples and the end of each. Reused from batch to batch.
#[derive(Debug, Default)]
pub(crate) struct Tuples {
    /// The tuples, one after the other.
    pub(crate) bytes: Vec<u8>,
    /// For each tuple, the offset behind its last byte.
    pub(crate) ends: Vec<usize>,
    /// For each tuple, the offset behind the last field that the digest covers.
    digested: Vec<usize>,
}

/// One column, downcast once per batch.
enum Values<'a> {
    Text(&'a StringArray),
    Ledger(&'a UInt32Array),
    Change(&'a UInt32Array),
    Flag(&'a BooleanArray),
    /// Microseconds since the Unix epoch.
    Instant(&'a arrow::array::TimestampMicrosecondArray),
    Balance {
        balance: &'a Int64Array,
        holder: &'a StringArray,
        value: &'a StringArray,
        deleted: &'a BooleanArray,
    },
}

/// Encodes a staged batch of a table for `batch_id` into `tuples`, replacing its content.
///
/// # Errors
/// [`Error::BadData`] for values that PostgreSQL would refuse or change: NUL in text, an instant out of its range, a
/// balance without an amount.
pub(crate) fn encode(table: Table, batch: &RecordBatch, batch_id: Uuid, tuples: &mut Tuples) -> Result<()> {
    let ledgers = batch.column(table.ledger()).as_primitive::<UInt32Type>();
    let change_index: &Int32Array = batch.column(table.change_index()).as_primitive::<Int32Type>();
    let mut columns = Vec::with_capacity(table.columns().len());
    for (i, column) in table.columns().iter().enumerate() {
        let array = batch.column(i);
        columns.push(match column.kind {
            Kind::Text => {
                let text = array.as_string::<i32>();
                refuse_nul(column.label, text, ledgers)?;
                Values::Text(text)
            }
            Kind::Ledger => Values::Ledger(array.as_primitive::<UInt32Type>()),
            Kind::Change => Values::Change(array.as_primitive::<UInt32Type>()),
            Kind::Flag => Values::Flag(array.as_boolean()),
            Kind::Instant => Values::Instant(array.as_primitive::<TimestampMicrosecondType>()),
            Kind::Amount => Values::Balance {
                balance: array.as_primitive::<Int64Type>(),
                holder: batch.column(position::BALANCE_HOLDER).as_string::<i32>(),
                value: batch.column(position::VAL_XDR).as_string::<i32>(),
                deleted: batch.column(position::DELETED).as_boolean(),
            },
        });
    }
    tuples.bytes.clear();
    tuples.ends.clear();
    tuples.digested.clear();
    let fields = u16::try_from(columns.len() + 1 + table.derived().len() + 1);
    let fields = fields.map_err(|e| Error::Unexpected(e.to_string()))?.to_be_bytes();
    let balances = token::Balances::of(table, batch);
    let out = &mut tuples.bytes;
    for row in 0..batch.num_rows() {
        out.extend_from_slice(&fields);
        for (values, column) in columns.iter().zip(table.columns()) {
            let bad = |cause| Error::BadData { ledger: ledgers.value(row), column: column.label, cause };
            field(out, values, row).map_err(bad)?;
        }
        put(out, &change_index.value(row).to_be_bytes());
        tuples.digested.push(out.len());
        if let Some(balances) = &balances {
            put_balance(out, balances.row(row));
        }
        put(out, batch_id.as_bytes());
        tuples.ends.push(out.len());
    }
    Ok(())
}

/// Appends one field of one row; the error is the cause.
fn field(out: &mut Vec<u8>, values: &Values<'_>, row: usize) -> Result<(), String> {
    match values {
        Values::Text(text) if text.is_valid(row) => put(out, text.value(row).as_bytes()),
        Values::Ledger(ledger) if ledger.is_valid(row) => {
            put(out, &i64::from(ledger.value(row)).to_be_bytes())
        }
        Values::Change(change) if change.is_valid(row) => {
            let number = change.value(row);
            let number = i16::try_from(number).map_err(|_| format!("{number} is too large"))?;
            put(out, &number.to_be_bytes());
        }
        Values::Flag(flag) if flag.is_valid(row) => put(out, &[u8::from(flag.value(row))]),
        Values::Instant(instant) if instant.is_valid(row) => {
            let micros = instant.value(row).checked_sub(POSTGRES_EPOCH);
            let micros = micros.filter(|m| (EARLIEST..END_OF_TIME).contains(m));
            let micros = micros.ok_or_else(|| {
                format!("{} us since 1970 is out of PostgreSQL's range", instant.value(row))
            })?;
            put(out, &micros.to_be_bytes());
        }
        Values::Balance { balance, .. } if balance.is_valid(row) => {
            numeric::put(out, i128::from(balance.value(row)));
        }
        Values::Balance { holder, value, deleted, .. } if holder.is_valid(row) => {
            // The int64 is null because the amount does not fit: take it from the value.
            if value.is_valid(row) {
                let mut bytes = Vec::new();
                let amount = value_bytes(value.value(row), &mut bytes)
                    .and_then(|()| balance_amount(&bytes).ok_or_else(|| "contains no i128 amount".to_owned()))
                    .map_err(|cause| format!("is null, and val_xdr, which should contain it, {cause}"))?;
                numeric::put(out, amount);
            } else if deleted.value(row) {
                put_null(out);
            } else {
                return Err("is null, and so is val_xdr, which should contain it".to_owned());
            }
        }
        _ => put_null(out),
    }
    Ok(())
}

/// The holder and the amount of a balance that is not in the form of a Stellar asset contract's, or nulls.
fn put_balance(out: &mut Vec<u8>, balance: Option<Balance>) {
    match balance {
        Some(balance) => {
            put(out, balance.holder.as_bytes());
            numeric::put(out, balance.amount);
        }
        None => {
            put_null(out);
            put_null(out);
        }
    }
}

/// A field: its length, then its bytes. No field is near 2 GiB: a message is at most 64 MiB.
fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// A null field.
fn put_null(out: &mut Vec<u8>) {
    out.extend_from_slice(&NULL);
}

/// PostgreSQL refuses NUL in text. One search covers the whole column; only if it finds one, a second search finds its
/// row.
fn refuse_nul(column: &'static str, text: &StringArray, ledgers: &UInt32Array) -> Result<()> {
    let offsets = text.value_offsets();
    let (Some(&first), Some(&last)) = (offsets.first(), offsets.last()) else { return Ok(()) };
    let (Ok(first), Ok(last)) = (usize::try_from(first), usize::try_from(last)) else { return Ok(()) };
    if memchr::memchr(0, &text.value_data()[first..last]).is_none() {
        return Ok(());
    }
    match text.iter().position(|value| value.is_some_and(|v| v.contains('\0'))) {
        Some(row) => Err(Error::BadData {
            ledger: ledgers.value(row),
            column,
            cause: "contains a NUL byte, which PostgreSQL cannot store".to_owned(),
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
