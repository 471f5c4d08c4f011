//! Verify: object = entries = progress for every window, the archive has no other objects, and the current state = the fold of
//! the history.

use futures::TryStreamExt;
use object_store::path::Path;
use serde::Serialize;
use uuid::Uuid;

use super::strays;
use crate::config::Config;
use crate::contract::tables::Table;
use crate::contract::tuples::{RowsDigest, Tuples, encode};
use crate::contract::window::LedgerWindow;
use crate::database::digest::rows_digest;
use crate::database::settings::{Settings, retained_from};
use crate::database::{self, Client, LONG_WORK, connect, get, progress, sql};
use crate::error::{DatabaseContext, Error, Result};
use crate::report::{Event, Watch};
use crate::store::archive::contradiction;
use crate::store::names::archive_path;
use crate::store::{Store, object};

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

/// The comparable part of a progress row.
struct Recorded {
    window: LedgerWindow,
    batch_id: Uuid,
    rows: i64,
    digest: Option<String>,
    object: Option<String>,
    bytes: Option<i64>,
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
    watch(Event::Planned(recorded.iter().map(|w| w.window.ledgers()).sum()));
    for window in recorded {
        verification.windows += 1;
        verification.rows += window.rows.unsigned_abs();
        compare_entries(&client, &window, &mut verification).await?;
        compare_object(&store, config, stored.partition_ledgers, &window, &mut verification).await?;
        watch(Event::Verified(window.window));
    }
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
    find_false_assets(&client, &mut verification).await?;
    // Windows that retention dropped during the comparison are not findings.
    let boundary = retained_from(&client).await?;
    if boundary != stored.retained_from {
        verification.retain(&client, range, boundary).await?;
    }
    Ok(verification)
}

/// The completed windows that touch a range.
async fn recorded(client: &Client, range: LedgerWindow) -> Result<Vec<Recorded>> {
    let rows = client
        .query(sql::COMPLETED_WINDOWS, &[&i64::from(range.start()), &i64::from(range.end())])
        .await
        .database("read the windows to verify")?;
    rows.iter()
        .map(|row| {
            Ok(Recorded {
                window: database::window(row)?,
                batch_id: get(row, "batch_id")?,
                rows: get(row, "entries_processed")?,
                digest: get(row, "rows_digest")?,
                object: get(row, "object")?,
                bytes: get(row, "object_bytes")?,
            })
        })
        .collect()
}

/// Compares entries with progress.
async fn compare_entries(
    client: &Client,
    recorded: &Recorded,
    verification: &mut Verification,
) -> Result<()> {
    let window = recorded.window;
    let digest = rows_digest(client, Table::Data, window).await?;
    if recorded.digest.as_deref() == Some(digest.as_str()) {
        return Ok(());
    }
    let row = client
        .query_one(
            "select count(*) as rows from contract_data.entries where ledger_sequence between $1 and $2",
            &[&i64::from(window.start()), &i64::from(window.end())],
        )
        .await
        .database("count the rows of a window")?;
    let rows: i64 = get(&row, "rows")?;
    verification.find(
        window,
        if rows == recorded.rows {
            format!("entries: {rows} rows as recorded, but with other values: their digest differs from the recorded one")
        } else {
            format!("entries: {rows} rows, but progress records {}", recorded.rows)
        },
    );
    Ok(())
}

/// Compares the object with progress: its existence, size, footer, and the digest of its rows.
async fn compare_object(
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
    // During archiving, or after a crash in it, the object is in the archive before progress records it.
    let staged = Path::from(name.as_str());
    let archived = archive_path(&config.network.name, partition_ledgers, window);
    let path = if store.size(&staged).await?.is_none() { archived } else { staged };
    let Some(bytes) = recorded.bytes.and_then(|bytes| u64::try_from(bytes).ok()) else {
        verification.find(window, format!("progress does not record the size of object {name}"));
        return Ok(());
    };
    match object_digest(store, &path, bytes, recorded, config).await {
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
async fn object_digest(
    store: &Store,
    path: &Path,
    bytes: u64,
    recorded: &Recorded,
    config: &Config,
) -> Result<Option<String>> {
    let opened = object::open(store, path, bytes).await?;
    let footer = opened.footer();
    if let Some(problem) = contradiction(footer, &config.network.name, recorded.window, recorded.batch_id) {
        return Ok(Some(problem.to_owned()));
    }
    let mut rows = opened.rows()?;
    let mut digest = RowsDigest::default();
    let mut tuples = Tuples::default();
    while let Some(batch) = rows.try_next().await? {
        encode(Table::Data, &batch, recorded.batch_id, &mut tuples)?;
        digest.update(&tuples);
    }
    let count = digest.rows();
    Ok((recorded.digest.as_deref() != Some(digest.finish().as_str()))
        .then(|| format!("the digest of its {count} rows differs from the one that progress records")))
}

/// Completed windows that share ledgers.
async fn find_overlaps(client: &Client, verification: &mut Verification) -> Result<()> {
    let rows = client.query(sql::OVERLAPPING_WINDOWS, &[]).await.database("look for overlapping windows")?;
    for row in &rows {
        let window = database::window(row)?;
        let other = LedgerWindow::from_row(get(row, "other_start")?, get(row, "other_end")?)?;
        verification.find(window, format!("progress: overlaps the completed window {other}"));
    }
    Ok(())
}

/// Rows of ledgers that no completed window covers.
async fn find_stray_rows(
    client: &Client,
    range: LedgerWindow,
    verification: &mut Verification,
) -> Result<()> {
    for free in progress::uncovered(client, range).await? {
        let rows = client
            .query(sql::STRAY_ROWS, &[&i64::from(free.start()), &i64::from(free.end())])
            .await
            .database("look for rows without a window")?;
        for row in &rows {
            let ledger: i64 = get(row, "ledger_sequence")?;
            let count: i64 = get(row, "rows")?;
            let problem =
                format!("entries: {count} rows of ledger {ledger}, which no completed window covers");
            verification.find(LedgerWindow::from_row(ledger, ledger)?, problem);
        }
    }
    Ok(())
}

/// Keys whose state is not the newest change in the history.
async fn find_fold_differences(
    client: &Client,
    range: LedgerWindow,
    verification: &mut Verification,
) -> Result<()> {
    // Independently of the planner's estimates: merge joins would sort all values, and nested loops might not end.
    client
        .batch_execute(
            "set enable_mergejoin = off; set enable_nestloop = off; set jit = off; set work_mem = '64MB'",
        )
        .await
        .database("prepare the comparison")?;
    // The asset of a state is not that of its change.
    let columns = |table: &str| {
        let shared = Table::Data.staged_columns().filter(|name| !name.starts_with("asset_"));
        shared.map(|name| format!("{table}.{name}")).collect::<Vec<_>>().join(", ")
    };
    let sql = sql::FOLD_DIFFERENCES
        .replace("{columns of m}", &columns("m"))
        .replace("{columns of k}", &columns("k"));
    let rows = client
        .query(&sql, &[&i64::from(range.start()), &i64::from(range.end())])
        .await
        .database("compare the current state with the history")?;
    for row in &rows {
        let (key, problem): (&str, &str) = (get(row, "ledger_key_hash")?, get(row, "problem")?);
        let differences: i64 = get(row, "differences")?;
        verification.findings.push(Finding {
            start_ledger: None,
            end_ledger: None,
            problem: format!("current state: key {key} {problem} ({differences} keys differ)"),
        });
    }
    Ok(())
}

/// Assets that are not those of their contracts.
async fn find_false_assets(client: &Client, verification: &mut Verification) -> Result<()> {
    let rows = client.query(sql::FALSE_ASSETS, &[]).await.database("compare assets with their contracts")?;
    for row in &rows {
        let (contract, asset): (&str, &str) = (get(row, "contract_id")?, get(row, "asset")?);
        verification.findings.push(Finding {
            start_ledger: None,
            end_ledger: None,
            problem: format!(
                "assets: {contract} is not the contract of {asset}; contract_data.refresh_current_states() forgets it"
            ),
        });
    }
    Ok(())
}
