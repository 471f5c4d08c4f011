//! Load: one staged object into `entries`, in one transaction with its row of progress.

use std::pin::pin;
use std::time::Instant;

use bytes::Bytes;
use futures::{SinkExt, TryStreamExt};
use tokio_postgres::{Client, CopyInSink, Transaction};

use crate::copy::{HEADER, RowsDigest, TRAILER, Tuples, encode};
use crate::database::begin;
use crate::dataset::COLUMNS;
use crate::error::{DatabaseContext, Error, Result};
use crate::fingerprint;
use crate::fold;
use crate::object;
use crate::observe;
use crate::progress::{self, Claim, ClaimFacts};
use crate::stage::StagedObject;
use crate::staging::Staging;

/// Bytes of one CopyData message.
const MESSAGE_BYTES: usize = 64 << 10;

/// When the windows of a run reach `key_states`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FoldWhen {
    /// In the load transaction itself: what a schedule wants.
    Inline,
    /// Later, many windows at once, before success is reported: what a replay wants.
    Later,
}

/// How a load ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Loaded {
    /// The rows are there, and so is the row of progress with this id.
    Completed(i64),
    /// Somebody else has loaded these ledgers, or an earlier attempt of ours whose answer was lost.
    AlreadyThere,
    /// Somebody else has loaded some of these ledgers: plan again.
    PartlyThere,
    /// Retention has passed these ledgers since they were planned: nothing is loaded.
    NotRetained,
}

/// Loads a staged object into ledgers that no completed window covers.
///
/// # Errors
/// [`Error::Corrupt`] when the object's rows are not those of its footer: nothing is loaded then. [`Error::Database`]; after
/// one that came from COMMIT the outcome is open, and calling again settles it: the claim waits for the transaction in
/// doubt, and finds its row or takes its place.
pub(crate) async fn load(
    client: &mut Client,
    staging: &Staging,
    object: &StagedObject,
    facts: ClaimFacts,
    fold_when: FoldWhen,
) -> Result<Loaded> {
    let begun = Instant::now();
    let window = object.window()?;
    // In a transaction of its own, and first: the lock that ATTACH takes on the parent must not last as long as a COPY. Below
    // the retained ledgers it makes none, and then the claim refuses: retention only ever goes up.
    if object.footer.rows > 0 {
        client
            .execute("select contract_data.ensure_partition($1)", &[&i64::from(window.start())])
            .await
            .database("make the partition")?;
    }
    let tx = begin(client).await?;
    enter(&tx, object, "pg_advisory_xact_lock_shared").await?;
    let id = match progress::claim(&tx, object, facts).await? {
        Claim::Taken(id) => id,
        Claim::Covered => return Ok(Loaded::AlreadyThere),
        Claim::PartlyCovered => return Ok(Loaded::PartlyThere),
        Claim::NotRetained => return Ok(Loaded::NotRetained),
    };
    failpoint!("claimed");
    let copying = Instant::now();
    if object.footer.rows > 0 {
        copy(&tx, staging, object).await?;
    }
    let copying = copying.elapsed();
    failpoint!("copied");
    let load_ms = i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX);
    if fold_when == FoldWhen::Inline {
        fold::in_transaction(&tx, id).await?;
    }
    progress::finish(&tx, id, window, load_ms).await?;
    failpoint!("before_commit");
    commit(tx).await?;
    failpoint!("committed");
    read_back(client, id, object).await?;
    observe::loaded(object.footer.rows, copying, begun.elapsed());
    Ok(Loaded::Completed(id))
}

/// Replaces the rows of a completed window by those of a staged object of the same ledgers, in one transaction: readers,
/// and whoever comes after a crash, see the old window or the new.
///
/// # Errors
/// As [`load`]; [`Error::Usage`] when the window is not there any more as it was planned.
pub(crate) async fn replace(
    client: &mut Client,
    staging: &Staging,
    object: &StagedObject,
    facts: ClaimFacts,
    id: i64,
) -> Result<()> {
    let begun = Instant::now();
    let window = object.window()?;
    if progress::is_completed(client, id, object.footer.batch_id).await? {
        return Ok(()); // an earlier attempt, whose answer was lost
    }
    let (start, end) = (i64::from(window.start()), i64::from(window.end()));
    client
        .execute("select contract_data.ensure_partition($1)", &[&start])
        .await
        .database("make the partition")?;
    let tx = begin(client).await?;
    enter(&tx, object, "pg_advisory_xact_lock").await?;
    if !progress::replace(&tx, id, object, facts).await? {
        let boundary = progress::retained_from(tx.client()).await?;
        if window.end() < boundary {
            return Err(Error::Usage(format!(
                "ledgers {window} are not retained any more: this database keeps ledgers from {boundary} on"
            )));
        }
        return Err(Error::Usage(format!("window {window} has changed since it was planned: start again")));
    }
    tx.batch_execute(
        "create temporary table replaced_keys (
           ledger_key_hash text collate \"C\" primary key, contract_id text collate \"C\" not null) on commit drop",
    )
    .await
    .database("note the keys of the window")?;
    const NOTE_KEYS: &str = "insert into pg_temp.replaced_keys
        select distinct ledger_key_hash, contract_id from contract_data.entries where ledger_sequence between $1 and $2
        on conflict do nothing";
    tx.execute(NOTE_KEYS, &[&start, &end]).await.database("note the keys of the window")?;
    tx.execute("select contract_data.remove_replaced_rows($1)", &[&id])
        .await
        .database("remove the old rows")?;
    failpoint!("removed");
    let copying = Instant::now();
    copy(&tx, staging, object).await?;
    let copying = copying.elapsed();
    failpoint!("copied");
    tx.execute(NOTE_KEYS, &[&start, &end]).await.database("note the keys of the window")?;
    tx.execute("analyze pg_temp.replaced_keys", &[]).await.database("note the keys of the window")?;
    tx.execute("select contract_data.refold_replaced_keys($1, $2)", &[&start, &end])
        .await
        .database("fold the keys of the window anew")?;
    fingerprint::forget(&tx, window).await?;
    let load_ms = i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX);
    progress::finish(&tx, id, window, load_ms).await?;
    failpoint!("before_commit");
    commit(tx).await?;
    failpoint!("committed");
    read_back(client, id, object).await?;
    observe::loaded(object.footer.rows, copying, begun.elapsed());
    Ok(())
}

/// Names the session after the batch, and takes the lock that loads share and replacements hold alone: a replacement
/// removes rows that no load may see half of.
async fn enter(tx: &Transaction<'_>, object: &StagedObject, lock: &str) -> Result<()> {
    let batch = object.footer.batch_id;
    tx.batch_execute(&format!(
        "set local application_name = 'contract-data-loader {batch}';
         select {lock}(hashtextextended('contract_data.load', 0))"
    ))
    .await
    .database("wait for a window that is being replaced")
}

/// COMMIT answers Ok for a transaction that was aborted before: only the row itself says that it is there.
async fn read_back(client: &Client, id: i64, object: &StagedObject) -> Result<()> {
    if progress::is_completed(client, id, object.footer.batch_id).await? {
        return Ok(());
    }
    Err(Error::Database {
        action: "commit the window",
        transient: true,
        source: format!(
            "COMMIT was answered, but the row of ledgers {} is not there: the transaction was rolled back",
            object.window()?
        )
        .into(),
    })
}

/// The one place that commits. Its Ok proves nothing: callers read the window back.
#[allow(clippy::disallowed_methods, reason = "its callers read the window back")]
pub(crate) async fn commit(tx: Transaction<'_>) -> Result<()> {
    tx.commit().await.database("commit the window")
}

/// Streams the object's rows into `entries`, and compares them with the footer, by number and digest, before anybody could
/// commit them.
async fn copy(tx: &Transaction<'_>, staging: &Staging, object: &StagedObject) -> Result<()> {
    let opened = object::open(staging, &object.path, object.bytes).await?;
    if *opened.footer() != object.footer {
        return Err(Error::corrupt(object.path.to_string(), "its footer has changed"));
    }
    let mut rows = opened.rows()?;
    let sink: CopyInSink<Bytes> = tx.copy_in(&statement()).await.database("begin the COPY")?;
    let mut sink = pin!(sink);
    let mut tuples = Tuples::default();
    let mut digest = RowsDigest::default();
    sink.feed(Bytes::from_static(&HEADER)).await.database("send rows")?;
    while let Some(batch) = rows.try_next().await? {
        encode(&batch, object.footer.batch_id, &mut tuples)?;
        digest.update(&tuples);
        let capacity = tuples.bytes.len();
        let mut bytes = Bytes::from(std::mem::replace(&mut tuples.bytes, Vec::with_capacity(capacity)));
        while !bytes.is_empty() {
            let message = bytes.split_to(MESSAGE_BYTES.min(bytes.len()));
            sink.feed(message).await.database("send rows")?;
        }
        failpoint!("copying");
    }
    let sent = digest.rows();
    let digest = digest.finish();
    if sent != object.footer.rows || digest != object.footer.rows_digest {
        return Err(Error::corrupt(
            object.path.to_string(),
            format!(
                "it holds {sent} rows with digest {digest}, its footer says {} rows with {}",
                object.footer.rows, object.footer.rows_digest
            ),
        ));
    }
    sink.feed(Bytes::from_static(&TRAILER)).await.database("send rows")?;
    let stored = sink.as_mut().finish().await.database("end the COPY")?;
    if stored != sent {
        return Err(Error::Database {
            action: "load the window",
            transient: false,
            source: format!("{sent} rows were sent, PostgreSQL stored {stored}").into(),
        });
    }
    Ok(())
}

/// The COPY of the 18 columns, `change_index` and `batch_id`.
fn statement() -> String {
    let columns = COLUMNS.iter().map(|c| c.name).collect::<Vec<_>>().join(", ");
    format!("copy contract_data.entries ({columns}, change_index, batch_id) from stdin (format binary)")
}
