//! The names of objects in staging/ and archive/.

use object_store::path::Path;
use uuid::Uuid;

use crate::contract::tables::Table;
use crate::contract::window::LedgerWindow;

/// The folder of a network's staged objects.
pub(crate) fn staging_folder(network: &str) -> Path {
    Path::from(format!("staging/network={network}"))
}

/// The name of a staged object.
pub(crate) fn staging_path(network: &str, window: LedgerWindow, batch_id: Uuid) -> Path {
    Path::from(format!("staging/network={network}/{window}-{batch_id}.parquet"))
}

/// The name of the staged object of a snapshot. It is not that of a window.
pub(crate) fn staged_snapshot_path(network: &str, ledger: u32, batch_id: Uuid) -> Path {
    Path::from(format!("staging/network={network}/{SNAPSHOT}{ledger}-{batch_id}.parquet"))
}

/// How the names of staged snapshots begin.
const SNAPSHOT: &str = "snapshot-";

/// Whether this is the name of a staged object of a snapshot, of any of its tables.
pub(crate) fn is_staged_snapshot(path: &Path) -> bool {
    path.filename().is_some_and(|name| name.starts_with(SNAPSHOT))
}

/// The folder of a network's archived snapshots.
pub(crate) fn snapshots_folder(network: &str) -> Path {
    Path::from(format!("archive/snapshots/{LAYOUT}/network={network}"))
}

/// The name of the snapshot at a checkpoint in the archive.
pub(crate) fn snapshot_path(network: &str, ledger: u32) -> Path {
    Path::from(format!("{}/{ledger}.parquet", snapshots_folder(network)))
}

/// The checkpoint in the name of an archived object of a snapshot's `data`; `None` for any other name.
pub(crate) fn parse_snapshot_path(path: &Path) -> Option<u32> {
    path.filename()?.strip_suffix(".parquet")?.parse().ok()
}

/// The name of the object of `data`, given that of another table's in staging/; `None` for any other name.
pub(crate) fn data_path_of(side: &Path) -> Option<Path> {
    Table::SIDES.iter().find_map(|table| {
        let data = side.as_ref().strip_suffix(&format!(".{}.parquet", table.name()))?;
        Some(Path::from(format!("{data}.parquet")))
    })
}

/// The window and batch in the name of a staged object of `data`; `None` for any other name.
pub(crate) fn parse_staging_path(path: &Path) -> Option<(LedgerWindow, Uuid)> {
    let mut parts = path.filename()?.strip_suffix(".parquet")?.splitn(3, '-');
    let start = parts.next()?.parse().ok()?;
    let end = parts.next()?.parse().ok()?;
    let batch_id = parts.next()?.parse().ok()?;
    Some((LedgerWindow::new(start, end).ok()?, batch_id))
}

/// The name of a table's object, given that of `data` of the same window: in the archive it is in a dataset of its own. It gives the
/// folder of a dataset from that of `data`, too.
pub(crate) fn table_path(data: &Path, table: Table) -> Path {
    let (path, name) = (data.as_ref(), table.name());
    match (table, path.strip_prefix(DATASET)) {
        (Table::Data, _) => data.clone(),
        (_, Some(rest)) => Path::from(format!("archive/contract_{name}{rest}")),
        (_, None) => Path::from(format!("{}.{name}.parquet", path.trim_end_matches(".parquet"))),
    }
}

/// The name of the object of `data`, given that of another table's in the archive.
pub(crate) fn archived_data_path(object: &Path, table: Table) -> Path {
    Path::from(object.as_ref().replacen(&format!("archive/contract_{}", table.name()), DATASET, 1))
}

/// The beginning of the names of archived objects of `data`.
const DATASET: &str = "archive/contract_data";
/// The version of the archive's folders: engines that read them by name take objects of all formats, whose columns are null
/// where they did not have them.
const LAYOUT: &str = "v1";

/// The folder of a network's archived objects of `data`.
pub(crate) fn archive_folder(network: &str) -> Path {
    Path::from(format!("{DATASET}/{LAYOUT}/network={network}"))
}

/// The mark of a network's archive. Engines that read the archive skip names that begin with an underscore.
pub(crate) fn mark_path(network: &str) -> Path {
    Path::from(format!("{}/_database.json", archive_folder(network)))
}

/// Where a superseded object of the archive is kept, outside of the dataset.
pub(crate) fn aside_path(network: &str, window: LedgerWindow, batch_id: Uuid) -> Path {
    Path::from(format!("archive/superseded/network={network}/{window}-{batch_id}.parquet"))
}

/// Whether an object is in the archive, of any network.
pub(crate) fn is_archived(path: &Path) -> bool {
    path.as_ref().starts_with("archive/")
}

/// The window in the name of an archived object; `None` for any other name.
pub(crate) fn parse_archive_path(path: &Path) -> Option<LedgerWindow> {
    let (start, end) = path.filename()?.strip_suffix(".parquet")?.split_once('-')?;
    LedgerWindow::new(start.parse().ok()?, end.parse().ok()?).ok()
}

/// The first ledger of the partition that a folder of the archive is for; `None` for any other name.
pub(crate) fn parse_archive_folder(folder: &Path) -> Option<u32> {
    folder.filename()?.strip_prefix("ledger_range=")?.parse().ok()
}

/// The name of a completed window in the archive: a hive dataset on `network` and `ledger_range`.
pub(crate) fn archive_path(network: &str, partition_ledgers: u32, window: LedgerWindow) -> Path {
    let floor = window.start() / partition_ledgers * partition_ledgers;
    Path::from(format!("{}/ledger_range={floor}/{window}.parquet", archive_folder(network)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_objects_read_back() {
        let window = LedgerWindow::new(51_340_657, 51_340_749).unwrap();
        let id = Uuid::from_u128(7);
        let path = staging_path("pubnet", window, id);
        assert_eq!(
            path.as_ref(),
            "staging/network=pubnet/51340657-51340749-00000000-0000-0000-0000-000000000007.parquet"
        );
        assert_eq!(parse_staging_path(&path), Some((window, id)));
        for other in [
            "x",
            "staging/1-2.parquet",
            "staging/2-1-00000000-0000-0000-0000-000000000007.parquet",
            "staging/1-2-x.tmp",
        ] {
            assert_eq!(parse_staging_path(&Path::from(other)), None, "{other}");
        }
        assert_eq!(
            archive_path("pubnet", 100_000, window).as_ref(),
            "archive/contract_data/v1/network=pubnet/ledger_range=51300000/51340657-51340749.parquet"
        );
        assert_eq!(
            table_path(&path, Table::Ttl).as_ref(),
            "staging/network=pubnet/51340657-51340749-00000000-0000-0000-0000-000000000007.ttl.parquet"
        );
        assert_eq!(parse_staging_path(&table_path(&path, Table::Ttl)), None);
        assert_eq!(data_path_of(&table_path(&path, Table::Ttl)), Some(path.clone()));
        assert_eq!(data_path_of(&path), None);
        assert_eq!(
            table_path(&archive_path("pubnet", 100_000, window), Table::Assets).as_ref(),
            "archive/contract_assets/v1/network=pubnet/ledger_range=51300000/51340657-51340749.parquet"
        );
        let archived = archive_path("pubnet", 100_000, window);
        for table in Table::ALL {
            let object = table_path(&archived, table);
            assert_eq!(archived_data_path(&object, table), archived);
            assert!(object.prefix_matches(&table_path(&archive_folder("pubnet"), table)));
        }
        let folder = Path::from("archive/contract_data/v1/network=pubnet/ledger_range=51300000");
        assert_eq!(parse_archive_folder(&folder), Some(51_300_000));
    }
}
