//! Retention: drops whole partitions below a boundary, and keeps the last version of each key for the fold.
//!
//! Three steps, each committed before the next and idempotent after a crash: the boundary, the last versions of each
//! key, the drop. sql/functions/retain_from.sql describes what may run
//! concurrently.

use std::time::{Duration, Instant};

use super::maintenance::{DroppedPartition, Maintenance};
use crate::config::Config;
use crate::database::settings::{Settings, retained_from};
use crate::database::{Client, LONG_WORK, Limits, fold, get, sql};
use crate::error::{DatabaseContext, Error, Result};

/// The longest wait for loads that began before the boundary was committed.
const PATIENCE: Duration = Duration::from_secs(30);

/// Condensing a large partition may take long; it blocks nothing, and at its end it waits for a fold.
const CONDENSING: Limits = Limits { lock: Duration::from_secs(5 * 60), ..LONG_WORK };

/// A detach waits for every query that reads entries, so the wait is short. An interrupted detach stays pending, and
/// the next maintenance finishes it.
const DETACHING: Limits = Limits { lock: Duration::from_secs(5), statement: Duration::from_secs(30) };

/// Moves the boundary as configured, and drops the partitions below. Returns the boundary; 0 keeps everything.
///
/// # Errors
/// [`Error::Database`]. Steps blocked by a long query or a load are postponed.
pub(super) async fn apply(
    client: &Client,
    config: &Config,
    stored: &Settings,
    maintenance: &mut Maintenance,
) -> Result<u32> {
    let wanted = wanted(client, config).await?;
    let boundary = wanted.max(stored.retained_from);
    if boundary == 0 {
        return Ok(0);
    }
    maintenance.retained_from = Some(i64::from(boundary));
    if maintenance.dry_run {
        for partition in droppable(client, i64::from(boundary)).await? {
            maintenance.dropped.push(partition.report);
        }
        return Ok(boundary);
    }
    let committed = commit_boundary(client, boundary).await;
    if maintenance.unless_busy(format!("retention from ledger {boundary} on"), committed)?.is_none() {
        maintenance.retained_from = Some(i64::from(stored.retained_from)).filter(|ledger| *ledger > 0);
        return Ok(stored.retained_from);
    }
    failpoint!("boundary_committed");
    if condense(client, maintenance).await? {
        drop_partitions(client, maintenance).await?;
    }
    Ok(boundary)
}

/// The boundary from `RETAIN_LEDGERS` and `RETAIN_DAYS`; 0 keeps everything.
async fn wanted(client: &Client, config: &Config) -> Result<u32> {
    let ledgers = config.retain_ledgers.map(i64::from);
    // beyond a million days there is no date
    let days = config.retain_days.map(|days| i32::try_from(days.min(1_000_000)).unwrap_or(i32::MAX));
    let row = client
        .query_opt(sql::RETENTION_BOUNDARY, &[&ledgers, &days])
        .await
        .database("compute the retention boundary")?;
    let boundary = row.map(|row| get::<i64>(&row, "boundary")).transpose()?.unwrap_or(0);
    u32::try_from(boundary).map_err(|e| Error::Unexpected(format!("retention from {boundary}: {e}")))
}

/// Commits the boundary and reads it back: an Ok proves nothing.
async fn commit_boundary(client: &Client, boundary: u32) -> Result<()> {
    client
        .execute("select contract_data.retain_from($1)", &[&i64::from(boundary)])
        .await
        .database("commit the retention boundary")?;
    let stored = retained_from(client).await?;
    if stored < boundary {
        return Err(Error::Unexpected(format!(
            "the retention boundary {boundary} was not stored: it is {stored}"
        )));
    }
    Ok(())
}

/// Copies the last version of each key below the boundary to `retained_states`, partition by partition. False if that
/// was postponed.
async fn condense(client: &Client, maintenance: &mut Maintenance) -> Result<bool> {
    let rows =
        client.query(sql::CONDENSABLE_PARTITIONS, &[]).await.database("look for partitions to condense")?;
    if rows.is_empty() {
        return Ok(true);
    }
    if !loads_have_ended(client).await? {
        maintenance.postpone("retention", "a load that began before the boundary was set is still running");
        return Ok(false);
    }
    client.limit(CONDENSING).await?;
    // No new window below the boundary can appear, so after this all of them are folded.
    let folded = fold::fold_pending(client).await;
    if maintenance.unless_busy("the fold before retention", folded)?.is_none() {
        return Ok(false);
    }
    for row in &rows {
        let low: i64 = get(row, "low")?;
        let begun = Instant::now();
        let condensed = client
            .query_one("select contract_data.condense_partition($1) as states", &[&low])
            .await
            .database("condense a partition");
        let Some(row) =
            maintenance.unless_busy(format!("retention of the partition from ledger {low}"), condensed)?
        else {
            return Ok(false);
        };
        tracing::info!(
            step = "condense",
            start_ledger = low,
            states = get::<i64>(&row, "states")?,
            duration_ms = begun.elapsed().as_millis() as u64,
            "condensed"
        );
        failpoint!("condensed");
    }
    Ok(true)
}

/// Waits for the loads that hold the load lock now; later loads see the boundary and are not blocked. Every condensing
/// maintenance waits after the boundary is committed, because an earlier one may have died before it waited.
async fn loads_have_ended(client: &Client) -> Result<bool> {
    let begun = Instant::now();
    let mut before: Option<Vec<String>> = None;
    loop {
        let row = client.query_one(sql::LOADS_UNDER_WAY, &[]).await.database("look for loads under way")?;
        let now: Vec<String> = get(&row, "loads")?;
        let before = before.get_or_insert_with(|| now.clone());
        if !before.iter().any(|load| now.contains(load)) {
            return Ok(true);
        }
        if begun.elapsed() > PATIENCE {
            return Ok(false);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A table of entries or ttl_changes below a boundary.
struct Droppable {
    parent: String,
    report: DroppedPartition,
    state: String,
}

/// The partitions of entries and ttl_changes below a boundary; those whose drop has begun come first.
async fn droppable(client: &Client, boundary: i64) -> Result<Vec<Droppable>> {
    let rows = client
        .query(sql::DROPPABLE_PARTITIONS, &[&boundary])
        .await
        .database("look for partitions to drop")?;
    rows.iter()
        .map(|row| {
            let (partition, rows, bytes) = (get(row, "partition")?, get(row, "rows")?, get(row, "bytes")?);
            Ok(Droppable {
                parent: get(row, "parent")?,
                report: DroppedPartition { partition, rows, bytes },
                state: get(row, "state")?,
            })
        })
        .collect()
}

/// Detaches and drops condensed partitions. DETACH CONCURRENTLY does not block readers or writers; if it times out, the
/// partition stays pending with its rows invisible, and no other can be detached before it.
async fn drop_partitions(client: &Client, maintenance: &mut Maintenance) -> Result<()> {
    let row = client
        .query_one("select coalesce(condensed_to, 0) as ledger from contract_data.settings", &[])
        .await
        .database("read condensed_to")?;
    client.limit(DETACHING).await?;
    for Droppable { parent, report, state } in droppable(client, get(&row, "ledger")?).await? {
        let partition = &report.partition;
        let how = match state.as_str() {
            "attached" => Some("concurrently"),
            "pending" => Some("finalize"),
            _ => None,
        };
        if let Some(how) = how {
            let detach = format!(
                "alter table contract_data.{parent} detach partition contract_data.{partition} {how}"
            );
            let detached = client.batch_execute(&detach).await.database("detach a partition");
            if maintenance.unless_busy(format!("drop of {partition}, which is in use"), detached)?.is_none() {
                return Ok(());
            }
            failpoint!("detached");
        }
        let dropped = client
            .batch_execute(&format!("drop table contract_data.{partition}"))
            .await
            .database("drop a partition");
        if maintenance.unless_busy(format!("drop of {partition}, which is in use"), dropped)?.is_some() {
            tracing::info!(step = "retain", partition = %partition, rows = report.rows, bytes = report.bytes, "dropped");
            maintenance.dropped.push(report);
            failpoint!("dropped");
        }
    }
    Ok(())
}
