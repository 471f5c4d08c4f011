//! Reads the rows of a query.

use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

use crate::contract::tables::Table;
use crate::contract::window::LedgerWindow;
use crate::error::{Error, Result};

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

/// Reads the column `sides`: the names of a window's tables beside `data`.
pub(crate) fn sides(row: &Row) -> Result<Vec<Table>> {
    Ok(get::<Vec<&str>>(row, "sides")?.into_iter().filter_map(Table::named).collect())
}
