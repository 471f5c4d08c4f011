//! Reads the rows of a query.

use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

use crate::contract::tables::Table;
use crate::contract::window::LedgerWindow;
use crate::error::{Error, Result};
use crate::store::footer::Side;

/// Reads a column that the query must return.
pub(crate) fn get<'a, T: FromSql<'a>>(row: &'a Row, column: &str) -> Result<T> {
    row.try_get(column).map_err(|e| Error::Database {
        action: "read the result of a query",
        transient: false,
        source: e.into(),
    })
}

/// Reads a BIGINT column that holds a ledger, or nothing.
pub(crate) fn ledger(row: &Row, column: &str) -> Result<Option<u32>> {
    get::<Option<i64>>(row, column)?
        .map(|value| {
            u32::try_from(value)
                .map_err(|_| Error::Schema(format!("{column} is {value}, which is not a ledger")))
        })
        .transpose()
}

/// Reads the columns `start_ledger` and `end_ledger`.
pub(crate) fn window(row: &Row) -> Result<LedgerWindow> {
    LedgerWindow::from_row(get(row, "start_ledger")?, get(row, "end_ledger")?)
}

/// A number as BIGINT holds it.
pub(crate) fn bigint(number: u64) -> Result<i64> {
    i64::try_from(number).map_err(|e| Error::Unexpected(e.to_string()))
}

/// What is recorded of another table of a window or of the snapshot; `None` for a table that this release does not know.
pub(crate) fn side(row: &Row) -> Result<Option<Side>> {
    let Some(table) = Table::named(get(row, "table_name")?) else { return Ok(None) };
    Ok(Some(Side {
        table,
        bytes: get::<i64>(row, "object_bytes")?.unsigned_abs(),
        rows: get::<i64>(row, "rows")?.unsigned_abs(),
        rows_digest: get(row, "rows_digest")?,
    }))
}

/// Reads the column `sides`: the names of a window's tables beside `data`.
pub(crate) fn sides(row: &Row) -> Result<Vec<Table>> {
    Ok(get::<Vec<&str>>(row, "sides")?.into_iter().filter_map(Table::named).collect())
}
