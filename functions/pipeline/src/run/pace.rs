//! Pace: the speed of earlier windows.

use std::time::Duration;

use crate::database::{Client, get, sql};
use crate::error::{DatabaseContext, Result};

/// The fixed time of a window, independent of its length: a claim, a commit, an object or two.
pub(super) const OVERHEAD: Duration = Duration::from_millis(200);

/// The speed of the last windows.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Pace {
    /// Seconds per ledger of the slowest window, without the fixed time.
    pub(super) slowest: Option<f64>,
    /// Seconds of the fastest window.
    pub(super) quickest: Option<f64>,
}

/// The speed of the last drained windows.
pub(super) async fn pace(client: &Client) -> Result<Pace> {
    let row = client
        .query_one(sql::PACE, &[&OVERHEAD.as_secs_f64()])
        .await
        .database("read the speed of windows")?;
    Ok(Pace { slowest: get(&row, "slowest")?, quickest: get(&row, "quickest")? })
}
