//! Reads the rows of a query.

use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

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

/// Reads the columns `start_ledger` and `end_ledger`.
pub(crate) fn window(row: &Row) -> Result<LedgerWindow> {
    LedgerWindow::from_row(get(row, "start_ledger")?, get(row, "end_ledger")?)
}
