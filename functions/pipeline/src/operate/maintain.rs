//! Maintenance: the schema owner's regular work, safe while loaders load and analysts read.

use std::time::Duration;

use super::maintenance::Maintenance;
use super::{left_overs, retention, strays};
use crate::config::Config;
use crate::database::settings::Settings;
use crate::database::{Client, Limits, connect, get, sql, try_lock};
use crate::error::{DatabaseContext, Result};

/// Partitions created in advance.
const PARTITIONS_AHEAD: i64 = 2;

/// Short lock waits: a step that has to wait longer is left to the next maintenance.
const BRIEF_WAITS: Limits = Limits { lock: Duration::from_secs(5), statement: Duration::from_secs(15 * 60) };

/// Creates the partitions for the next ledgers; drops those beyond `RETAIN_LEDGERS` and `RETAIN_DAYS`; updates BRIN
/// summaries and statistics; removes left-overs from staging/, and moves superseded objects out of the archive. Safe beside loaders and long queries, and if it is
/// killed: the next one continues. `dry_run` writes nothing and reports what would be done.
///
/// # Errors
/// [`crate::Error::Database`], [`crate::Error::Schema`]; [`crate::Error::Staging`], after everything else is done.
pub async fn maintain(config: &Config, dry_run: bool) -> Result<Maintenance> {
    let client = connect(&config.database).await?;
    let stored = Settings::checked(&client, config).await?;
    if dry_run {
        return perform(&client, config, &stored, true).await;
    }
    let mut lock = connect(&config.database).await?;
    // One maintenance at a time. The lock has its own session, because DETACH CONCURRENTLY must not run in a
    // transaction.
    let Some(held) = try_lock(&mut lock, "contract_data.maintain").await? else {
        let mut maintenance = Maintenance::default();
        maintenance.postpone("everything", "another maintenance is running");
        return Ok(maintenance);
    };
    let outcome = perform(&client, config, &stored, false).await;
    // Unlock now, because a host that is frozen after the answer would delay the end of the connection.
    if let Err(error) = held.rollback().await.database("unlock the maintenance") {
        tracing::warn!(error = %error.chain(), "the maintenance lock lasts until its connection ends");
    }
    outcome
}

/// The work of [`maintain`].
async fn perform(client: &Client, config: &Config, stored: &Settings, dry_run: bool) -> Result<Maintenance> {
    let mut maintenance = Maintenance { dry_run, ..Maintenance::default() };
    client.limit(BRIEF_WAITS).await?;
    make_partitions(client, &mut maintenance).await?;
    let boundary = retention::apply(client, config, stored, &mut maintenance).await?;
    if !dry_run {
        tend(client, &mut maintenance).await?;
    }
    left_overs::remove(client, config, stored, boundary, &mut maintenance).await?;
    strays::move_aside(client, config, stored, &mut maintenance).await?;
    tracing::info!(
        step = "maintain",
        dry_run,
        made = maintenance.made.len(),
        tended = maintenance.tended.len(),
        retained_from = maintenance.retained_from,
        dropped = maintenance.dropped.len(),
        removed = maintenance.removed.len(),
        moved_aside = maintenance.moved_aside.len(),
        strays = maintenance.strays.len(),
        postponed = maintenance.postponed.len(),
        "maintained"
    );
    Ok(maintenance)
}

/// Creates the partitions for the next ledgers.
async fn make_partitions(client: &Client, maintenance: &mut Maintenance) -> Result<()> {
    let row = client.query_one(sql::NEWEST_LEDGER, &[]).await.database("read the newest ledger")?;
    let Some(newest) = get::<Option<i64>>(&row, "ledger")? else { return Ok(()) };
    let size: i64 = get(&row, "partition_ledgers")?;
    let there = retained_partitions(client).await?;
    for ahead in 0..=PARTITIONS_AHEAD {
        let ledger = newest + ahead * size;
        if ledger > i64::from(u32::MAX) {
            break;
        }
        let names = ["entries", "ttl_changes"].map(|parent| format!("{parent}_{:010}", ledger / size * size));
        let made_before = names.iter().all(|name| there.contains(name));
        let [name, _] = names;
        if !made_before {
            if !maintenance.dry_run {
                let made = client
                    .execute("select contract_data.ensure_partition($1)", &[&ledger])
                    .await
                    .database("create the partition");
                if maintenance.unless_busy(format!("partition {name}"), made)?.is_none() {
                    continue;
                }
            }
            maintenance.made.push(name.clone());
        }
        maintenance.partitions.push(name);
    }
    Ok(())
}

/// Updates summaries and statistics of every partition that needs it, whichever process filled it, and once a day of
/// the whole table.
async fn tend(client: &Client, maintenance: &mut Maintenance) -> Result<()> {
    const TEND: &str = "summarise and analyse the partition";
    client.limit(BRIEF_WAITS).await?;
    let partitions = retained_partitions(client).await?;
    for partition in &partitions {
        let table = format!("contract_data.{partition}");
        let row = client
            .query_one("select contract_data.tend_table($1::text::regclass) as tended", &[&table])
            .await
            .database(TEND);
        if let Some(row) = maintenance.unless_busy(format!("summaries and statistics of {partition}"), row)?
            && get(&row, "tended")?
        {
            maintenance.tended.push(partition.clone());
        }
    }
    for parent in ["entries", "ttl_changes"] {
        let row = client
            .query_one(
                "select not exists (select from pg_stat_all_tables
                   where relid = ('contract_data.' || $1)::regclass and last_analyze > now() - interval '1 day') as due",
                &[&parent],
            )
            .await
            .database(TEND)?;
        if !partitions.is_empty() && get(&row, "due")? {
            let analyse = format!("analyze contract_data.{parent}");
            let analysed = client.batch_execute(&analyse).await.database(TEND);
            maintenance.unless_busy(format!("statistics of {parent}"), analysed)?;
        }
    }
    Ok(())
}

/// The names of the retained partitions, lowest first.
async fn retained_partitions(client: &Client) -> Result<Vec<String>> {
    let rows = client.query(sql::RETAINED_PARTITIONS, &[]).await.database("read the partitions")?;
    rows.iter().map(|row| get(row, "partition")).collect()
}
