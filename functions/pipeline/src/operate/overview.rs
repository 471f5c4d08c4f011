//! An overview in bounded space: which ledgers are there, how fast they came, what the tables weigh. However many windows
//! there are, PostgreSQL counts them into as many bins as are asked for.

use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio_postgres::Client;

use super::coverage::{Coverage, coverage};
use super::status::{Status, ask, read};
use crate::config::Config;
use crate::database::{get, sql};
use crate::error::{DatabaseContext, Result};

/// All that a page about one database shows.
#[derive(Debug, Clone, Serialize)]
pub struct Overview {
    /// When it was read.
    pub read_at: DateTime<Utc>,
    /// The status.
    pub status: Status,
    /// Which ledgers are there; `None` when nothing says which should be.
    pub coverage: Option<Coverage>,
    /// What was loaded in the last hour, minute by minute.
    pub last_hour: Throughput,
    /// What was loaded in the last day, in quarters of an hour.
    pub last_day: Throughput,
    /// The tables, largest first; partitions are counted into theirs.
    pub tables: Vec<TableSize>,
}

/// What was loaded over a stretch of time that ends with the reading.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Throughput {
    /// Seconds of a bin.
    pub bin_seconds: i64,
    /// The bins, oldest first.
    pub bins: Vec<Pulse>,
}

/// What was completed in a bin of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Pulse {
    /// Windows.
    pub windows: i64,
    /// Rows in them.
    pub rows: i64,
    /// Ledgers in them.
    pub ledgers: i64,
}

/// The size of a table on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableSize {
    /// Its name, without the schema.
    pub table: String,
    /// Bytes with indexes, of all partitions together.
    pub bytes: i64,
}

/// The status, and which ledgers are there in a picture of so many bins.
///
/// # Errors
/// As [`status`].
pub async fn status_in_bins(config: &Config, bins: u16) -> Result<(Status, Option<Coverage>)> {
    let (client, source) = ask(config).await?;
    let status = read(&client, config, source).await?;
    let coverage = coverage(&client, &status, bins).await?;
    Ok((status, coverage))
}

/// Reads what a status leaves out.
pub(super) async fn overview(client: &Client, status: Status, bins: u16) -> Result<Overview> {
    Ok(Overview {
        read_at: Utc::now(),
        coverage: coverage(client, &status, bins).await?,
        last_hour: throughput(client, 60, 60).await?,
        last_day: throughput(client, 900, 96).await?,
        tables: table_sizes(client).await?,
        status,
    })
}

/// What was completed in the last bins of so many seconds.
async fn throughput(client: &Client, bin_seconds: i32, bins: u16) -> Result<Throughput> {
    let mut pulses = vec![Pulse::default(); usize::from(bins)];
    let rows = client
        .query(sql::THROUGHPUT, &[&f64::from(bin_seconds), &f64::from(bins)])
        .await
        .database("read how fast windows came")?;
    for row in &rows {
        let ago: i64 = get(row, "ago")?;
        let place = usize::try_from(i64::from(bins) - 1 - ago).ok();
        if let Some(pulse) = place.and_then(|place| pulses.get_mut(place)) {
            *pulse = Pulse {
                windows: get(row, "windows")?,
                rows: get(row, "rows")?,
                ledgers: get(row, "ledgers")?,
            };
        }
    }
    Ok(Throughput { bin_seconds: bin_seconds.into(), bins: pulses })
}

/// What the tables weigh.
async fn table_sizes(client: &Client) -> Result<Vec<TableSize>> {
    let rows = client
        .query(
            "select table_name, total_bytes from contract_data.table_sizes order by total_bytes desc, table_name",
            &[],
        )
        .await
        .database("read the sizes of the tables")?;
    rows.iter()
        .map(|row| Ok(TableSize { table: get(row, "table_name")?, bytes: get(row, "total_bytes")? }))
        .collect()
}
