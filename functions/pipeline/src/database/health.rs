//! Health: how the database stands, for the metrics.

use tokio_postgres::Client;

use super::row::get;
use super::sql;
use crate::error::{DatabaseContext, Result};
use crate::metrics::{self, Standing};

/// Measures how the database stands; `tip` is the last ledger of the source. What cannot be measured is no failure of a run,
/// whose windows are loaded.
pub(crate) async fn measure(client: &Client, tip: Option<u32>) {
    match standing(client, tip).await {
        Ok(standing) => metrics::standing(&standing),
        Err(error) => tracing::warn!(error = %error.chain(), "not measured"),
    }
}

/// Reads how the database stands.
async fn standing(client: &Client, tip: Option<u32>) -> Result<Standing> {
    let row = client.query_one(sql::HEALTH, &[]).await.database("read how the database stands")?;
    Ok(Standing {
        tip: tip.map(i64::from),
        last_ledger: get(&row, "last_ledger")?,
        newest_row_age: get(&row, "newest_row_age")?,
        gaps: get(&row, "gaps")?,
        failed: get(&row, "failed")?,
    })
}
