//! Health: how the database stands after a run, and what the runs before have learnt about their speed.

use tokio_postgres::Client;

use crate::database::get;
use crate::error::{DatabaseContext, Result};
use crate::ingest::Pace;
use crate::window::LedgerWindow;

/// What the metrics say of the database.
#[derive(Debug)]
pub(crate) struct Health {
    /// The last completed ledger.
    pub(crate) last_ledger: Option<i64>,
    /// Seconds since the newest row's ledger closed.
    pub(crate) newest_row_age: Option<f64>,
    /// Runs of missing ledgers between completed windows.
    pub(crate) gaps: i64,
    /// Windows that failed and are not loaded.
    pub(crate) failed: i64,
}

/// A window that was begun and neither finished nor taken back: its host ended first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GivenUp {
    /// Its ledgers.
    pub(crate) window: LedgerWindow,
    /// Whether it was staged before that attempt, which then had only to load it.
    pub(crate) staged: bool,
}

/// Reads how the database stands.
pub(crate) async fn health(client: &Client) -> Result<Health> {
    let row = client
        .query_one(include_str!("../../../sql/loader/health.sql"), &[])
        .await
        .database("read how the database stands")?;
    Ok(Health {
        last_ledger: get(&row, "last_ledger")?,
        newest_row_age: get(&row, "newest_row_age")?,
        gaps: get(&row, "gaps")?,
        failed: get(&row, "failed")?,
    })
}

/// How fast the last windows were, as far as they were drained.
pub(crate) async fn pace(client: &Client) -> Result<Pace> {
    let row = client
        .query_one(include_str!("../../../sql/loader/pace.sql"), &[])
        .await
        .database("read how fast windows were")?;
    Ok(Pace { slowest: get(&row, "slowest")?, quickest: get(&row, "quickest")? })
}

/// Reads what was given up.
pub(crate) async fn given_up_windows(client: &Client) -> Result<Vec<GivenUp>> {
    let rows = client
        .query(include_str!("../../../sql/loader/given_up_windows.sql"), &[])
        .await
        .database("read what was given up")?;
    rows.iter()
        .map(|row| {
            let window = LedgerWindow::from_row(get(row, "start_ledger")?, get(row, "end_ledger")?)?;
            Ok(GivenUp { window, staged: get(row, "staged")? })
        })
        .collect()
}
