//! Snapshot: loads the state at a checkpoint as the state below the first window, in one transaction with its record.

use object_store::path::Path;
use uuid::Uuid;

use super::client::{Client, Transaction};
use super::digest;
use super::load::{copy_tables, enter};
use super::progress::covering;
use super::row::{bigint, get, ledger, side};
use super::transaction::{begin, commit};
use crate::contract::evidence::RowSource;
use crate::contract::tables::Table;
use crate::contract::window::LedgerWindow;
use crate::error::{DatabaseContext, Error, Result};
use crate::store::footer::Side;
use crate::store::names::{snapshot_path, table_path};
use crate::store::{StagedObject, Store};

/// The snapshot that a database began with.
#[derive(Debug, Clone)]
pub(crate) struct StoredSnapshot {
    /// The checkpoint.
    pub(crate) ledger: u32,
    /// The batch of its object.
    pub(crate) batch_id: Uuid,
    /// Hex hash of the whole state of the network.
    pub(crate) bucket_list_hash: String,
    /// Number of entries.
    pub(crate) rows: u64,
    /// Hex SHA-256 over the COPY BINARY tuples of the rows, in order.
    pub(crate) rows_digest: String,
    /// Its object, relative to the staging URL.
    pub(crate) object: String,
    /// The size of that.
    pub(crate) object_bytes: u64,
    /// Whether the object is in archive/ already.
    pub(crate) archived: bool,
    /// The version of the network's protocol in that ledger.
    pub(crate) protocol: u32,
    /// The objects of the tables that it was loaded with beside `data`.
    pub(crate) sides: Vec<Side>,
}

impl StoredSnapshot {
    /// Its objects: as they are recorded, and where they are in the archive before that is recorded.
    pub(crate) fn objects(&self, network: &str) -> Vec<Path> {
        let names = [Path::from(self.object.as_str()), snapshot_path(network, self.ledger)];
        let of = |data: Path| {
            let sides: Vec<Path> = self.sides.iter().map(|side| table_path(&data, side.table)).collect();
            std::iter::once(data).chain(sides)
        };
        names.into_iter().flat_map(of).collect()
    }
}

/// The snapshot of this database; `None` if it has none.
pub(crate) async fn stored(client: &Client) -> Result<Option<StoredSnapshot>> {
    let row =
        client.query_opt("select * from contract_data.snapshots", &[]).await.database("read the snapshot")?;
    let Some(row) = row else { return Ok(None) };
    let tables = "select * from contract_data.snapshot_tables order by table_name desc";
    let tables = client.query(tables, &[]).await.database("read the tables of the snapshot")?;
    Ok(Some(StoredSnapshot {
        ledger: ledger(&row, "ledger")?.unwrap_or(0),
        batch_id: get(&row, "batch_id")?,
        bucket_list_hash: get(&row, "bucket_list_hash")?,
        rows: get::<i64>(&row, "rows")?.unsigned_abs(),
        rows_digest: get(&row, "rows_digest")?,
        object: get(&row, "object")?,
        object_bytes: get::<i64>(&row, "object_bytes")?.unsigned_abs(),
        archived: get(&row, "archived")?,
        protocol: ledger(&row, "protocol")?.unwrap_or(0),
        sides: tables.iter().filter_map(|row| side(row).transpose()).collect::<Result<_>>()?,
    }))
}

/// Refuses a snapshot that would lie: windows at or below its checkpoint are loaded, or retention has dropped some. The load checks
/// this again.
///
/// # Errors
/// [`Error::Usage`] that says why.
pub(crate) async fn check_absent(client: &Client, checkpoint: u32, retained_from: u32) -> Result<()> {
    if retained_from > 0 {
        return Err(Error::Usage(format!(
            "retention has dropped the ledgers below {retained_from} of this database: a snapshot would stand in for them; use an \
             empty database"
        )));
    }
    let below = covering(client, LedgerWindow::new(0, checkpoint)?).await?;
    if let Some(window) = below.first().map(|window| window.window) {
        return Err(Error::Usage(format!(
            "ledgers {window} are loaded already, and the state at checkpoint {checkpoint} has their changes: use an empty \
             database, or a checkpoint below the first loaded ledger"
        )));
    }
    Ok(())
}

/// Where the rows of a table of the state are copied to.
fn relation(table: Table) -> &'static str {
    match table {
        Table::Data => "contract_data.retained_states",
        Table::Ttl => "contract_data.snapshot_ttls",
        Table::Assets => digest::relation(table),
    }
}

/// Loads a staged or archived snapshot, unless the database has one already, perhaps by an earlier attempt whose answer was lost:
/// [`stored`] tells which.
///
/// # Errors
/// [`Error::Corrupt`] when the object's rows contradict its footer; nothing is loaded then. [`Error::Database`]; after an error from
/// COMMIT the outcome is unknown, and calling again settles it: the claim waits for the transaction in doubt.
pub(crate) async fn load_snapshot(
    client: &mut Client,
    store: &Store,
    object: &StagedObject,
    source: RowSource,
) -> Result<()> {
    let tx = begin(client).await?;
    enter(&tx, object).await?;
    if !claim(&tx, object, source).await? {
        return Ok(());
    }
    failpoint!("snapshot_claimed");
    for side in object.sides() {
        record(&tx, &side).await?;
    }
    copy_tables(&tx, store, object, relation).await?;
    failpoint!("snapshot_copied");
    tx.execute("select contract_data.finish_snapshot()", &[]).await.database("finish the snapshot")?;
    failpoint!("snapshot_before_commit");
    commit(tx, "commit the snapshot").await?;
    failpoint!("snapshot_committed");
    match stored(client).await? {
        Some(stored) if stored.batch_id == object.footer.batch_id => Ok(()),
        _ => Err(Error::Database {
            action: "commit the snapshot",
            transient: true,
            source: "COMMIT succeeded, but its row is missing: the transaction was rolled back".into(),
        }),
    }
}

/// Claims the snapshot of this database.
async fn claim(tx: &Transaction<'_>, object: &StagedObject, source: RowSource) -> Result<bool> {
    let footer = &object.footer;
    let facts = footer
        .snapshot
        .as_ref()
        .ok_or_else(|| Error::corrupt(object.path.to_string(), "it is not the state at a checkpoint"))?;
    let (rows, bytes) = (bigint(footer.rows)?, bigint(object.bytes)?);
    let claimed = tx
        .query_one(
            "select contract_data.begin_snapshot($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) as claimed",
            &[
                &footer.batch_id,
                &i64::from(footer.start_ledger),
                &facts.bucket_list_hash,
                &i64::from(facts.protocol),
                &rows,
                &footer.rows_digest,
                &footer.last_closed_at,
                &source.as_str(),
                &object.path.as_ref(),
                &bytes,
            ],
        )
        .await
        .database("claim the snapshot")?;
    get(&claimed, "claimed")
}

/// Records another table of the snapshot.
async fn record(tx: &Transaction<'_>, side: &StagedObject) -> Result<()> {
    let (rows, bytes) = (bigint(side.footer.rows)?, bigint(side.bytes)?);
    tx.execute(
        "select contract_data.record_snapshot_table($1, $2, $3, $4)",
        &[&side.footer.table.name(), &rows, &bytes, &side.footer.rows_digest],
    )
    .await
    .database("record a table of the snapshot")
    .map(drop)
}

/// Records that the object of the snapshot is in the archive.
pub(crate) async fn mark_archived(client: &Client, batch_id: Uuid, object: &str) -> Result<()> {
    client
        .execute("select contract_data.archive_snapshot($1, $2)", &[&batch_id, &object])
        .await
        .database("record that the snapshot is archived")
        .map(drop)
}
