//! Verify: object = entries = progress for every window, the archive has no other objects, and the current state = the fold of
//! the history.

use std::collections::HashMap;

use futures::TryStreamExt;
use object_store::path::Path;
use serde::Serialize;
use uuid::Uuid;

use super::strays;
use crate::config::Config;
use crate::contract::tables::Table;
use crate::contract::tuples::{RowsDigest, Tuples, encode};
use crate::contract::values::Claims;
use crate::contract::window::LedgerWindow;
use crate::database::digest::{relation, rows_digest};
use crate::database::settings::{Settings, retained_from};
use crate::database::{self, Client, LONG_WORK, connect, get, progress, sql};
use crate::error::{DatabaseContext, Error, Result};
use crate::report::{Event, Watch};
use crate::store::archive::contradiction;
use crate::store::footer::Side;
use crate::store::names::{archive_path, table_path};
use crate::store::{Store, object};
pub use checkpoint::{CheckpointVerification, Difference, verify_checkpoint};
use state::{find_false_assets, find_fold_differences, find_overlaps, find_stray_rows, find_ttl_differences};

mod checkpoint;
mod snapshot;
mod state;

/// A difference.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// First affected ledger, if known.
    pub start_ledger: Option<u32>,
    /// Last affected ledger.
    pub end_ledger: Option<u32>,
    /// The contradiction.
    pub problem: String,
}

/// The result of a verification.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Verification {
    /// Completed windows compared.
    pub windows: u64,
    /// Rows in them.
    pub rows: u64,
    /// Completed windows that were not compared because they are below the retention boundary: their rows were dropped
    /// on purpose, their progress rows and archived objects stay.
    pub not_retained: u64,
    /// The first retained ledger, if retention has set one.
    pub retained_from: Option<u32>,
    /// The differences; empty if everything agrees.
    pub findings: Vec<Finding>,
}

impl Verification {
    /// Adds a finding about a window.
    fn find(&mut self, window: LedgerWindow, problem: String) {
        let (start, end) = (Some(window.start()), Some(window.end()));
        self.findings.push(Finding { start_ledger: start, end_ledger: end, problem });
    }

    /// Adds a finding about the current state.
    fn find_in_state(&mut self, problem: String) {
        self.findings.push(Finding { start_ledger: None, end_ledger: None, problem });
    }

    /// Notes the part of a range that is not retained, and drops its findings.
    async fn retain(&mut self, client: &Client, range: LedgerWindow, boundary: u32) -> Result<()> {
        if boundary == 0 {
            return Ok(());
        }
        self.retained_from = Some(boundary);
        self.not_retained = 0;
        if let Some(below) = range.until(boundary - 1) {
            let covering = progress::covering(client, below).await?;
            self.not_retained =
                covering.iter().filter(|completed| completed.window.end() < boundary).count() as u64;
        }
        self.findings.retain(|finding| finding.end_ledger.is_none_or(|end| end >= boundary));
        Ok(())
    }
}

/// What is recorded of a table of a window.
struct Recorded {
    table: Table,
    window: LedgerWindow,
    batch_id: Uuid,
    rows: i64,
    digest: Option<String>,
    /// The object of `data`.
    object: Option<String>,
    bytes: Option<i64>,
    /// For `data`, the other tables as its object should describe them.
    sides: Vec<Side>,
}

/// Compares the completed windows that touch `range`, or all.
///
/// # Errors
/// [`Error::Database`] and [`Error::Staging`] when the comparison itself fails. A difference is not an error but a
/// [`Finding`].
pub async fn verify(config: &Config, range: Option<LedgerWindow>, watch: Watch) -> Result<Verification> {
    let client = connect(&config.database).await?;
    client.limit(LONG_WORK).await?;
    let stored = Settings::checked(&client, config).await?;
    let store = Store::open(&config.staging, config.max_retries)?;
    let range = match range {
        Some(range) => range,
        None => LedgerWindow::new(0, u32::MAX)?,
    };
    let mut verification = Verification::default();
    verification.retain(&client, range, stored.retained_from).await?;
    let recorded = recorded(&client, range).await?;
    watch(Event::Planned(
        recorded.iter().flatten().filter(|w| w.table == Table::Data).map(|w| w.window.ledgers()).sum(),
    ));
    for window in recorded {
        for table in &window {
            if table.table == Table::Data {
                verification.windows += 1;
                verification.rows += table.rows.unsigned_abs();
            }
            if table.table != Table::Assets {
                compare_rows(&client, table, &mut verification).await?;
            }
            compare_object(&client, &store, config, stored.partition_ledgers, table, &mut verification)
                .await?;
        }
        if let [data, ..] = &window[..] {
            watch(Event::Verified(data.window));
        }
    }
    snapshot::compare_snapshot(&client, &store, config, &mut verification).await?;
    for stray in strays::find(&client, &store, config, &stored, range).await? {
        verification.findings.push(Finding {
            start_ledger: stray.window.map(LedgerWindow::start),
            end_ledger: stray.window.map(LedgerWindow::end),
            problem: format!("archive: object {}: {}", stray.object, stray.problem),
        });
    }
    find_overlaps(&client, &mut verification).await?;
    find_stray_rows(&client, range, &mut verification).await?;
    find_fold_differences(&client, range, &mut verification).await?;
    find_ttl_differences(&client, range, &mut verification).await?;
    find_false_assets(&client, &mut verification).await?;
    // Windows that retention dropped during the comparison are not findings.
    let boundary = retained_from(&client).await?;
    if boundary != stored.retained_from {
        verification.retain(&client, range, boundary).await?;
    }
    Ok(verification)
}

/// What is recorded of the completed windows that touch a range: of each, `data` and then the other tables.
async fn recorded(client: &Client, range: LedgerWindow) -> Result<Vec<Vec<Recorded>>> {
    let rows = client
        .query(sql::COMPLETED_WINDOWS, &[&i64::from(range.start()), &i64::from(range.end())])
        .await
        .database("read the windows to verify")?;
    let ids: Vec<i64> = rows.iter().map(|row| get(row, "id")).collect::<Result<_>>()?;
    let mut tables: HashMap<i64, Vec<Side>> = HashMap::new();
    for row in &client.query(sql::WINDOW_TABLES, &[&ids]).await.database("read the tables to verify")? {
        let Some(side) = database::side(row)? else { continue };
        tables.entry(get(row, "window_id")?).or_default().push(side);
    }
    rows.iter()
        .zip(ids)
        .map(|(row, id)| recorded_window(row, tables.remove(&id).unwrap_or_default()))
        .collect()
}

/// What is recorded of one window.
fn recorded_window(row: &tokio_postgres::Row, sides: Vec<Side>) -> Result<Vec<Recorded>> {
    let (window, batch_id) = (database::window(row)?, get(row, "batch_id")?);
    let object: Option<String> = get(row, "object")?;
    let data = Recorded {
        table: Table::Data,
        window,
        batch_id,
        rows: get(row, "entries_processed")?,
        digest: get(row, "rows_digest")?,
        object: object.clone(),
        bytes: get(row, "object_bytes")?,
        sides: sides.clone(),
    };
    let others = sides.into_iter().map(|side| Recorded {
        table: side.table,
        window,
        batch_id,
        rows: i64::try_from(side.rows).unwrap_or(i64::MAX),
        digest: Some(side.rows_digest),
        object: object.clone(),
        bytes: i64::try_from(side.bytes).ok(),
        sides: Vec::new(),
    });
    Ok(std::iter::once(data).chain(others).collect())
}

/// Compares the stored rows of a table with progress.
async fn compare_rows(client: &Client, recorded: &Recorded, verification: &mut Verification) -> Result<()> {
    let (window, relation) = (recorded.window, relation(recorded.table));
    let digest = rows_digest(client, recorded.table, window).await?;
    if recorded.digest.as_deref() == Some(digest.as_str()) {
        return Ok(());
    }
    let count = format!("select count(*) as rows from {relation} where ledger_sequence between $1 and $2");
    let row = client
        .query_one(&count, &[&i64::from(window.start()), &i64::from(window.end())])
        .await
        .database("count the rows of a window")?;
    let rows: i64 = get(&row, "rows")?;
    let relation = relation.trim_start_matches("contract_data.");
    verification.find(
        window,
        if rows == recorded.rows {
            format!("{relation}: {rows} rows as recorded, but with other values: their digest differs from the recorded one")
        } else {
            format!("{relation}: {rows} rows, but progress records {}", recorded.rows)
        },
    );
    Ok(())
}

/// Compares the object of a table with progress: its existence, size, footer, and the digest of its rows; and what its rows say of
/// assets with what the database has learnt.
async fn compare_object(
    client: &Client,
    store: &Store,
    config: &Config,
    partition_ledgers: u32,
    recorded: &Recorded,
    verification: &mut Verification,
) -> Result<()> {
    let window = recorded.window;
    let Some(name) = &recorded.object else {
        verification.find(window, "progress names no object".to_owned());
        return Ok(());
    };
    let name = table_path(&Path::from(name.as_str()), recorded.table);
    // During archiving, or after a crash in it, the object is in the archive before progress records it.
    let archived = table_path(&archive_path(&config.network.name, partition_ledgers, window), recorded.table);
    let path = if store.size(&name).await?.is_none() { archived } else { name.clone() };
    let Some(bytes) = recorded.bytes.and_then(|bytes| u64::try_from(bytes).ok()) else {
        verification.find(window, format!("progress does not record the size of object {name}"));
        return Ok(());
    };
    match object_problem(client, store, &path, bytes, recorded, config).await {
        Ok(None) => {}
        Ok(Some(problem)) => verification.find(window, format!("object {name}: {problem}")),
        Err(Error::Corrupt { problem, .. }) => verification.find(window, format!("object {name}: {problem}")),
        Err(Error::BadData { ledger, column, cause }) => {
            verification.find(window, format!("object {name}: ledger {ledger}, column {column}: {cause}"));
        }
        Err(other) => return Err(other),
    }
    Ok(())
}

/// The difference of an object, if any.
async fn object_problem(
    client: &Client,
    store: &Store,
    path: &Path,
    bytes: u64,
    recorded: &Recorded,
    config: &Config,
) -> Result<Option<String>> {
    let opened = object::open(store, path, bytes).await?;
    let (footer, table) = (opened.footer(), recorded.table);
    let network = &config.network.name;
    if let Some(problem) = contradiction(footer, network, table, recorded.window, recorded.batch_id) {
        return Ok(Some(problem.to_owned()));
    }
    if footer.sides != recorded.sides {
        return Ok(Some("it names other tables than progress records".to_owned()));
    }
    let mut rows = opened.rows()?;
    let mut digest = RowsDigest::new(table);
    let mut tuples = Tuples::default();
    let mut unlearnt = None;
    while let Some(batch) = rows.try_next().await? {
        encode(table, &batch, recorded.batch_id, &mut tuples)?;
        digest.update(&tuples);
        if unlearnt.is_none()
            && table == Table::Assets
            && let Some(claims) = Claims::of(table, &batch)
        {
            unlearnt = unlearnt_asset(client, &claims).await?;
        }
    }
    let count = digest.rows();
    if recorded.digest.as_deref() != Some(digest.finish().as_str()) {
        return Ok(Some(format!(
            "the digest of its {count} rows differs from the one that progress records"
        )));
    }
    Ok(unlearnt.map(|contract| format!("it names the asset of {contract}, which the database does not know")))
}

/// The contract of an asset that is named, is that of its contract, and is not known; `None` if there is none.
async fn unlearnt_asset(client: &Client, claims: &Claims<'_>) -> Result<Option<String>> {
    let named: Vec<_> = (0..claims.rows()).filter_map(|row| claims.row(row)).collect();
    let contracts: Vec<&str> = named.iter().map(|asset| asset.0).collect();
    let types: Vec<&str> = named.iter().map(|asset| asset.1).collect();
    let codes: Vec<Option<&str>> = named.iter().map(|asset| asset.2).collect();
    let issuers: Vec<Option<&str>> = named.iter().map(|asset| asset.3).collect();
    let rows = client
        .query(sql::UNLEARNT_ASSETS, &[&contracts, &types, &codes, &issuers])
        .await
        .database("compare named assets with those that are known")?;
    rows.first().map(|row| get(row, "contract")).transpose()
}
