//! Cuts a message into pieces before its columns are cast: a small dictionary or view may stand for gigabytes of text.

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::UInt32Type;

use super::cast;
use crate::config::BATCH_BYTES;
use crate::contract::tables::Table;
use crate::contract::weight::{heaviest, rows_within};
use crate::error::{Error, Result};

/// The rows of a message, with the columns of the contract.
pub(super) struct Pieces {
    table: Table,
    rows: RecordBatch,
    next: usize,
}

impl Pieces {
    /// All rows of a message.
    pub(super) fn of(table: Table, rows: RecordBatch) -> Self {
        Pieces { table, rows, next: 0 }
    }

    /// The staged columns of the next rows, of 8 MiB at most; `None` at the end.
    ///
    /// # Errors
    /// [`Error::BadData`] for a row of more than 8 MiB, and those of [`cast::read`].
    pub(super) fn next(&mut self) -> Result<Option<Vec<ArrayRef>>> {
        if self.next >= self.rows.num_rows() {
            return Ok(None);
        }
        let rows = rows_within(self.rows.columns(), self.next, BATCH_BYTES);
        if rows == 0 {
            return Err(self.too_large());
        }
        let piece = self.rows.slice(self.next, rows);
        self.next += rows;
        cast::read(self.table, &piece).map(Some)
    }

    /// The error for the next row.
    fn too_large(&self) -> Error {
        let row = self.rows.slice(self.next, 1);
        let ledger = match cast::ledgers(self.table, &row) {
            Ok(ledgers) => ledgers.as_primitive::<UInt32Type>().value(0),
            Err(error) => return error,
        };
        let (bytes, column) = heaviest(row.columns(), 0);
        let columns = self.table.columns();
        let column = columns.get(column).unwrap_or(&columns[self.table.ledger()]).label;
        let most = BATCH_BYTES >> 20;
        Error::BadData {
            ledger,
            column,
            cause: format!("the row has {bytes} bytes, and may have {most} MiB"),
        }
    }
}
