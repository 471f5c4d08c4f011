//! Replace: replaces the rows of a completed window by those of another object, in one transaction.

use std::time::Instant;

use super::client::Client;
use super::digest::relation;
use super::fold;
use super::load::{copy_tables, count_tables, ensure_partition, enter, read_back};
use super::progress::{self, ClaimFacts};
use super::settings;
use super::transaction::{begin, commit};
use crate::error::{Error, Result};
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
    ensure_partition(client, window.start()).await?;
    let tx = begin(client).await?;
    // A move of the old object to the archive must not end after that of the new one.
    progress::hold_window(&tx, id).await?;
    enter(&tx, object).await?;
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
    failpoint!("removed");
    progress::record_tables(&tx, id, object).await?;
    let copying = Instant::now();
    copy_tables(&tx, store, object, relation).await?;
    let copying = copying.elapsed();
    failpoint!("copied");
    fold::fold_window(&tx, id).await?;
    let load_ms = i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX);
    progress::finish(&tx, id, load_ms).await?;
    failpoint!("before_commit");
    commit(tx, "commit the window").await?;
    failpoint!("committed");
    read_back(client, id, object).await?;
    metrics::loaded(object.footer.rows, copying, begun.elapsed());
    count_tables(object);
    Ok(())
}
