//! Load: writes one staged object into `entries`, in one transaction with its progress row.

use std::collections::HashSet;
use std::time::Instant;

use bytes::Bytes;
use futures::TryStreamExt;

use super::client::{Client, Transaction};
use super::digest::relation;
use super::fold;
use super::progress::{self, Claim, ClaimFacts};
use super::transaction::{begin, commit};
use crate::contract::tables::Table;
use crate::contract::tuples::{HEADER, RowsDigest, TRAILER, Tuples, encode};
use crate::contract::values::Claims;
use crate::error::{DatabaseContext, Error, Result};
use crate::metrics;
use crate::store::{StagedObject, Store, object};

/// Bytes of one CopyData message.
const MESSAGE_BYTES: usize = 64 << 10;

/// Assets that one statement names at most: about 1 MiB of them.
const NAMED_AT_ONCE: usize = 8_192;

/// An asset that a row names: its contract, type, code and issuer.
type Named = (String, String, Option<String>, Option<String>);

/// When the windows of a run are folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FoldWhen {
    /// In the load transaction itself, for scheduled runs.
    Inline,
    /// Later, many windows at once, but before success is reported, for replays.
    Later,
}

/// How a load ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Loaded {
    /// The rows and the progress row with this id are committed.
    Completed(i64),
    /// Another process has loaded these ledgers, or an earlier attempt whose answer was lost.
    AlreadyThere,
    /// Another process has loaded some of these ledgers: plan again.
    PartlyThere,
    /// The ledgers are now below the retention boundary: nothing is loaded.
    NotRetained,
}

/// Loads a staged object into ledgers that no completed window covers.
///
/// # Errors
/// [`Error::Corrupt`] when the object's rows contradict its footer; nothing is loaded then. [`Error::Database`]; after
/// an error from COMMIT the outcome is unknown, and calling again settles it: the claim waits for the transaction in
/// doubt, and finds its row or takes its place.
pub(crate) async fn load(
    client: &mut Client,
    store: &Store,
    object: &StagedObject,
    facts: ClaimFacts,
    fold_when: FoldWhen,
) -> Result<Loaded> {
    let begun = Instant::now();
    let window = object.window()?;
    // In a separate, earlier transaction: the lock that ATTACH takes on the parent must not last as long as a COPY.
    // Below the retention boundary this creates no partition, and the claim refuses later: the boundary only moves up.
    if object.footer.rows > 0 || object.footer.sides.iter().any(|side| side.rows > 0) {
        ensure_partition(client, window.start()).await?;
    }
    let tx = begin(client).await?;
    enter(&tx, object).await?;
    let id = match progress::claim(&tx, object, facts).await? {
        Claim::Taken(id) => id,
        Claim::Covered => return Ok(Loaded::AlreadyThere),
        Claim::PartlyCovered => return Ok(Loaded::PartlyThere),
        Claim::NotRetained => return Ok(Loaded::NotRetained),
    };
    failpoint!("claimed");
    progress::record_tables(&tx, id, object).await?;
    let copying = Instant::now();
    copy_tables(&tx, store, object, relation).await?;
    let copying = copying.elapsed();
    failpoint!("copied");
    let load_ms = i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX);
    if fold_when == FoldWhen::Inline {
        fold::fold_window(&tx, id).await?;
    }
    progress::finish(&tx, id, load_ms).await?;
    failpoint!("before_commit");
    commit(tx, "commit the window").await?;
    failpoint!("committed");
    read_back(client, id, object).await?;
    metrics::loaded(object.footer.rows, copying, begun.elapsed());
    count_tables(object);
    Ok(Loaded::Completed(id))
}

/// Creates the partition of a ledger, if it is missing.
pub(crate) async fn ensure_partition(client: &Client, ledger: u32) -> Result<()> {
    client
        .execute("select contract_data.ensure_partition($1)", &[&i64::from(ledger)])
        .await
        .database("create the partition")
        .map(drop)
}

/// Names the session after the batch.
pub(super) async fn enter(tx: &Transaction<'_>, object: &StagedObject) -> Result<()> {
    let batch = object.footer.batch_id;
    tx.batch_execute(&format!("set local application_name = 'contract-data-loader {batch}'"))
        .await
        .database("name the session")
}

/// COMMIT answers Ok even for an aborted transaction: only the row itself proves success.
pub(super) async fn read_back(client: &Client, id: i64, object: &StagedObject) -> Result<()> {
    if progress::is_completed(client, id, object.footer.batch_id).await? {
        return Ok(());
    }
    Err(Error::Database {
        action: "commit the window",
        transient: true,
        source: format!(
            "COMMIT succeeded, but the row of ledgers {} is missing: the transaction was rolled back",
            object.window()?
        )
        .into(),
    })
}

/// Counts the committed rows of the window's other tables.
pub(super) fn count_tables(object: &StagedObject) {
    for side in &object.footer.sides {
        metrics::loaded_table(side.table.name(), side.rows);
    }
}

/// Loads the objects of all tables of a window or of the snapshot, each into its relation.
pub(super) async fn copy_tables(
    tx: &Transaction<'_>,
    store: &Store,
    object: &StagedObject,
    relation: fn(Table) -> &'static str,
) -> Result<()> {
    for side in object.sides() {
        match side.footer.table {
            Table::Assets => name_assets(tx, store, &side).await?,
            table @ (Table::Data | Table::Ttl) => copy(tx, store, &side, relation(table)).await?,
        }
        failpoint!("side_copied");
    }
    copy(tx, store, object, relation(Table::Data)).await
}

/// Streams the object's rows into a relation, and checks number and digest against the footer before they can be
/// committed.
async fn copy(tx: &Transaction<'_>, store: &Store, object: &StagedObject, relation: &str) -> Result<()> {
    let table = object.footer.table;
    let mut rows = object::open(store, &object.path, object.bytes).await?.rows_of(object)?;
    let mut tuples = Tuples::default();
    let mut digest = RowsDigest::new(table);
    let mut copying = None;
    while let Some(batch) = rows.try_next().await? {
        let copying = match &mut copying {
            Some(copying) => copying,
            none => {
                let mut begun = tx.copy_in(&statement(table, relation)).await.database("begin the COPY")?;
                begun.send(Bytes::from_static(&HEADER)).await.database("send rows")?;
                none.insert(begun)
            }
        };
        encode(table, &batch, object.footer.batch_id, &mut tuples)?;
        digest.update(&tuples);
        let capacity = tuples.bytes.len();
        let mut bytes = Bytes::from(std::mem::replace(&mut tuples.bytes, Vec::with_capacity(capacity)));
        while !bytes.is_empty() {
            let message = bytes.split_to(MESSAGE_BYTES.min(bytes.len()));
            copying.send(message).await.database("send rows")?;
        }
        failpoint!("copying");
    }
    let sent = check_rows(object, digest)?;
    let Some(mut copying) = copying else { return Ok(()) };
    copying.send(Bytes::from_static(&TRAILER)).await.database("send rows")?;
    let stored = copying.finish().await.database("end the COPY")?;
    if stored != sent {
        return Err(Error::Database {
            action: "load the window",
            transient: false,
            source: format!("{sent} rows were sent, PostgreSQL stored {stored}").into(),
        });
    }
    Ok(())
}

/// Compares the rows that were read with the object's footer. Returns their number.
fn check_rows(object: &StagedObject, digest: RowsDigest) -> Result<u64> {
    let rows = digest.rows();
    let digest = digest.finish();
    if rows == object.footer.rows && digest == object.footer.rows_digest {
        return Ok(rows);
    }
    Err(Error::corrupt(
        object.path.to_string(),
        format!(
            "it contains {rows} rows with digest {digest}, but its footer states {} rows with digest {}",
            object.footer.rows, object.footer.rows_digest
        ),
    ))
}

/// Hands the assets that the object names to the next fold, each once: those that are known, or are not the asset of their
/// contract, are left out by the database. An asset is a fact of the network, so its rows are not stored.
async fn name_assets(tx: &Transaction<'_>, store: &Store, object: &StagedObject) -> Result<()> {
    let mut rows = object::open(store, &object.path, object.bytes).await?.rows_of(object)?;
    let mut tuples = Tuples::default();
    let mut digest = RowsDigest::new(Table::Assets);
    let mut named = HashSet::new();
    while let Some(batch) = rows.try_next().await? {
        encode(Table::Assets, &batch, object.footer.batch_id, &mut tuples)?;
        digest.update(&tuples);
        let Some(claims) = Claims::of(Table::Assets, &batch) else { continue };
        for (contract, asset_type, code, issuer) in (0..claims.rows()).filter_map(|row| claims.row(row)) {
            let owned = |text: Option<&str>| text.map(str::to_owned);
            named.insert((contract.to_owned(), asset_type.to_owned(), owned(code), owned(issuer)));
            if named.len() >= NAMED_AT_ONCE {
                send_named(tx, &mut named).await?;
            }
        }
    }
    send_named(tx, &mut named).await?;
    check_rows(object, digest).map(drop)
}

async fn send_named(tx: &Transaction<'_>, named: &mut HashSet<Named>) -> Result<()> {
    let (mut contracts, mut types, mut codes, mut issuers) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (contract, asset_type, code, issuer) in named.drain() {
        contracts.push(contract);
        types.push(asset_type);
        codes.push(code);
        issuers.push(issuer);
    }
    if contracts.is_empty() {
        return Ok(());
    }
    tx.execute("select contract_data.name_assets($1, $2, $3, $4)", &[&contracts, &types, &codes, &issuers])
        .await
        .database("name the assets of the window")
        .map(drop)
}

/// The COPY of the columns of the source, `change_index`, what is derived, and `batch_id`.
fn statement(table: Table, relation: &str) -> String {
    let columns =
        table.staged_columns().chain(table.derived().iter().copied()).collect::<Vec<_>>().join(", ");
    format!("copy {relation} ({columns}, batch_id) from stdin (format binary)")
}
