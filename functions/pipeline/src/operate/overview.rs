//! An overview of bounded size: coverage, throughput, table sizes. PostgreSQL counts any number of windows into the
//! requested number of bins.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::coverage::{Coverage, coverage};
use super::status::{Status, ask, read};
use crate::config::Config;
use crate::database::{Client, get, sql};
use crate::error::{DatabaseContext, Result};

/// The data of the status page.
#[derive(Debug, Clone, Serialize)]
pub struct Overview {
    /// When it was read.
    pub read_at: DateTime<Utc>,
    /// The status.
    pub status: Status,
    /// The coverage; `None` if nothing defines which ledgers to expect.
    pub coverage: Option<Coverage>,
    /// Throughput of the last hour, per minute.
    pub last_hour: Throughput,
    /// Throughput of the last day, per quarter of an hour.
    pub last_day: Throughput,
    /// The tables, largest first; partitions count towards their table.
    pub tables: Vec<TableSize>,
}

/// The throughput of a period that ends at the time of reading.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Throughput {
    /// Seconds per bin.
    pub bin_seconds: i64,
    /// The bins, oldest first.
    pub bins: Vec<Pulse>,
}

/// The windows completed in a bin of time.
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
    /// Bytes with indexes, summed over all partitions.
    pub bytes: i64,
}

/// The status, and the coverage in `bins` bins.
///
/// # Errors
/// As [`status`](super::status::status).
pub async fn status_in_bins(config: &Config, bins: u16) -> Result<(Status, Option<Coverage>)> {
    let (client, source) = ask(config).await?;
    let status = read(&client, config, source).await?;
    let coverage = coverage(&client, &status, bins).await?;
    Ok((status, coverage))
}

/// Reads the parts beyond a status.
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

/// The throughput of the last `bins` bins of `bin_seconds` seconds.
async fn throughput(client: &Client, bin_seconds: i32, bins: u16) -> Result<Throughput> {
    let mut pulses = vec![Pulse::default(); usize::from(bins)];
    let rows = client
        .query(sql::THROUGHPUT, &[&f64::from(bin_seconds), &f64::from(bins)])
        .await
        .database("read the throughput")?;
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

/// The sizes of the tables.
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
