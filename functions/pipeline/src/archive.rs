//! Archive: the object of a completed window under its final name, exactly once, whatever a crash left undone.

use object_store::path::Path;
use tokio_postgres::Client;

use crate::dataset::{
    Footer, archive_folder, archive_path, parse_archive_path, parse_staging_path, staging_folder,
};
use crate::error::{Error, Result};
use crate::migrate::Settings;
use crate::object;
use crate::progress::{self, CompletedWindow};
use crate::stage::StagedObject;
use crate::staging::Staging;
use crate::window::LedgerWindow;

/// Moves the object of a completed window from staging/ to archive/.
///
/// Move, then record: a crash in between leaves what the next run finishes. Of two at once, the second finds the staged
/// object gone and the archived one there.
///
/// # Errors
/// [`Error::Staging`], [`Error::Database`]; [`Error::Corrupt`] when the object is in neither place.
pub(crate) async fn archive(
    client: &Client,
    staging: &Staging,
    network: &str,
    partition_ledgers: u32,
    id: i64,
    window: LedgerWindow,
    staged: &Path,
) -> Result<()> {
    let target = archive_path(network, partition_ledgers, window);
    // What was restored from the archive stands there already: moved onto itself it would be lost.
    let moved = *staged == target || staging.rename(staged, &target).await?;
    if !moved && staging.size(&target).await?.is_none() {
        return Err(Error::corrupt(
            staged.to_string(),
            format!("it is gone, and {target} is not there either"),
        ));
    }
    failpoint!("archive_moved");
    progress::mark_archived(client, id, target.as_ref()).await?;
    failpoint!("archive_recorded");
    Ok(())
}

/// Finishes what crashes left between COMMIT and the archive. Returns how many windows that were.
///
/// An object that is lost is reported and left for `verify`: its rows are in the database all the same.
pub(crate) async fn finish_archiving(
    client: &Client,
    staging: &Staging,
    network: &str,
    settings: &Settings,
) -> Result<usize> {
    let left = progress::unarchived(client).await?;
    let count = left.len();
    for (completed, object) in left {
        let path = Path::from(object);
        let CompletedWindow { id, window, .. } = completed;
        match archive(client, staging, network, settings.partition_ledgers, id, window, &path).await {
            Err(Error::Corrupt { object, problem }) => {
                tracing::warn!(%object, %problem, start_ledger = window.start(), end_ledger = window.end(), "not archived");
            }
            other => other?,
        }
    }
    Ok(count)
}

/// The sealed objects of this database that are not loaded, by their first ledger. Those that an earlier load has made
/// superfluous are removed; those of other databases, and what does not read, are left alone: staging/ expires.
pub(crate) async fn sealed_objects(
    client: &Client,
    staging: &Staging,
    network: &str,
    settings: &Settings,
) -> Result<Vec<StagedObject>> {
    let mut sealed = Vec::new();
    for meta in staging.list(&staging_folder(network)).await? {
        let path = meta.location;
        let Some((window, batch_id)) = parse_staging_path(&path) else { continue };
        let footer = match object::open(staging, &path, meta.size).await {
            Ok(opened) => opened.footer().clone(),
            Err(error @ Error::Corrupt { .. }) => {
                tracing::warn!(object = %path, error = %error.chain(), "left alone: the window is drained again");
                continue;
            }
            Err(error) => {
                if staging.size(&path).await?.is_none() {
                    continue; // another process was done with it
                }
                return Err(error);
            }
        };
        // Of another database, or in the hands of a forced replay.
        if footer.database_id != settings.database_id || footer.replaces {
            continue;
        }
        if let Some(problem) = contradiction(&footer, network, window, batch_id) {
            tracing::warn!(object = %path, problem, "left alone: the window is drained again");
            continue;
        }
        let covering = progress::covering(client, window).await?;
        if covering.iter().any(|c| c.batch_id == batch_id && !c.archived) {
            continue; // loaded a moment ago, and being archived
        }
        if !covering.is_empty() {
            tracing::info!(object = %path, "removed: its ledgers are loaded");
            staging.remove(&path).await?;
            continue;
        }
        if window.end() < settings.retained_from {
            continue; // maintenance removes it, once no load can be at it
        }
        // With bad data, an object is kept for whoever looks into it, until its ledgers are loaded from elsewhere.
        if footer.bad_data.is_none() {
            sealed.push(StagedObject { path, bytes: meta.size, footer });
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
pub(crate) async fn archived_objects(
    client: &Client,
    staging: &Staging,
    network: &str,
    settings: &Settings,
    range: LedgerWindow,
) -> Result<Vec<StagedObject>> {
    let mut objects = Vec::new();
    for meta in staging.list(&archive_folder(network)).await? {
        let path = meta.location;
        let Some(window) = parse_archive_path(&path) else { continue };
        if !range.overlaps(window) || progress::uncovered(client, window).await?.is_empty() {
            continue;
        }
        let footer = object::open(staging, &path, meta.size).await?.footer().clone();
        if let Some(problem) = contradiction(&footer, network, window, footer.batch_id) {
            return Err(Error::corrupt(path.to_string(), problem));
        }
        if window.start() / settings.partition_ledgers != window.end() / settings.partition_ledgers {
            return Err(Error::Schema(format!(
                "window {window} of the archive crosses a partition of {} ledgers: restore into a database with the \
                 partitions it was made for",
                settings.partition_ledgers
            )));
        }
        objects.push(StagedObject { path, bytes: meta.size, footer });
    }
    objects.sort_by_key(|object| object.footer.start_ledger);
    Ok(objects)
}

/// What the footer says against the name it stands under.
fn contradiction(
    footer: &Footer,
    network: &str,
    window: LedgerWindow,
    batch_id: uuid::Uuid,
) -> Option<&'static str> {
    if footer.network != network {
        Some("its footer names another network")
    } else if (footer.start_ledger, footer.end_ledger) != (window.start(), window.end()) {
        Some("its footer names another window")
    } else if footer.batch_id != batch_id {
        Some("its footer names another batch")
    } else {
        None
    }
}
