//! Health: the state of the database, for the metrics.

use super::client::Client;
use super::row::get;
use super::sql;
use crate::error::{DatabaseContext, Result};
use crate::metrics::{self, Standing};

/// Measures the state of the database; `tip` is the last ledger of the source. A failure here does not fail the run,
/// whose windows are loaded.
pub(crate) async fn measure(client: &Client, tip: Option<u32>) {
    match standing(client, tip).await {
        Ok(standing) => metrics::standing(&standing),
        Err(error) => tracing::warn!(error = %error.chain(), "cannot measure the state of the database"),
    }
}

/// Tells this server and database from any other that an address may lead to, after a failover or a restore.
pub(crate) async fn server_start(client: &Client) -> Result<String> {
    let row = client
        .query_one(
            "select pg_postmaster_start_time()::text || ' ' || oid as server from pg_database where datname = current_database()",
            &[],
        )
        .await
        .database("tell the server from others")?;
    get(&row, "server")
}

/// Reads the state of the database.
async fn standing(client: &Client, tip: Option<u32>) -> Result<Standing> {
    let row = client.query_one(sql::HEALTH, &[]).await.database("read the state of the database")?;
    Ok(Standing {
        tip: tip.map(i64::from),
        last_ledger: get(&row, "last_ledger")?,
        newest_row_age: get(&row, "newest_row_age")?,
        gaps: get(&row, "gaps")?,
        failed: get(&row, "failed")?,
    })
}
