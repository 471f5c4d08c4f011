//! Recovery: what earlier runs left between COMMIT and the archive, unfolded, or sealed and not loaded.

use object_store::path::Path;
use tokio_postgres::Client;

use super::context::Context;
use crate::contract::window::LedgerWindow;
use crate::database::fold;
use crate::database::progress::{self, CompletedWindow};
use crate::error::{Error, Result};
use crate::store::StagedObject;
use crate::store::archive::{archived_names, archived_object, move_to_archive, staged_objects};

/// Finishes what earlier runs left: objects on their way to the archive, windows not folded yet, superseded objects. Returns
/// the sealed objects that wait to be loaded, by their first ledger.
///
/// # Errors
/// [`Error::Staging`], [`Error::Database`].
pub(super) async fn recover(context: &Context, client: &Client) -> Result<Vec<StagedObject>> {
    let archived = finish_archiving(context, client).await?;
    let folded = fold::fold_pending(client).await?;
    if archived > 0 || folded > 0 {
        tracing::info!(archived, folded, "finished what an earlier run left");
    }
    sealed_objects(context, client).await
}

/// Moves the object of a completed window to the archive, then records it: a crash in between leaves what the next run
/// finishes.
///
/// # Errors
/// [`Error::Staging`], [`Error::Database`]; [`Error::Corrupt`] when the object is in neither place.
pub(super) async fn archive(
    context: &Context,
    client: &Client,
    id: i64,
    window: LedgerWindow,
    staged: &Path,
) -> Result<()> {
    let partition_ledgers = context.settings.partition_ledgers;
    let target =
        move_to_archive(context.store(), context.network(), partition_ledgers, window, staged).await?;
    failpoint!("archive_moved");
    progress::mark_archived(client, id, target.as_ref()).await?;
    failpoint!("archive_recorded");
    Ok(())
}

/// Finishes what crashes left between COMMIT and the archive. Returns how many windows that were. An object that is lost is
/// reported and left for `verify`: its rows are in the database all the same.
async fn finish_archiving(context: &Context, client: &Client) -> Result<usize> {
    let left = progress::unarchived(client).await?;
    let count = left.len();
    for (CompletedWindow { id, window, .. }, object) in left {
        match archive(context, client, id, window, &Path::from(object)).await {
            Err(Error::Corrupt { object, problem }) => {
                tracing::warn!(%object, %problem, start_ledger = window.start(), end_ledger = window.end(), "not archived");
            }
            other => other?,
        }
    }
    Ok(count)
}

/// The sealed objects of this database that are not loaded, by their first ledger. Those whose ledgers were loaded otherwise
/// are removed.
async fn sealed_objects(context: &Context, client: &Client) -> Result<Vec<StagedObject>> {
    let (store, settings) = (context.store(), &context.settings);
    let mut sealed = Vec::new();
    for object in staged_objects(store, context.network(), settings.database_id).await? {
        let window = object.window()?;
        let covering = progress::covering(client, window).await?;
        if covering.iter().any(|c| c.batch_id == object.footer.batch_id && !c.archived) {
            continue; // loaded a moment ago, and being archived
        }
        if !covering.is_empty() {
            tracing::info!(object = %object.path, "removed: its ledgers are loaded");
            store.remove(&object.path).await?;
            continue;
        }
        if window.end() < settings.retained_from {
            continue; // maintenance removes it, once no load can be at it
        }
        // With bad data, an object is kept for whoever looks into it, until its ledgers are loaded from elsewhere.
        if object.footer.bad_data.is_none() {
            sealed.push(object);
        }
    }
    sealed.sort_by_key(|object| object.footer.start_ledger);
    Ok(sealed)
}

/// The archived objects whose ledgers lie in the range and are not loaded, by their first ledger: what a restore loads.
///
/// # Errors
/// [`Error::Corrupt`] for an object that does not read or is not what its name says: a restore that left it out would look
/// complete. [`Error::Schema`] for one that no partition of this database holds whole.
pub(super) async fn archived_objects(
    context: &Context,
    client: &Client,
    range: LedgerWindow,
) -> Result<Vec<StagedObject>> {
    let (store, network, settings) = (context.store(), context.network(), &context.settings);
    let mut objects = Vec::new();
    for named in archived_names(store, network, range).await? {
        let window = named.2;
        if progress::uncovered(client, window).await?.is_empty() {
            continue;
        }
        let object = archived_object(store, network, named).await?;
        if window.start() / settings.partition_ledgers != window.end() / settings.partition_ledgers {
            return Err(Error::Schema(format!(
                "window {window} of the archive crosses a partition of {} ledgers: restore into a database with the \
                 partitions it was made for",
                settings.partition_ledgers
            )));
        }
        objects.push(object);
    }
    objects.sort_by_key(|object| object.footer.start_ledger);
    Ok(objects)
}
