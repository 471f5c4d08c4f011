//! What no single window shows: windows that overlap, rows without a window, and a current state that is not the fold of the
//! history.

use super::Verification;
use crate::contract::tables::Table;
use crate::contract::window::LedgerWindow;
use crate::database::{self, Client, get, progress, sql};
use crate::error::{DatabaseContext, Result};

/// Completed windows that share ledgers.
pub(super) async fn find_overlaps(client: &Client, verification: &mut Verification) -> Result<()> {
    let rows = client.query(sql::OVERLAPPING_WINDOWS, &[]).await.database("look for overlapping windows")?;
    for row in &rows {
        let window = database::window(row)?;
        let other = LedgerWindow::from_row(get(row, "other_start")?, get(row, "other_end")?)?;
        verification.find(window, format!("progress: overlaps the completed window {other}"));
    }
    Ok(())
}

/// Rows of ledgers that no completed window covers.
pub(super) async fn find_stray_rows(
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
            let relation: &str = get(row, "relation")?;
            let problem =
                format!("{relation}: {count} rows of ledger {ledger}, which no completed window covers");
            verification.find(LedgerWindow::from_row(ledger, ledger)?, problem);
        }
    }
    Ok(())
}

/// Keys whose state is not the newest change in the history.
pub(super) async fn find_fold_differences(
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
        verification.find_in_state(format!("current state: key {key} {problem} ({differences} keys differ)"));
    }
    Ok(())
}

/// Times to live that are not those of the history, and ledgers that are not noted as folded.
pub(super) async fn find_ttl_differences(
    client: &Client,
    range: LedgerWindow,
    verification: &mut Verification,
) -> Result<()> {
    let rows = client
        .query(sql::TTL_DIFFERENCES, &[&i64::from(range.start()), &i64::from(range.end())])
        .await
        .database("compare the times to live with the history")?;
    for row in &rows {
        let (key, problem): (&str, &str) = (get(row, "ledger_key_hash")?, get(row, "problem")?);
        let differences: i64 = get(row, "differences")?;
        verification.find_in_state(format!("time to live: key {key} {problem} ({differences} keys differ)"));
    }
    let rows = client
        .query(sql::FOLDED_DIFFERENCES, &[])
        .await
        .database("compare the folded ledgers with the windows")?;
    for row in &rows {
        let noted = [get::<&str>(row, "noted")?, get(row, "noted_with_ttls")?];
        let folded = [get::<&str>(row, "folded")?, get(row, "folded_with_ttls")?];
        verification.find_in_state(format!(
            "folded_ledgers: {} are noted, with times to live {}; the windows say {}, and {}; \
             contract_data.refresh_current_states() corrects it",
            noted[0], noted[1], folded[0], folded[1]
        ));
    }
    Ok(())
}

/// Assets that are not those of their contracts.
pub(super) async fn find_false_assets(client: &Client, verification: &mut Verification) -> Result<()> {
    let rows = client.query(sql::FALSE_ASSETS, &[]).await.database("compare assets with their contracts")?;
    for row in &rows {
        let (contract, asset): (&str, &str) = (get(row, "contract_id")?, get(row, "asset")?);
        verification.find_in_state(format!(
                "assets: {contract} is not the contract of {asset}; contract_data.refresh_current_states() forgets it"
            ));
    }
    Ok(())
}
