//! Hints: progress rows for windows under way. Status shows them, and they size the next attempt at an abandoned
//! window; whether a ledger is loaded never depends on them.

use std::time::Duration;

use uuid::Uuid;

use super::client::Client;
use super::row::{get, window};
use super::sql;
use crate::contract::evidence::RowSource;
use crate::contract::window::LedgerWindow;
use crate::error::{DatabaseContext, Result};

/// An abandoned window: its host ended before it was finished or released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GivenUp {
    /// Its ledgers.
    pub(crate) window: LedgerWindow,
    /// Whether it had been staged before that attempt, which then only had to load it.
    pub(crate) staged: bool,
}

/// Writes a hint that the window is under way, valid as long as the host's time. The load transaction removes it. It
/// only affects what status shows, and how large the next attempt is if this one is abandoned.
pub(crate) async fn hint(
    client: &Client,
    window: LedgerWindow,
    batch_id: Uuid,
    lifetime: Duration,
    source: RowSource,
) -> Result<()> {
    let (start, end) = (i64::from(window.start()), i64::from(window.end()));
    client
        .execute(
            "select contract_data.hint_window($1, $2, $3, $4, $5)",
            &[&batch_id, &start, &end, &lifetime.as_secs_f64(), &source.as_str()],
        )
        .await
        .database("write the hint")
        .map(drop)
}

/// Removes a hint.
pub(crate) async fn unhint(client: &Client, batch_id: Uuid) -> Result<()> {
    client
        .execute("select contract_data.unhint_window($1)", &[&batch_id])
        .await
        .database("remove the hint")
        .map(drop)
}

/// Reads the abandoned windows.
pub(crate) async fn given_up_windows(client: &Client) -> Result<Vec<GivenUp>> {
    let rows = client.query(sql::GIVEN_UP_WINDOWS, &[]).await.database("read the abandoned windows")?;
    rows.iter().map(|row| Ok(GivenUp { window: window(row)?, staged: get(row, "staged")? })).collect()
}
