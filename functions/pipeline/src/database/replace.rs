//! Replace: replaces the rows of a completed window by those of another object, in one transaction.

use std::time::Instant;

use tokio_postgres::Client;

use super::load::{copy, ensure_partition, enter, read_back};
use super::progress::{self, ClaimFacts};
use super::settings;
use super::transaction::{begin, commit};
use crate::error::{DatabaseContext, Error, Result};
use crate::metrics;
use crate::store::{StagedObject, Store};

/// Replaces the rows of a completed window by those of a staged object of the same ledgers, in one transaction: readers
/// see the old window or the new one, also after a crash.
///
/// # Errors
/// As [`load`](super::load::load); [`Error::Usage`] when the window has changed since it was planned.
pub(crate) async fn replace(
    client: &mut Client,
    store: &Store,
    object: &StagedObject,
    facts: ClaimFacts,
    id: i64,
) -> Result<()> {
    let begun = Instant::now();
    let window = object.window()?;
    if progress::is_completed(client, id, object.footer.batch_id).await? {
        return Ok(()); // loaded by an earlier attempt whose answer was lost
    }
    ensure_partition(client, window).await?;
    let tx = begin(client).await?;
    enter(&tx, object, "pg_advisory_xact_lock").await?;
    // A move of the old object to the archive must not end after that of the new one.
    progress::hold_window(&tx, id).await?;
    if !progress::replace(&tx, id, object, facts).await? {
        let boundary = settings::retained_from(tx.client()).await?;
        if window.end() < boundary {
            return Err(Error::Usage(format!(
                "ledgers {window} are no longer retained: this database keeps ledgers from {boundary} on"
            )));
        }
        return Err(Error::Usage(format!(
            "window {window} has changed since it was planned: run the replay again"
        )));
    }
    let (start, end) = (i64::from(window.start()), i64::from(window.end()));
    tx.batch_execute(
        "create temporary table replaced_keys (
           ledger_key_hash text collate \"C\" primary key, contract_id text collate \"C\" not null) on commit drop",
    )
    .await
    .database("collect the keys of the window")?;
    const NOTE_KEYS: &str = "insert into pg_temp.replaced_keys
        select distinct ledger_key_hash, contract_id from contract_data.entries where ledger_sequence between $1 and $2
        on conflict do nothing";
    tx.execute(NOTE_KEYS, &[&start, &end]).await.database("collect the keys of the window")?;
    tx.execute("select contract_data.remove_replaced_rows($1)", &[&id])
        .await
        .database("remove the old rows")?;
    failpoint!("removed");
    let copying = Instant::now();
    copy(&tx, store, object).await?;
    let copying = copying.elapsed();
    failpoint!("copied");
    tx.execute(NOTE_KEYS, &[&start, &end]).await.database("collect the keys of the window")?;
    tx.execute("analyze pg_temp.replaced_keys", &[]).await.database("collect the keys of the window")?;
    tx.execute("select contract_data.refold_replaced_keys($1, $2)", &[&start, &end])
        .await
        .database("fold the keys of the window again")?;
    settings::forget_fingerprint(&tx, window).await?;
    let load_ms = i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX);
    progress::finish(&tx, id, window, load_ms).await?;
    failpoint!("before_commit");
    commit(tx, "commit the window").await?;
    failpoint!("committed");
    read_back(client, id, object).await?;
    metrics::loaded(object.footer.rows, copying, begun.elapsed());
    Ok(())
}
