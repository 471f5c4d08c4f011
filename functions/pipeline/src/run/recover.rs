//! Recovery: finishes the work of earlier runs: unarchived, unfolded, and sealed but unloaded windows.

use object_store::path::Path;

use super::context::Context;
use crate::contract::window::LedgerWindow;
use crate::database::progress::{self, CompletedWindow};
use crate::database::{Client, Session, fold};
use crate::error::{Error, Result};
use crate::store::StagedObject;
use crate::store::archive::{archived_names, archived_object, move_to_archive, staged_objects};

/// Finishes the work of earlier runs: unarchived objects, unfolded windows, superseded objects. Returns the sealed
/// objects that wait to be loaded, by their first ledger.
///
/// # Errors
/// [`Error::Staging`], [`Error::Database`].
pub(super) async fn recover(context: &Context, client: &Client) -> Result<Vec<StagedObject>> {
    let archived = finish_archiving(context, client).await?;
    let fold = |client: Session, _| async move { fold::fold_pending(&client).await };
    let folded = context.retry_on_session("fold", fold).await?;
    if archived > 0 || folded > 0 {
        tracing::info!(archived, folded, "finished the work of an earlier run");
    }
    sealed_objects(context, client).await
}

/// Moves the object of a completed window to the archive, then records it: after a crash in between, the next run
/// finishes.
///
/// # Errors
/// [`Error::Staging`], [`Error::Database`]; [`Error::Corrupt`] when the object is in neither place.
pub(super) async fn archive(
    context: &Context,
    client: &Client,
    completed: &CompletedWindow,
    staged: &Path,
) -> Result<()> {
    let partition_ledgers = context.settings.partition_ledgers;
    let target =
        move_to_archive(context.store(), context.network(), partition_ledgers, completed.window, staged)
            .await?;
    failpoint!("archive_moved");
    progress::mark_archived(client, completed.id, completed.batch_id, target.as_ref()).await?;
    failpoint!("archive_recorded");
    Ok(())
}

/// Archives windows that crashed between COMMIT and archive. Returns their number. A lost object is logged and left for
/// `verify`: its rows are in the database.
async fn finish_archiving(context: &Context, client: &Client) -> Result<usize> {
    let left = progress::unarchived(client).await?;
    let count = left.len();
    for (completed, object) in left {
        match archive(context, client, &completed, &Path::from(object)).await {
            Err(Error::Corrupt { object, problem }) => {
                let window = completed.window;
                tracing::warn!(%object, %problem, start_ledger = window.start(), end_ledger = window.end(), "not archived");
            }
            other => other?,
        }
    }
    Ok(count)
}

/// The sealed, unloaded objects of this database, by their first ledger. Objects whose ledgers were loaded otherwise
/// are removed.
async fn sealed_objects(context: &Context, client: &Client) -> Result<Vec<StagedObject>> {
    let (store, settings) = (context.store(), &context.settings);
    let mut sealed = Vec::new();
    for object in staged_objects(store, context.network(), settings.database_id).await? {
        let window = object.window()?;
        let covering = progress::covering(client, window).await?;
        if covering.iter().any(|c| c.batch_id == object.footer.batch_id && !c.archived) {
            continue; // just loaded, and being archived
        }
        if !covering.is_empty() {
            tracing::info!(object = %object.path, "removed a staged object: its ledgers are loaded");
            store.remove(&object.path).await?;
            continue;
        }
        if window.end() < settings.retained_from {
            continue; // maintenance removes it, once no load can use it
        }
        // An object with bad data is kept as evidence until its ledgers are loaded from elsewhere.
        if object.footer.bad_data.is_none() {
            sealed.push(object);
        }
    }
    sealed.sort_by_key(|object| object.footer.start_ledger);
    Ok(sealed)
}

/// The archived objects in the range that are not loaded, by their first ledger: the objects that a restore loads.
///
/// # Errors
/// [`Error::Corrupt`] for an object that is unreadable or contradicts its name: a restore without it would look
/// complete. [`Error::Schema`] for an object that crosses a partition of this database.
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
                "archived window {window} crosses a partition of {} ledgers: restore into a database with the \
                 partition size it was created for",
                settings.partition_ledgers
            )));
        }
        objects.push(object);
    }
    objects.sort_by_key(|object| object.footer.start_ledger);
    Ok(objects)
}
