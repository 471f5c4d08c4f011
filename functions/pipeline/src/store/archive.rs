//! The archive: the final name of a completed window's object, and the listings of both folders.

use std::collections::HashSet;

use object_store::path::Path;
use uuid::Uuid;

use super::footer::Footer;
use super::names::{
    archive_folder, archive_path, data_path_of, parse_archive_folder, parse_archive_path,
    parse_snapshot_path, parse_staging_path, snapshot_path, snapshots_folder, staging_folder, table_path,
};
use super::object::{self, StagedObject};
use super::store::Store;
use crate::contract::tables::Table;
use crate::contract::window::LedgerWindow;
use crate::error::{Error, Result};

/// Moves the objects of a completed window from staging/ to archive/, that of `data` last, and returns its name there. If two
/// processes do it at once, the second finds the staged objects gone and the archived ones in place.
///
/// # Errors
/// [`Error::Staging`]; [`Error::Corrupt`] when an object is in neither place.
pub(crate) async fn move_to_archive(
    store: &Store,
    network: &str,
    partition_ledgers: u32,
    window: LedgerWindow,
    staged: &Path,
    sides: &[Table],
) -> Result<Path> {
    let target = archive_path(network, partition_ledgers, window);
    move_objects(store, staged, &target, sides).await?;
    Ok(target)
}

/// Moves the objects of a loaded snapshot from staging/ to archive/, that of `data` last, and returns its name there.
///
/// # Errors
/// As [`move_to_archive`].
pub(crate) async fn move_snapshot(
    store: &Store,
    network: &str,
    ledger: u32,
    staged: &Path,
    sides: &[Table],
) -> Result<Path> {
    let target = snapshot_path(network, ledger);
    move_objects(store, staged, &target, sides).await?;
    Ok(target)
}

/// Moves the objects of these tables, and that of `data` last.
async fn move_objects(store: &Store, staged: &Path, target: &Path, sides: &[Table]) -> Result<()> {
    for table in sides {
        move_object(store, &table_path(staged, *table), &table_path(target, *table)).await?;
        failpoint!("side_moved");
    }
    move_object(store, staged, target).await
}

/// The newest archived snapshot, or that at a checkpoint; `None` if the archive does not have it.
///
/// # Errors
/// [`Error::Corrupt`] for an object that is unreadable or contradicts its name; [`Error::Staging`].
pub(crate) async fn archived_snapshot(
    store: &Store,
    network: &str,
    ledger: Option<u32>,
) -> Result<Option<StagedObject>> {
    let listed = store.list(&snapshots_folder(network)).await?.into_iter();
    let named = listed.filter_map(|meta| Some((parse_snapshot_path(&meta.location)?, meta)));
    let found = named.filter(|(at, _)| ledger.is_none_or(|ledger| *at == ledger)).max_by_key(|(at, _)| *at);
    let Some((at, meta)) = found else { return Ok(None) };
    let name = (meta.location, meta.size, LedgerWindow::single(at));
    let object = archived_object(store, network, Table::Data, name).await?;
    if object.footer.snapshot.is_none() {
        return Err(Error::corrupt(object.path.to_string(), "it is not the state at a checkpoint"));
    }
    Ok(Some(object))
}

async fn move_object(store: &Store, staged: &Path, target: &Path) -> Result<()> {
    // An object restored from the archive is already in place: moving it onto itself would lose it.
    let moved = staged == target || store.rename(staged, target).await?;
    if !moved && store.size(target).await?.is_none() {
        return Err(Error::corrupt(
            staged.to_string(),
            format!("it is gone, and {target} does not exist either"),
        ));
    }
    Ok(())
}

/// Removes the objects of an attempt at a window from staging/, given one of them: that of `data` first, because without it the others
/// mean nothing.
///
/// # Errors
/// [`Error::Staging`].
pub(crate) async fn remove_staged(store: &Store, object: &Path) -> Result<()> {
    let data = data_path_of(object).unwrap_or_else(|| object.clone());
    for table in Table::ALL {
        store.remove(&table_path(&data, table)).await?;
    }
    Ok(())
}

/// The objects of a database in staging/, by name.
#[derive(Default)]
pub(crate) struct StagedObjects {
    /// Of `data`: each seals a window.
    pub(crate) sealed: Vec<StagedObject>,
    /// Of other tables, without that of `data`: their attempt is under way, or has ended before its seal.
    pub(crate) unsealed: Vec<StagedObject>,
}

/// The objects of a database in staging/, without replacements. Unreadable ones are left alone: staging/ expires.
///
/// # Errors
/// [`Error::Staging`].
pub(crate) async fn staged_objects(store: &Store, network: &str, database_id: Uuid) -> Result<StagedObjects> {
    let mut objects = StagedObjects::default();
    let listed = store.list(&staging_folder(network)).await?;
    let names: HashSet<Path> = listed.iter().map(|meta| meta.location.clone()).collect();
    for meta in listed {
        let path = meta.location;
        let side_of = data_path_of(&path);
        if side_of.as_ref().is_some_and(|data| names.contains(data)) {
            continue; // its window is sealed
        }
        let data = side_of.as_ref().unwrap_or(&path);
        let Some((window, batch_id)) = parse_staging_path(data) else { continue };
        let footer = match object::open(store, &path, meta.size).await {
            Ok(opened) => opened.footer().clone(),
            Err(error @ Error::Corrupt { .. }) => {
                tracing::warn!(object = %path, error = %error.chain(), "unusable object: draining its window");
                continue;
            }
            // Another process has finished with it.
            Err(_) if store.size(&path).await?.is_none() => continue,
            Err(error) => return Err(error),
        };
        if footer.database_id != database_id || footer.replaces {
            continue;
        }
        let table = if side_of.is_some() { footer.table } else { Table::Data };
        if let Some(problem) = contradiction(&footer, network, table, window, batch_id) {
            tracing::warn!(object = %path, problem, "unusable object: draining its window");
            continue;
        }
        let kind = if side_of.is_some() { &mut objects.unsealed } else { &mut objects.sealed };
        kind.push(StagedObject { path, bytes: meta.size, footer });
    }
    Ok(objects)
}

/// Name, size and window of an archived object.
pub(crate) type ArchivedName = (Path, u64, LedgerWindow);

/// The archived objects that share ledgers with a range, by name.
///
/// # Errors
/// [`Error::Staging`].
pub(crate) async fn archived_names(
    store: &Store,
    network: &str,
    range: LedgerWindow,
) -> Result<Vec<ArchivedName>> {
    let mut names = names_in(store, &archive_folder(network)).await?;
    names.retain(|name| range.overlaps(name.2));
    Ok(names)
}

/// The archived objects whose ledgers are all in one of these ranges, by name. It lists only the folders of the partitions that
/// the ranges touch: an archive has one object for each few minutes of a chain.
///
/// # Errors
/// [`Error::Staging`].
pub(crate) async fn archived_within(
    store: &Store,
    network: &str,
    partition_ledgers: u32,
    ranges: &[LedgerWindow],
) -> Result<Vec<ArchivedName>> {
    let mut names = Vec::new();
    for folder in store.folders(&archive_folder(network)).await? {
        let Some(floor) = parse_archive_folder(&folder) else { continue };
        let partition = LedgerWindow::new(floor, floor.saturating_add(partition_ledgers - 1))?;
        if ranges.iter().any(|range| range.overlaps(partition)) {
            names.extend(names_in(store, &folder).await?);
        }
    }
    names.retain(|name| ranges.iter().any(|range| name.2.is_within(*range)));
    Ok(names)
}

/// The archived objects in a folder, by name.
async fn names_in(store: &Store, folder: &Path) -> Result<Vec<ArchivedName>> {
    let objects = store.list(folder).await?.into_iter();
    let named = objects.filter_map(|meta| Some((parse_archive_path(&meta.location)?, meta)));
    Ok(named.map(|(window, meta)| (meta.location, meta.size, window)).collect())
}

/// Reads an archived object's footer, and compares it with the object's name.
///
/// # Errors
/// [`Error::Corrupt`] for an object that is unreadable or contradicts its name; [`Error::Staging`].
pub(crate) async fn archived_object(
    store: &Store,
    network: &str,
    table: Table,
    (path, bytes, window): ArchivedName,
) -> Result<StagedObject> {
    let footer = object::open(store, &path, bytes).await?.footer().clone();
    if let Some(problem) = contradiction(&footer, network, table, window, footer.batch_id) {
        return Err(Error::corrupt(path.to_string(), problem));
    }
    Ok(StagedObject { path, bytes, footer })
}

/// How the footer contradicts the object's name, if it does.
pub(crate) fn contradiction(
    footer: &Footer,
    network: &str,
    table: Table,
    window: LedgerWindow,
    batch_id: Uuid,
) -> Option<&'static str> {
    if footer.table != table {
        Some("its footer names another table")
    } else if footer.network != network {
        Some("its footer names another network")
    } else if (footer.start_ledger, footer.end_ledger) != (window.start(), window.end()) {
        Some("its footer names another window")
    } else if footer.batch_id != batch_id {
        Some("its footer names another batch")
    } else {
        None
    }
}
