//! Strays: objects in archive/ that are not the object of a completed window. Readers of the archive would see their ledgers
//! twice, or see ledgers that the database lacks.

use std::collections::HashSet;

use object_store::path::Path;

use super::maintenance::{Maintenance, Stray, StrayKind};
use crate::config::Config;
use crate::contract::tables::Table;
use crate::contract::window::LedgerWindow;
use crate::database::settings::Settings;
use crate::database::{Client, get, sides, snapshot, sql};
use crate::error::{DatabaseContext, Error, Result};
use crate::store::archive::archived_object;
use crate::store::mark::{Mark, read_mark};
use crate::store::names::{
    archive_folder, archived_data_path, aside_path, mark_path, parse_archive_path, parse_snapshot_path,
    snapshots_folder, table_path,
};
use crate::store::{StagedObject, Store};

/// The strays in the retained ledgers of a range, by name; none in an archive without this database's mark, which is not its
/// concern.
///
/// # Errors
/// [`Error::Staging`], [`Error::Database`].
pub(super) async fn find(
    client: &Client,
    store: &Store,
    config: &Config,
    stored: &Settings,
    range: LedgerWindow,
) -> Result<Vec<Stray>> {
    let network = &config.network.name;
    let own = |mark: &Mark| mark.database_id == stored.database_id;
    let (Some(mark), Some(range)) =
        (read_mark(store, network).await?.filter(own), range.from(stored.retained_from))
    else {
        return Ok(Vec::new());
    };
    // Objects are listed first: one that appears later has its window already.
    let mut objects = Vec::new();
    for table in Table::ALL {
        let listed = store.list(&table_path(&archive_folder(network), table)).await?;
        objects.extend(listed.into_iter().map(|meta| (table, meta.location, meta.size)));
    }
    let known = known_objects(client, range).await?;
    let mut strays = stray_snapshots(client, store, network).await?;
    for (table, path, bytes) in objects {
        if known.contains(path.as_ref()) || path == mark_path(network) {
            continue;
        }
        let stray = |kind, problem: String, window, batch_id| Stray {
            object: path.to_string(),
            bytes,
            table,
            kind,
            problem,
            window,
            batch_id,
        };
        let Some(window) = parse_archive_path(&path) else {
            let problem = "its name is not that of a window".to_owned();
            strays.push(stray(StrayKind::Unreadable, problem, None, None));
            continue;
        };
        if !range.overlaps(window) {
            continue;
        }
        match archived_object(store, network, table, (path.clone(), bytes, window)).await {
            Ok(object) => {
                let batch_id = Some(object.footer.batch_id);
                if let Some((kind, problem)) = judge(client, &mark, &object).await? {
                    strays.push(stray(kind, problem, Some(window), batch_id));
                }
            }
            Err(Error::Corrupt { problem, .. }) if store.size(&path).await?.is_some() => {
                strays.push(stray(StrayKind::Unreadable, problem, Some(window), None));
            }
            Err(Error::Corrupt { .. }) => {} // moved away meanwhile
            Err(error) => return Err(error),
        }
    }
    Ok(strays)
}

/// Archived objects that are not those of the snapshot of this database.
async fn stray_snapshots(client: &Client, store: &Store, network: &str) -> Result<Vec<Stray>> {
    let listed = store.list(&snapshots_folder(network)).await?;
    if listed.is_empty() {
        return Ok(Vec::new());
    }
    let snapshot = snapshot::stored(client).await?.map(|snapshot| snapshot.objects(network));
    let known = |path: &Path| snapshot.as_ref().is_some_and(|objects| objects.contains(path));
    let strays = listed.into_iter().filter(|meta| !known(&meta.location)).map(|meta| Stray {
        object: meta.location.to_string(),
        bytes: meta.size,
        table: Table::Data,
        kind: StrayKind::Lost,
        problem: "this database does not begin with it: `ingestctl snapshot --from-archive` loads it into an empty one".to_owned(),
        window: parse_snapshot_path(&meta.location).map(LedgerWindow::single),
        batch_id: None,
    });
    Ok(strays.collect())
}

/// What an object is that is not in the list of known ones; `None` if it is the object of a window after all.
async fn judge(client: &Client, mark: &Mark, object: &StagedObject) -> Result<Option<(StrayKind, String)>> {
    let (footer, window) = (&object.footer, object.window()?);
    let row = client
        .query_one(
            sql::KNOWN_OF_ARCHIVED,
            &[
                &i64::from(window.start()),
                &i64::from(window.end()),
                &footer.batch_id,
                &archived_data_path(&object.path, footer.table).as_ref(),
                &footer.table.name(),
            ],
        )
        .await
        .database("look for the window of an object")?;
    if get(&row, "is_window")? {
        return Ok(None);
    }
    Ok(Some(if !mark.knows(footer.database_id) {
        let problem = format!(
            "database {} wrote it, to which this archive never belonged: give that database an archive of its own, and move the \
             object there",
            footer.database_id
        );
        (StrayKind::Foreign, problem)
    } else if get(&row, "covered")? {
        let problem = "other windows have its ledgers: `ingestctl maintain` moves it aside".to_owned();
        (StrayKind::Superseded, problem)
    } else {
        let problem = "no window has all its ledgers: the next run loads them from it if it can, else \
                       `ingestctl replay --from-archive` does"
            .to_owned();
        (StrayKind::Lost, problem)
    }))
}

/// The objects of the completed windows in a range, of all their tables.
async fn known_objects(client: &Client, range: LedgerWindow) -> Result<HashSet<String>> {
    let rows = client
        .query(
            "select object, array(select table_name::text from contract_data.window_tables where window_id = id) as sides
             from contract_data.ingestion_progress
             where status = 'completed' and object is not null and end_ledger >= $1 and start_ledger <= $2",
            &[&i64::from(range.start()), &i64::from(range.end())],
        )
        .await
        .database("read the objects of the windows")?;
    let mut objects = HashSet::new();
    for row in &rows {
        let data = Path::from(get::<&str>(row, "object")?);
        objects.extend(sides(row)?.into_iter().map(|table| table_path(&data, table).to_string()));
        objects.insert(data.to_string());
    }
    Ok(objects)
}

/// Moves superseded objects aside, and reports the other strays.
///
/// # Errors
/// [`Error::Staging`], [`Error::Database`].
pub(super) async fn move_aside(
    client: &Client,
    config: &Config,
    stored: &Settings,
    maintenance: &mut Maintenance,
) -> Result<()> {
    let store = Store::open(&config.staging, config.max_retries)?;
    let network = &config.network.name;
    let everything = LedgerWindow::new(0, u32::MAX)?;
    for stray in find(client, &store, config, stored, everything).await? {
        let (StrayKind::Superseded, Some(window), Some(batch_id)) =
            (stray.kind, stray.window, stray.batch_id)
        else {
            tracing::warn!(object = %stray.object, problem = %stray.problem, "a stray object in the archive");
            maintenance.strays.push(stray);
            continue;
        };
        if !maintenance.dry_run {
            // It is kept, in case that it is the better copy.
            let aside = table_path(&aside_path(network, window, batch_id), stray.table);
            store.rename(&Path::from(stray.object.as_str()), &aside).await?;
        }
        maintenance.moved_aside.push(stray);
    }
    Ok(())
}
