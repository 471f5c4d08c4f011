//! Pace: how fast the windows before were.

use std::time::Duration;

use tokio_postgres::Client;

use crate::database::{get, sql};
use crate::error::{DatabaseContext, Result};

/// What a window takes whatever its length: a claim, a commit, an object or two.
pub(super) const OVERHEAD: Duration = Duration::from_millis(200);

/// How fast the last windows were.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Pace {
    /// Seconds per ledger of the slowest, beside what a window takes whatever its length.
    pub(super) slowest: Option<f64>,
    /// The time of the quickest, in seconds.
    pub(super) quickest: Option<f64>,
}

/// How fast the last windows were, as far as they were drained.
pub(super) async fn pace(client: &Client) -> Result<Pace> {
    let row = client
        .query_one(sql::PACE, &[&OVERHEAD.as_secs_f64()])
        .await
        .database("read how fast windows were")?;
    Ok(Pace { slowest: get(&row, "slowest")?, quickest: get(&row, "quickest")? })
}
