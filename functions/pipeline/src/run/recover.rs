//! Recovery: finishes the work of earlier runs: unarchived, unfolded, and sealed but unloaded windows.

use object_store::path::Path;

use super::context::Context;
use super::ownership::is_own_archive;
use crate::contract::tables::Table;
use crate::database::progress::{self, CompletedWindow};
use crate::database::snapshot::StoredSnapshot;
use crate::database::{Client, Session, begin, commit, fold, snapshot};
use crate::error::{Error, Result};
use crate::store::StagedObject;
use crate::store::archive::{move_snapshot, move_to_archive, remove_staged, staged_objects};
use crate::store::names::is_archived;

/// Finishes the work of earlier runs: unarchived objects, unfolded windows, superseded objects. Returns the sealed
/// objects that wait to be loaded, by their first ledger. Nothing is moved to an archive of another database: `is_owner`.
///
/// # Errors
/// [`Error::Staging`], [`Error::Database`].
pub(super) async fn recover(
    context: &Context,
    client: &mut Client,
    is_owner: bool,
) -> Result<Vec<StagedObject>> {
    if let Some(stored) = snapshot::stored(client).await?.filter(|stored| !stored.archived && is_owner) {
        archive_snapshot(context, &stored).await?;
    }
    let archived = finish_archiving(context, client, is_owner).await?;
    let fold = |client: Session, _| async move { fold::fold_pending(&client).await };
    let (folded, sealed) =
        tokio::try_join!(context.retry_on_session("fold", fold), sealed_objects(context, client))?;
    if archived > 0 || folded > 0 {
        tracing::info!(archived, folded, "finished the work of an earlier run");
    }
    Ok(sealed)
}

/// Moves the object of a loaded snapshot to the archive, if it is not there, and records it. Two at once do no harm.
pub(super) async fn archive_snapshot(context: &Context, stored: &StoredSnapshot) -> Result<String> {
    if stored.archived || !is_own_archive(context).await? {
        return Ok(stored.object.clone());
    }
    failpoint!("snapshot_archiving");
    let staged = Path::from(stored.object.as_str());
    let (store, network) = (context.store(), context.network());
    let sides: Vec<Table> = stored.sides.iter().map(|side| side.table).collect();
    let target = move_snapshot(store, network, stored.ledger, &staged, &sides).await?;
    failpoint!("snapshot_moved");
    snapshot::mark_archived(&*context.session().await?, stored.batch_id, target.as_ref()).await?;
    Ok(target.to_string())
}

/// Moves the object of a completed window to the archive, then records it: after a crash in between, the next run
/// finishes. If the window has another batch meanwhile, the object is superfluous, and removed: a move that is late must not
/// put old rows over those of a forced replay.
///
/// # Errors
/// [`Error::Staging`], [`Error::Database`]; [`Error::Corrupt`] when the object is in neither place.
pub(super) async fn archive(
    context: &Context,
    client: &mut Client,
    completed: &CompletedWindow,
    staged: &Path,
) -> Result<()> {
    failpoint!("archiving");
    let (store, network, settings) = (context.store(), context.network(), &context.settings);
    let CompletedWindow { id, batch_id, window, .. } = *completed;
    let tx = begin(client).await?;
    progress::hold_window(&tx, id).await?;
    let sides = match progress::awaits_archive(&tx, id, batch_id).await? {
        Some((true, sides)) => sides,
        Some((false, _)) if !is_archived(staged) => {
            tracing::info!(object = %staged, "removed a staged object: its window is archived, or has been replaced");
            return remove_staged(store, staged).await;
        }
        Some((false, _)) | None => return Ok(()),
    };
    let target = if is_archived(staged) {
        staged.clone() // a restored window: it stays where it is, also under a name that other partitions gave it
    } else {
        move_to_archive(store, network, settings.partition_ledgers, window, staged, &sides).await?
    };
    failpoint!("archive_moved");
    progress::mark_archived(tx.client(), id, batch_id, target.as_ref()).await?;
    // If this is lost, the next run finds the object in the archive, and records it.
    commit(tx, "record that the window is archived").await?;
    failpoint!("archive_recorded");
    Ok(())
}

/// Archives windows that crashed between COMMIT and archive. Returns their number. A lost object is logged and left for
/// `verify`: its rows are in the database.
async fn finish_archiving(context: &Context, client: &mut Client, is_owner: bool) -> Result<usize> {
    let mut left = progress::unarchived(client).await?;
    left.retain(|(_, object)| is_owner || is_archived(&Path::from(object.as_str())));
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

/// Removes an object of an attempt that ended before its seal, if its ledgers are loaded by others: the attempt, should it still be
/// under way, cannot load them any more.
async fn remove_superseded(context: &Context, client: &Client, object: &StagedObject) -> Result<()> {
    let window = object.window()?;
    let is_own = |completed: &CompletedWindow| completed.batch_id == object.footer.batch_id;
    if progress::uncovered(client, window).await?.is_empty()
        && !progress::covering(client, window).await?.iter().any(is_own)
    {
        tracing::info!(object = %object.path, "removed a staged object: its ledgers are loaded");
        context.store().remove(&object.path).await?;
    }
    Ok(())
}

/// The sealed, unloaded objects of this database, by their first ledger. Objects whose ledgers were loaded otherwise
/// are removed.
async fn sealed_objects(context: &Context, client: &Client) -> Result<Vec<StagedObject>> {
    let (store, settings) = (context.store(), &context.settings);
    let mut sealed = Vec::new();
    let staged = staged_objects(store, context.network(), settings.database_id).await?;
    for object in staged.unsealed {
        remove_superseded(context, client, &object).await?;
    }
    for object in staged.sealed {
        let window = object.window()?;
        let covering = progress::covering(client, window).await?;
        if covering.iter().any(|c| c.batch_id == object.footer.batch_id && !c.archived) {
            continue; // just loaded, and being archived
        }
        if !covering.is_empty() {
            tracing::info!(object = %object.path, "removed a staged object: its ledgers are loaded");
            remove_staged(store, &object.path).await?;
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
