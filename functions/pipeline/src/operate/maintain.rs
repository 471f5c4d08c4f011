//! Maintenance: what the owner of the schema does beside the loaders, safely while they load and analysts read.

use tokio_postgres::Client;

use super::maintenance::Maintenance;
use super::{left_overs, retention};
use crate::config::Config;
use crate::database::settings::Settings;
use crate::database::{connect, get, sql, try_lock};
use crate::error::{DatabaseContext, Result};

/// Partitions made before they are needed.
const PARTITIONS_AHEAD: i64 = 2;

/// The longest wait for a lock that another session holds. What takes longer is left to the next maintenance.
const BRIEF_WAITS: &str = "set lock_timeout = '5s'; set statement_timeout = '15min'";

/// Makes the partitions that the next ledgers fall in; drops those that `RETAIN_LEDGERS` and `RETAIN_DAYS` let go; summarises
/// and analyses those that want it; removes what nobody will load from staging/. Safe beside loaders and long queries, and
/// wherever it is killed: the next one goes on. `dry_run` writes nothing and says what would go.
///
/// # Errors
/// [`Error::Database`], [`Error::Schema`]; [`Error::Staging`], after all the rest is done.
pub async fn maintain(config: &Config, dry_run: bool) -> Result<Maintenance> {
    let client = connect(&config.database).await?;
    let stored = Settings::checked(&client, config).await?;
    if dry_run {
        return perform(&client, config, &stored, true).await;
    }
    let mut lock = connect(&config.database).await?;
    // One maintenance at a time. The lock's session is not that of the work: a DETACH CONCURRENTLY may not be in a transaction.
    let Some(held) = try_lock(&mut lock, "contract_data.maintain").await? else {
        let mut maintenance = Maintenance::default();
        maintenance.postpone("everything", "another maintenance is at work");
        return Ok(maintenance);
    };
    let outcome = perform(&client, config, &stored, false).await;
    // Not left to the end of the connection, which a host that is frozen after the answer would put off.
    if let Err(error) = held.rollback().await.database("unlock the maintenance") {
        tracing::warn!(error = %error.chain(), "the lock of the maintenance lasts until its connection ends");
    }
    outcome
}

/// The work of [`maintain`].
async fn perform(client: &Client, config: &Config, stored: &Settings, dry_run: bool) -> Result<Maintenance> {
    let mut maintenance = Maintenance { dry_run, ..Maintenance::default() };
    client.batch_execute(BRIEF_WAITS).await.database("prepare the maintenance")?;
    make_partitions(client, &mut maintenance).await?;
    let boundary = retention::apply(client, config, stored, &mut maintenance).await?;
    if !dry_run {
        tend(client, &mut maintenance).await?;
    }
    left_overs::remove(client, config, stored, boundary, &mut maintenance).await?;
    tracing::info!(
        step = "maintain",
        dry_run,
        made = maintenance.made.len(),
        tended = maintenance.tended.len(),
        retained_from = maintenance.retained_from,
        dropped = maintenance.dropped.len(),
        removed = maintenance.removed.len(),
        postponed = maintenance.postponed.len(),
        "maintained"
    );
    Ok(maintenance)
}

/// Makes the partitions that the next ledgers fall in.
async fn make_partitions(client: &Client, maintenance: &mut Maintenance) -> Result<()> {
    let row = client.query_one(sql::NEWEST_LEDGER, &[]).await.database("read where the next rows go")?;
    let Some(newest) = get::<Option<i64>>(&row, "ledger")? else { return Ok(()) };
    let size: i64 = get(&row, "partition_ledgers")?;
    let there = retained_partitions(client).await?;
    for ahead in 0..=PARTITIONS_AHEAD {
        let ledger = newest + ahead * size;
        if ledger > i64::from(u32::MAX) {
            break;
        }
        let name = format!("entries_{:010}", ledger / size * size);
        if !there.contains(&name) {
            if !maintenance.dry_run {
                let made = client
                    .execute("select contract_data.ensure_partition($1)", &[&ledger])
                    .await
                    .database("make the partition");
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

/// Summaries and statistics of every partition that wants some, whoever filled it, and once a day of all together.
async fn tend(client: &Client, maintenance: &mut Maintenance) -> Result<()> {
    const TEND: &str = "summarise and analyse the partition";
    client.batch_execute(BRIEF_WAITS).await.database(TEND)?;
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
    let row = client
        .query_one(
            "select not exists (select from pg_stat_all_tables
               where relid = 'contract_data.entries'::regclass and last_analyze > now() - interval '1 day') as due",
            &[],
        )
        .await
        .database(TEND)?;
    if !partitions.is_empty() && get(&row, "due")? {
        let analysed = client.batch_execute("analyze contract_data.entries").await.database(TEND);
        maintenance.unless_busy("statistics of entries", analysed)?;
    }
    Ok(())
}

/// The names of the partitions that are retained, lowest first.
async fn retained_partitions(client: &Client) -> Result<Vec<String>> {
    let rows = client.query(sql::RETAINED_PARTITIONS, &[]).await.database("read the partitions")?;
    rows.iter().map(|row| get(row, "partition")).collect()
}
