//! Hints: rows of progress that say who is at work on a window. People read them, and the next attempt at a window that was
//! given up; whether a ledger is loaded never depends on them.

use std::time::Duration;

use tokio_postgres::Client;
use uuid::Uuid;

use super::row::{get, window};
use super::sql;
use crate::contract::evidence::RowSource;
use crate::contract::window::LedgerWindow;
use crate::error::{DatabaseContext, Result};

/// A window that was begun and neither finished nor taken back: its host ended first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GivenUp {
    /// Its ledgers.
    pub(crate) window: LedgerWindow,
    /// Whether it was staged before that attempt, which then had only to load it.
    pub(crate) staged: bool,
}

/// Leaves a hint that somebody works on the window, for as long as its host may. The load transaction removes it. Nothing
/// depends on it but what people see, and how much of the window the next attempt takes should this one be given up.
pub(crate) async fn hint(
    client: &Client,
    window: LedgerWindow,
    batch_id: Uuid,
    lifetime: Duration,
    source: RowSource,
) -> Result<()> {
    let (start, end) = (i64::from(window.start()), i64::from(window.end()));
    client
        .execute(sql::HINT_WINDOW, &[&batch_id, &start, &end, &lifetime.as_secs_f64(), &source.as_str()])
        .await
        .database("leave a hint")
        .map(drop)
}

/// Takes a hint back.
pub(crate) async fn unhint(client: &Client, batch_id: Uuid) -> Result<()> {
    client
        .execute(
            "delete from contract_data.ingestion_progress where batch_id = $1 and status = 'processing'",
            &[&batch_id],
        )
        .await
        .database("take a hint back")
        .map(drop)
}

/// Reads what was given up.
pub(crate) async fn given_up_windows(client: &Client) -> Result<Vec<GivenUp>> {
    let rows = client.query(sql::GIVEN_UP_WINDOWS, &[]).await.database("read what was given up")?;
    rows.iter().map(|row| Ok(GivenUp { window: window(row)?, staged: get(row, "staged")? })).collect()
}
