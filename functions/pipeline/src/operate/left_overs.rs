//! Left-overs: objects in staging/ from attempts of this database that will never be loaded. By default an object
//! stays; it is removed only if the database proves that no COMMIT of it can be in doubt, or if it is useless and a day
//! old.

use std::collections::HashSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use object_store::ObjectMeta;
use object_store::path::Path;
use uuid::Uuid;

use super::maintenance::{LeftOver, Maintenance};
use crate::config::Config;
use crate::contract::tables::Table;
use crate::contract::window::LedgerWindow;
use crate::database::settings::Settings;
use crate::database::{Client, get, progress, snapshot, sql};
use crate::error::{DatabaseContext, Error, Result};
use crate::store::archive::{contradiction, remove_staged};
use crate::store::names::{data_path_of, is_staged_snapshot, parse_staging_path, staging_folder};
use crate::store::{Store, object};

/// Partial objects and abandoned replacements are kept this long, because their writers may still be running.
const YOUNG: Duration = Duration::from_secs(24 * 60 * 60);

/// What the database knows about an object's ledgers.
struct Known {
    /// Some of the ledgers are being loaded.
    under_way: bool,
    /// A completed window refers to this object and is not archived.
    needed: bool,
    /// A failed window keeps it as evidence.
    kept: bool,
    /// Completed windows share ledgers with it.
    covered: bool,
}

/// Removes the left-overs of this database from staging/. Below `boundary` nothing is loaded any more.
///
/// # Errors
/// [`Error::Staging`], [`Error::Database`].
pub(super) async fn remove(
    client: &Client,
    config: &Config,
    stored: &Settings,
    boundary: u32,
    maintenance: &mut Maintenance,
) -> Result<()> {
    let store = Store::open(&config.staging, config.max_retries)?;
    let network = &config.network.name;
    let folder = staging_folder(network);
    let objects = store.list(&folder).await?;
    let names: HashSet<Path> = objects.iter().map(|meta| meta.location.clone()).collect();
    let snapshot = snapshot::stored(client).await?.map(|snapshot| snapshot.objects(network));
    for meta in objects {
        let old = is_old(meta.last_modified);
        if is_staged_snapshot(&meta.location) {
            let needed = snapshot.as_ref().is_some_and(|objects| objects.contains(&meta.location));
            if old && !needed && is_ours(&store, &meta, stored).await? {
                if !maintenance.dry_run {
                    store.remove(&meta.location).await?;
                }
                let (object, bytes) = (meta.location.to_string(), meta.size);
                let why = "a snapshot that was not loaded within a day";
                maintenance.removed.push(LeftOver { object, bytes, why });
            }
            continue;
        }
        if data_path_of(&meta.location).is_some_and(|data| old && !names.contains(&data)) {
            if !progress::refers_to(client, meta.location.as_ref(), "failed").await? {
                let why = "a table of a window whose data was never sealed";
                remove_object(&store, &meta, why, maintenance).await?;
            }
            continue;
        }
        let Some((window, batch_id)) = parse_staging_path(&meta.location) else { continue };
        let footer = match object::open(&store, &meta.location, meta.size).await {
            Ok(opened) => Some(opened.footer().clone()),
            Err(Error::Corrupt { .. }) if object::is_parquet(&store, &meta.location, meta.size).await? => {
                continue; // complete, but in another format: not for this release to judge
            }
            Err(Error::Corrupt { .. }) => None,
            // it may be gone: another process has finished with it
            Err(_) if store.size(&meta.location).await?.is_none() => continue,
            Err(error) => return Err(error),
        };
        if footer.as_ref().is_some_and(|footer| footer.database_id != stored.database_id) {
            continue;
        }
        let known = known(client, window, batch_id, meta.location.as_ref()).await?;
        if known.under_way || known.needed || known.kept {
            continue;
        }
        let honest = |footer| contradiction(footer, network, Table::Data, window, batch_id).is_none();
        let why = match footer {
            None if old => "it is incomplete and older than a day",
            Some(footer) if !honest(&footer) && old => {
                "its footer contradicts its name and it is older than a day"
            }
            Some(footer) if footer.replaces && old => "a replacement abandoned more than a day ago",
            // A replacement shares ledgers with a completed window as long as its COMMIT is in doubt, so only its age
            // decides.
            Some(footer) if footer.replaces || !honest(&footer) => continue,
            // Only one of two overlapping windows can be completed, so this object's COMMIT is not in doubt.
            Some(_) if known.covered => "its ledgers are loaded",
            // A load that claimed them before the boundary was set may still be running, but not after a day.
            Some(_) if window.end() < boundary && old => "its ledgers are not retained",
            Some(footer) if footer.bad_data.is_some() && old => {
                "bad data that no failed window refers to any more"
            }
            _ => continue,
        };
        remove_object(&store, &meta, why, maintenance).await?;
    }
    // On S3 the client cannot list them: a bucket rule aborts them.
    for upload in store.abandoned_uploads(&folder)? {
        if is_old(upload.modified) {
            if !maintenance.dry_run {
                store.remove_upload(&upload)?;
            }
            let why = "an incomplete upload older than a day";
            maintenance.removed.push(LeftOver { object: upload.name, bytes: upload.bytes, why });
        }
    }
    Ok(())
}

/// Whether an object was staged for this database.
async fn is_ours(store: &Store, meta: &ObjectMeta, stored: &Settings) -> Result<bool> {
    match object::open(store, &meta.location, meta.size).await {
        Ok(opened) => Ok(opened.footer().database_id == stored.database_id),
        Err(Error::Corrupt { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Removes a left-over with the other tables of its window, and reports it.
async fn remove_object(
    store: &Store,
    meta: &ObjectMeta,
    why: &'static str,
    maintenance: &mut Maintenance,
) -> Result<()> {
    if !maintenance.dry_run {
        remove_staged(store, &meta.location).await?;
    }
    maintenance.removed.push(LeftOver { object: meta.location.to_string(), bytes: meta.size, why });
    Ok(())
}

/// Whether something was last written more than a day ago.
fn is_old(modified: DateTime<Utc>) -> bool {
    Utc::now().signed_duration_since(modified).to_std().is_ok_and(|age| age > YOUNG)
}

/// Queries the database about an object.
async fn known(client: &Client, window: LedgerWindow, batch_id: Uuid, object: &str) -> Result<Known> {
    let row = client
        .query_one(
            sql::KNOWN_OF_OBJECT,
            &[&i64::from(window.start()), &i64::from(window.end()), &batch_id, &object],
        )
        .await
        .database("check whether an object is needed")?;
    Ok(Known {
        under_way: get(&row, "under_way")?,
        needed: get(&row, "needed")?,
        kept: get(&row, "kept")?,
        covered: get(&row, "covered")?,
    })
}
