//! Progress: reads and writes `ingestion_progress`, which decides what is loaded.

use uuid::Uuid;

use super::client::{Client, Transaction};
use super::row::{bigint, get, ledger, sides, window};
use super::settings::retained_from;
use super::sql;
use crate::contract::evidence::RowSource;
use crate::contract::tables::Table;
use crate::contract::window::LedgerWindow;
use crate::error::{DatabaseContext, Result};
use crate::store::StagedObject;

/// The outcome of a claim.
#[derive(Debug)]
pub(crate) enum Claim {
    /// This transaction owns the ledgers; the id of its progress row.
    Taken(i64),
    /// Every ledger is already loaded.
    Covered,
    /// Some ledgers are already loaded, some are not: plan the window again.
    PartlyCovered,
    /// The ledgers are below the retention boundary.
    NotRetained,
}

/// A completed window.
#[derive(Debug, Clone)]
pub(crate) struct CompletedWindow {
    /// The row's id.
    pub(crate) id: i64,
    /// The batch id of the loaded object.
    pub(crate) batch_id: Uuid,
    /// Its ledgers.
    pub(crate) window: LedgerWindow,
    /// Whether the object is in archive/ already.
    pub(crate) archived: bool,
}

/// What a claim records besides the object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClaimFacts {
    /// Where the rows came from.
    pub(crate) source: RowSource,
    /// Attempts to drain it.
    pub(crate) attempts: u32,
    /// Time to drain and stage, if this run did it.
    pub(crate) drain_ms: Option<i64>,
}

/// Claims the ledgers of a staged object, as the first statement of the load transaction.
///
/// Of two overlapping claims, the second waits here for the first, up to the session's `lock_timeout`, and then gets no
/// row. It reads the table again, which at READ COMMITTED shows what the first has committed.
pub(crate) async fn claim(tx: &Transaction<'_>, object: &StagedObject, facts: ClaimFacts) -> Result<Claim> {
    let footer = &object.footer;
    let window = object.window()?;
    let (rows, bytes) = (bigint(footer.rows)?, bigint(object.bytes)?);
    let attempts = i32::try_from(facts.attempts).unwrap_or(i32::MAX);
    let claimed = tx
        .query_one(
            "select contract_data.claim_window($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) as id",
            &[
                &footer.batch_id,
                &i64::from(window.start()),
                &i64::from(window.end()),
                &rows,
                &facts.source.as_str(),
                &footer.evidence.as_str(),
                &object.path.as_ref(),
                &bytes,
                &footer.rows_digest,
                &attempts,
                &facts.drain_ms,
                &footer.last_closed_at,
            ],
        )
        .await
        .database("claim the window")?;
    if let Some(id) = get(&claimed, "id")? {
        return Ok(Claim::Taken(id));
    }
    // A window lies within one partition, so it is retained as a whole or not at all.
    if window.end() < retained_from(tx.client()).await? {
        return Ok(Claim::NotRetained);
    }
    let free = uncovered(tx.client(), window).await?;
    if free.is_empty() {
        return Ok(Claim::Covered);
    }
    Ok(Claim::PartlyCovered)
}

/// Records the window's tables beside `data`, after its claim or its replacement, in the same transaction.
pub(crate) async fn record_tables(tx: &Transaction<'_>, id: i64, object: &StagedObject) -> Result<()> {
    for side in object.sides() {
        let (rows, bytes) = (bigint(side.footer.rows)?, bigint(side.bytes)?);
        tx.execute(
            "select contract_data.record_table($1, $2, $3, $4, $5)",
            &[&id, &side.footer.table.name(), &rows, &bytes, &side.footer.rows_digest],
        )
        .await
        .database("record a table of the window")?;
    }
    Ok(())
}

/// The last statement before COMMIT: writes the times, and removes the hints for these ledgers.
pub(crate) async fn finish(tx: &Transaction<'_>, id: i64, load_ms: i64) -> Result<()> {
    tx.execute("select contract_data.finish_window($1, $2)", &[&id, &load_ms])
        .await
        .database("finish the window")
        .map(drop)
}

/// Whether the row of a window is committed, read outside any transaction: an Ok from COMMIT does not prove it.
pub(crate) async fn is_completed(client: &Client, id: i64, batch_id: Uuid) -> Result<bool> {
    client
        .query_opt(
            "select from contract_data.ingestion_progress where id = $1 and batch_id = $2 and status = 'completed'",
            &[&id, &batch_id],
        )
        .await
        .database("read the window back")
        .map(|row| row.is_some())
}

/// The retained parts of a range that no completed window covers, in order.
pub(crate) async fn uncovered(client: &Client, range: LedgerWindow) -> Result<Vec<LedgerWindow>> {
    windows(client, sql::UNCOVERED, range).await
}

/// The windows that a query returns for a range.
async fn windows(client: &Client, sql: &str, range: LedgerWindow) -> Result<Vec<LedgerWindow>> {
    let rows = client
        .query(sql, &[&i64::from(range.start()), &i64::from(range.end())])
        .await
        .database("read the loaded windows")?;
    rows.iter().map(window).collect()
}

/// The completed windows that share a ledger with a range.
pub(crate) async fn covering(client: &Client, range: LedgerWindow) -> Result<Vec<CompletedWindow>> {
    let rows = client
        .query(sql::COVERING_WINDOWS, &[&i64::from(range.start()), &i64::from(range.end())])
        .await
        .database("read the loaded windows")?;
    rows.iter()
        .map(|row| {
            Ok(CompletedWindow {
                id: get(row, "id")?,
                batch_id: get(row, "batch_id")?,
                window: window(row)?,
                archived: get(row, "archived")?,
            })
        })
        .collect()
}

/// The parts of a range that a schedule should load now: retained, not completed, and not failed recently. A failed
/// window is due again 1, 2, 4, … minutes, at most a day, after its last attempt.
pub(crate) async fn due(client: &Client, range: LedgerWindow) -> Result<Vec<LedgerWindow>> {
    windows(client, sql::DUE, range).await
}

/// The windows of a range that failed and are not loaded yet, due or not.
pub(crate) async fn failed(client: &Client, range: LedgerWindow) -> Result<Vec<LedgerWindow>> {
    windows(client, sql::FAILED_WINDOWS, range).await
}

/// A loaded ledger among `available`, next to a window that failed; `None` if there is none.
pub(crate) async fn control_ledger(
    client: &Client,
    failed: LedgerWindow,
    available: LedgerWindow,
) -> Result<Option<u32>> {
    let [start, end] = [failed.start(), failed.end()].map(i64::from);
    let [first, last] = [available.start(), available.end()].map(i64::from);
    let row = client
        .query_opt(sql::CONTROL_LEDGER, &[&start, &end, &first, &last])
        .await
        .database("look for a loaded ledger")?;
    row.map_or(Ok(None), |row| ledger(&row, "ledger"))
}

/// Records that a window failed, and replaces its earlier failure records. Returns the objects that those had kept, and
/// `object` itself if nothing was recorded, because the window is loaded meanwhile.
pub(crate) async fn mark_failed(
    client: &Client,
    window: LedgerWindow,
    error: &str,
    object: Option<&str>,
) -> Result<Vec<String>> {
    let row = client
        .query_one(
            "select contract_data.fail_window($1, $2, $3, $4) as superseded",
            &[&i64::from(window.start()), &i64::from(window.end()), &error, &object],
        )
        .await
        .database("record the failed window")?;
    get(&row, "superseded")
}

/// Replaces the progress row of a completed window and removes its rows, inside the transaction that loads the new ones.
/// The keys of the old rows are folded again, without them. False if the row no longer exists, or its ledgers are not
/// retained.
pub(crate) async fn replace(
    tx: &Transaction<'_>,
    id: i64,
    object: &StagedObject,
    facts: ClaimFacts,
) -> Result<bool> {
    let footer = &object.footer;
    let (rows, bytes) = (bigint(footer.rows)?, bigint(object.bytes)?);
    let row = tx
        .query_one(
            "select contract_data.replace_window($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
            &[
                &id,
                &i64::from(footer.start_ledger),
                &i64::from(footer.end_ledger),
                &footer.batch_id,
                &rows,
                &facts.source.as_str(),
                &footer.evidence.as_str(),
                &object.path.as_ref(),
                &bytes,
                &footer.rows_digest,
                &facts.drain_ms,
                &footer.last_closed_at,
            ],
        )
        .await
        .database("replace the window")?;
    get(&row, "replace_window")
}

/// Completed windows whose object is still in staging/, with the object's name.
pub(crate) async fn unarchived(client: &Client) -> Result<Vec<(CompletedWindow, String)>> {
    let rows = client.query(sql::UNARCHIVED_WINDOWS, &[]).await.database("look for windows to archive")?;
    rows.iter()
        .map(|row| {
            let window = CompletedWindow {
                id: get(row, "id")?,
                batch_id: get(row, "batch_id")?,
                window: window(row)?,
                archived: false,
            };
            Ok((window, get(row, "object")?))
        })
        .collect()
}

/// Whether a completed window still has this batch, and is not archived yet, and its tables beside `data`; `None` if the window
/// is gone.
pub(crate) async fn awaits_archive(
    tx: &Transaction<'_>,
    id: i64,
    batch_id: Uuid,
) -> Result<Option<(bool, Vec<Table>)>> {
    let row = tx
        .query_opt(
            "select batch_id = $2 and not archived as awaits,
               array(select table_name::text from contract_data.window_tables where window_id = id) as sides
             from contract_data.ingestion_progress
             where id = $1 and status = 'completed'",
            &[&id, &batch_id],
        )
        .await
        .database("look up the window to archive")?;
    row.map(|row| Ok((get(&row, "awaits")?, sides(&row)?))).transpose()
}

/// Until `tx` ends, no other process replaces the window, or moves its object to the archive; waits for one that does.
pub(crate) async fn hold_window(tx: &Transaction<'_>, id: i64) -> Result<()> {
    tx.execute("select pg_advisory_xact_lock(hashtextextended('contract_data.window', $1))", &[&id])
        .await
        .database("wait for the replacement or the archive of the window")
        .map(drop)
}

/// Whether a window of this status has this object.
pub(crate) async fn refers_to(client: &Client, object: &str, status: &str) -> Result<bool> {
    client
        .query_opt(
            "select from contract_data.ingestion_progress where object = $1 and status = $2 limit 1",
            &[&object, &status],
        )
        .await
        .database("look for the window of an object")
        .map(|row| row.is_some())
}

/// Records that the object of a batch is in the archive. A window that was replaced meanwhile stays as it is.
pub(crate) async fn mark_archived(client: &Client, id: i64, batch_id: Uuid, object: &str) -> Result<()> {
    client
        .execute("select contract_data.mark_archived($1, $2, $3)", &[&id, &batch_id, &object])
        .await
        .database("record that the window is archived")
        .map(drop)
}
