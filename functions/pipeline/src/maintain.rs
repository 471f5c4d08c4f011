//! Maintenance: what the owner of the schema does beside the loaders.

use serde::Serialize;

use crate::config::Config;
use crate::database::{connect, get};
use crate::error::{DatabaseContext, Result};
use crate::migrate::settings;

/// Partitions made before they are needed.
const PARTITIONS_AHEAD: i64 = 2;

/// What a maintenance did.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Maintenance {
    /// The partition in use and those ahead of it: all there now.
    pub partitions: Vec<String>,
    /// Whether the partition in use got its BRIN summaries and, where enough has changed, statistics.
    pub tended: bool,
}

/// Makes the partitions that the next ledgers fall in, and summarises and analyses the one in use. Safe beside loaders.
///
/// # Errors
/// [`crate::Error::Database`], [`crate::Error::Schema`].
pub async fn maintain(config: &Config) -> Result<Maintenance> {
    let client = connect(&config.database).await?;
    settings(&client, config).await?;
    let mut maintenance = Maintenance::default();
    let row = client
        .query_one(include_str!("../../../sql/loader/newest_ledger.sql"), &[])
        .await
        .database("read where the next rows go")?;
    let Some(newest) = get::<Option<i64>>(&row, "ledger")? else { return Ok(maintenance) };
    let size: i64 = get(&row, "partition_ledgers")?;
    for ahead in 0..=PARTITIONS_AHEAD {
        let ledger = newest + ahead * size;
        if ledger > i64::from(u32::MAX) {
            break;
        }
        let made = client
            .query_one("select contract_data.ensure_partition($1) as name", &[&ledger])
            .await
            .database("make the partition")?;
        maintenance.partitions.push(get(&made, "name")?);
    }
    client
        .execute("select contract_data.tend_partition($1)", &[&newest])
        .await
        .database("summarise and analyse the partition")?;
    maintenance.tended = true;
    tracing::info!(step = "maintain", partitions = maintenance.partitions.len(), "maintained");
    Ok(maintenance)
}
