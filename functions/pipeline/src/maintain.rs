//! Maintenance: what the owner of the schema does beside the loaders, safely while they load and analysts read.

use serde::Serialize;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::config::Config;
use crate::database::{connect, get, try_lock};
use crate::error::{DatabaseContext, Error, Result};
use crate::migrate::{Settings, settings};

mod left_overs;
mod retention;

/// Partitions made before they are needed.
const PARTITIONS_AHEAD: i64 = 2;

/// The longest wait for a lock that another session holds. What takes longer is left to the next maintenance.
const BRIEF_WAITS: &str = "set lock_timeout = '5s'; set statement_timeout = '15min'";

/// What a maintenance did, or, dry, would do.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Maintenance {
    /// Nothing was written: what follows would be done.
    pub dry_run: bool,
    /// The partition in use and those ahead of it: all there now.
    pub partitions: Vec<String>,
    /// Those of them that this maintenance made.
    pub made: Vec<String>,
    /// Partitions that got BRIN summaries or statistics, for some were missing or old.
    pub tended: Vec<String>,
    /// First ledger of the history that is kept; `None` keeps everything.
    pub retained_from: Option<i64>,
    /// Partitions that were dropped.
    pub dropped: Vec<DroppedPartition>,
    /// Objects that were removed from staging/.
    pub removed: Vec<LeftOver>,
    /// What could not be done now: the next maintenance goes on with it.
    pub postponed: Vec<Postponed>,
}

/// A partition below the retained ledgers.
#[derive(Debug, Clone, Serialize)]
pub struct DroppedPartition {
    /// Its name.
    pub partition: String,
    /// Rows, as the windows in it were recorded.
    pub rows: i64,
    /// Bytes on disk, indexes included.
    pub bytes: i64,
}

/// An object in staging/ that nobody will load.
#[derive(Debug, Clone, Serialize)]
pub struct LeftOver {
    /// Its name, relative to the staging URL.
    pub object: String,
    /// Its size.
    pub bytes: u64,
    /// Why nobody will.
    pub why: &'static str,
}

/// Something that another session is in the way of. No error: it passes.
#[derive(Debug, Clone, Serialize)]
pub struct Postponed {
    /// What was to be done.
    pub what: String,
    /// Why it could not be.
    pub why: String,
}

impl Maintenance {
    /// Leaves something to the next maintenance.
    fn postpone(&mut self, what: impl Into<String>, why: impl Into<String>) {
        let postponed = Postponed { what: what.into(), why: why.into() };
        tracing::warn!(step = "maintain", what = %postponed.what, why = %postponed.why, "postponed");
        self.postponed.push(postponed);
    }

    /// The outcome of a step; one that only another session was in the way of is postponed, and `None`.
    fn unless_busy<T>(&mut self, what: impl Into<String>, outcome: Result<T>) -> Result<Option<T>> {
        match outcome {
            Ok(done) => Ok(Some(done)),
            Err(error) if is_busy(&error) => {
                self.postpone(what, error.chain());
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// Makes the partitions that the next ledgers fall in; drops those that `RETAIN_LEDGERS` and `RETAIN_DAYS` let go; summarises
/// and analyses those that want it; removes what nobody will load from staging/. Safe beside loaders and long queries, and
/// wherever it is killed: the next one goes on. `dry_run` writes nothing and says what would go.
///
/// # Errors
/// [`Error::Database`], [`Error::Schema`]; [`Error::Staging`], after all the rest is done.
pub async fn maintain(config: &Config, dry_run: bool) -> Result<Maintenance> {
    let client = connect(&config.database).await?;
    let stored = settings(&client, config).await?;
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
    let row = client
        .query_one(include_str!("../../../sql/loader/newest_ledger.sql"), &[])
        .await
        .database("read where the next rows go")?;
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
    let rows = client
        .query(include_str!("../../../sql/loader/retained_partitions.sql"), &[])
        .await
        .database("read the partitions")?;
    rows.iter().map(|row| get(row, "partition")).collect()
}

/// Whether all that went wrong is that another session was in the way for too long.
fn is_busy(error: &Error) -> bool {
    let Error::Database { source, .. } = error else { return false };
    let code = source.downcast_ref::<tokio_postgres::Error>().and_then(tokio_postgres::Error::code);
    [SqlState::LOCK_NOT_AVAILABLE, SqlState::QUERY_CANCELED].iter().any(|busy| code == Some(busy))
}
