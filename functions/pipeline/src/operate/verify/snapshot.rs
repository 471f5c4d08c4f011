//! The snapshot: its objects and its rows against its record.

use object_store::path::Path;

use super::{Recorded, Verification, object_problem};
use crate::config::Config;
use crate::contract::tables::Table;
use crate::contract::window::LedgerWindow;
use crate::database::Client;
use crate::database::digest::digest_of;
use crate::database::snapshot::{StoredSnapshot, stored};
use crate::error::{DatabaseContext, Error, Result};
use crate::store::Store;
use crate::store::names::{snapshot_path, table_path};

/// Compares the objects of the snapshot with its record and, while retention has not condensed later ledgers into them, the rows of
/// the state below the first window.
pub(super) async fn compare_snapshot(
    client: &Client,
    store: &Store,
    config: &Config,
    verification: &mut Verification,
) -> Result<()> {
    let Some(snapshot) = stored(client).await? else { return Ok(()) };
    let window = LedgerWindow::single(snapshot.ledger);
    for recorded in recorded(&snapshot, window) {
        if let Some(problem) = problem(client, store, config, &snapshot, &recorded).await? {
            let table = recorded.table.name();
            verification.find(window, format!("snapshot: object of {table}: {problem}"));
        }
        if let Some(relation) = relation(recorded.table)
            && !is_condensed(client).await?
            && recorded.digest != Some(digest_of(client, recorded.table, &relation, window).await?)
        {
            let table = recorded.table.name();
            let problem = format!("snapshot: the rows of {table} are not those that it was loaded with");
            verification.find(window, problem);
        }
    }
    Ok(())
}

/// What is recorded of each table.
fn recorded(snapshot: &StoredSnapshot, window: LedgerWindow) -> Vec<Recorded> {
    let of = |table, rows: u64, digest: &str, bytes: u64| Recorded {
        table,
        window,
        batch_id: snapshot.batch_id,
        rows: i64::try_from(rows).unwrap_or(i64::MAX),
        digest: Some(digest.to_owned()),
        object: Some(snapshot.object.clone()),
        bytes: i64::try_from(bytes).ok(),
        sides: if table == Table::Data { snapshot.sides.clone() } else { Vec::new() },
    };
    let data = of(Table::Data, snapshot.rows, &snapshot.rows_digest, snapshot.object_bytes);
    let sides = snapshot.sides.iter().map(|side| of(side.table, side.rows, &side.rows_digest, side.bytes));
    std::iter::once(data).chain(sides).collect()
}

/// Where the rows of a table are, in the columns of the table; none for assets, whose rows are not stored.
fn relation(table: Table) -> Option<String> {
    match table {
        Table::Data => Some("contract_data.retained_states".to_owned()),
        Table::Ttl => Some(
            "(select t.*, s.closed_at from contract_data.retained_ttls t, contract_data.snapshots s) as ttls"
                .to_owned(),
        ),
        Table::Assets => None,
    }
}

async fn is_condensed(client: &Client) -> Result<bool> {
    let condensed = "select from contract_data.settings where condensed_to is not null";
    client.query_opt(condensed, &[]).await.database("read the settings").map(|row| row.is_some())
}

/// What is wrong with the object of a table, if anything.
async fn problem(
    client: &Client,
    store: &Store,
    config: &Config,
    snapshot: &StoredSnapshot,
    recorded: &Recorded,
) -> Result<Option<String>> {
    let named = table_path(&Path::from(snapshot.object.as_str()), recorded.table);
    // During archiving, or after a crash in it, the object is in the archive before it is recorded.
    let archived = table_path(&snapshot_path(&config.network.name, snapshot.ledger), recorded.table);
    let path = if store.size(&named).await?.is_none() { archived } else { named };
    let bytes = recorded.bytes.unwrap_or_default().unsigned_abs();
    match object_problem(client, store, &path, bytes, recorded, config).await {
        Err(Error::Corrupt { problem, .. }) => Ok(Some(problem)),
        Err(Error::BadData { column, cause, .. }) => Ok(Some(format!("column {column}: {cause}"))),
        problem => problem,
    }
}
