//! Fold: updates `key_states` and `contract_assets` from completed windows.

use std::time::Instant;

use super::client::{Client, Transaction};
use super::row::get;
use super::sql;
use crate::error::{DatabaseContext, Result};
use crate::metrics;

/// Approximate rows per fold pass: larger passes cost less per row, but hold the fold's lock longer.
const ROWS_PER_PASS: i64 = 500_000;

/// Folds one window inside its load transaction, after the COPY, to hold the lock of all folds as briefly as possible.
pub(crate) async fn fold_window(tx: &Transaction<'_>, id: i64) -> Result<()> {
    let begun = Instant::now();
    tx.execute("select contract_data.fold_windows(array[$1::bigint])", &[&id])
        .await
        .database("fold the window")?;
    metrics::folded(begun.elapsed());
    Ok(())
}

/// Folds every completed window that is not folded yet, including those of other processes. Returns their number.
///
/// # Errors
/// [`crate::Error::Database`]; each pass is a transaction, so finished passes stay.
pub(crate) async fn fold_pending(client: &Client) -> Result<u64> {
    let mut windows = 0;
    client.execute(sql::TEND_UNFOLDED, &[]).await.database("summarise and analyse the partitions")?;
    loop {
        let begun = Instant::now();
        let row = client
            .query_one("select contract_data.fold_pending($1) as windows", &[&ROWS_PER_PASS])
            .await
            .database("fold the windows")?;
        let folded = get::<i64>(&row, "windows")?.unsigned_abs();
        if folded == 0 {
            return Ok(windows);
        }
        windows += folded;
        metrics::folded(begun.elapsed());
        tracing::info!(
            step = "fold",
            windows = folded,
            duration_ms = begun.elapsed().as_millis() as u64,
            "folded"
        );
    }
}
