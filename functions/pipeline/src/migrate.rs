//! The schema: migrations, the one row of settings, and the refusal of databases that are not ours to write to.

use tokio_postgres::Client;
use uuid::Uuid;

use crate::config::{Config, DEFAULT_PARTITION_LEDGERS};
use crate::database::{connect, get};
use crate::error::{DatabaseContext, Error, Result};
use crate::window::LedgerWindow;

/// The migrations, embedded.
mod embedded {
    refinery::embed_migrations!("../../sql/migrations");
}

/// Where refinery keeps what it has applied.
const HISTORY: &str = "contract_data.schema_history";

/// What loader and reader may do.
const GRANTS: &str = include_str!("../../../sql/loader/grants.sql");

/// What a `migrate` did, or would do.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Migration {
    /// Version of the schema before; 0 is none.
    pub from: u32,
    /// Version of the schema that this loader wants.
    pub to: u32,
    /// Names of the migrations between, in order.
    pub applied: Vec<String>,
}

/// What the database is for.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Tells this database from any other.
    pub(crate) database_id: Uuid,
    /// Ledgers per partition.
    pub(crate) partition_ledgers: u32,
    /// Where the schedule begins, once the first scheduled run has said so.
    pub(crate) schedule_start: Option<u32>,
    /// A ledger loaded early on, and the digest of its rows.
    pub(crate) fingerprint: Option<(u32, String)>,
    /// The first ledger of the history that is kept; 0 where everything is.
    pub(crate) retained_from: u32,
}

impl Settings {
    /// The retained part of a range.
    ///
    /// # Errors
    /// [`Error::Usage`], in words, when nothing of it is.
    pub(crate) fn retained(&self, range: LedgerWindow) -> Result<LedgerWindow> {
        range.from(self.retained_from).ok_or_else(|| {
            Error::Usage(format!(
                "ledgers {range} are not retained: this database keeps ledgers from {} on; what was loaded before stays in \
                 the archive",
                self.retained_from
            ))
        })
    }
}

/// The version that this loader's SQL is written for.
fn newest_version() -> u32 {
    embedded::migrations::runner()
        .get_migrations()
        .iter()
        .map(|m| m.version().unsigned_abs())
        .max()
        .unwrap_or(0)
}

/// Brings the schema up to date, writes the settings, once, and grants loader and reader what they may do. Safe beside another `migrate`, and beside loaders.
///
/// # Errors
/// [`Error::Database`]; [`Error::Schema`] when the database is of another network, partition size or future.
pub async fn migrate(config: &Config) -> Result<Migration> {
    // One migration at a time: the lock is a transaction's, on a connection of its own, because each migration is one too.
    let mut lock = connect(&config.database).await?;
    let held = lock.transaction().await.database("lock the schema")?;
    held.batch_execute("select pg_advisory_xact_lock(hashtextextended('contract_data.migrate', 0))")
        .await
        .database("lock the schema")?;

    let mut client = connect(&config.database).await?;
    let migration = pending(&client).await?;
    if !migration.applied.is_empty() {
        create_schema(&client).await?;
        let mut runner = embedded::migrations::runner();
        runner.set_migration_table_name(HISTORY);
        runner.run_async(&mut client).await.map_err(|e| Error::Database {
            action: "migrate",
            transient: false,
            source: e.into(),
        })?;
    }
    let partition_ledgers = i64::from(config.partition_ledgers.unwrap_or(DEFAULT_PARTITION_LEDGERS));
    client
        .execute(
            "insert into contract_data.settings (network, partition_ledgers) values ($1, $2) on conflict do nothing",
            &[&config.network.name, &partition_ledgers],
        )
        .await
        .database("write the settings")?;
    settings(&client, config).await?;
    client
        .execute(
            "insert into contract_data.contract_assets (contract_id, asset_type, learnt_from)
             values ($1, 'native', 'network') on conflict do nothing",
            &[&config.network.native_contract()?],
        )
        .await
        .database("write what is known of native")?;
    client.batch_execute(GRANTS).await.database("grant what the roles may do")?;
    Ok(migration)
}

/// Creates the schema if it is missing. Where it is there, the owner need not have the right to create any.
async fn create_schema(client: &Client) -> Result<()> {
    let row = client
        .query_one("select to_regnamespace('contract_data') is not null as there", &[])
        .await
        .database("look for the schema")?;
    if !get::<bool>(&row, "there")? {
        client
            .batch_execute("create schema if not exists contract_data")
            .await
            .database("create the schema")?;
    }
    Ok(())
}

/// What [`migrate`] would do, without doing it.
///
/// # Errors
/// As [`migrate`].
pub async fn check(config: &Config) -> Result<Migration> {
    let client = connect(&config.database).await?;
    let migration = pending(&client).await?;
    if migration.from > 0 {
        settings(&client, config).await?;
    }
    Ok(migration)
}

/// The migrations between the database and this loader.
async fn pending(client: &Client) -> Result<Migration> {
    let from = current_version(client).await?;
    let mut missing: Vec<_> = embedded::migrations::runner()
        .get_migrations()
        .iter()
        .filter(|m| m.version().unsigned_abs() > from)
        .map(|m| (m.version(), m.to_string()))
        .collect();
    missing.sort();
    let applied = missing.into_iter().map(|(_, name)| name).collect();
    Ok(Migration { from, to: newest_version(), applied })
}

/// The version of the schema in the database, 0 when there is none.
async fn current_version(client: &Client) -> Result<u32> {
    let exists = client
        .query_one("select to_regclass($1) is not null as there", &[&HISTORY])
        .await
        .database("look for the schema")?;
    if !get::<bool>(&exists, "there")? {
        return Ok(0);
    }
    let row = client
        .query_one(
            "select coalesce(max(version), 0)::bigint as version from contract_data.schema_history",
            &[],
        )
        .await
        .database("read the version of the schema")?;
    Ok(u32::try_from(get::<i64>(&row, "version")?).unwrap_or(u32::MAX))
}

/// Reads the settings, and refuses a database that this loader must not write to.
///
/// # Errors
/// [`Error::Schema`], in words, when the schema is missing, too old, or made for a later loader; when the database is of
/// another network; when `PARTITION_LEDGERS` contradicts it.
pub(crate) async fn settings(client: &Client, config: &Config) -> Result<Settings> {
    let version = current_version(client).await?;
    let wanted = newest_version();
    if version == 0 {
        return Err(Error::Schema(format!(
            "{} has no schema yet: run `ingestctl migrate`",
            config.database.describe()
        )));
    }
    if version < wanted {
        return Err(Error::Schema(format!(
            "the schema is at version {version}, this loader wants {wanted}: run `ingestctl migrate`"
        )));
    }
    let row = client
        .query_opt("select * from contract_data.settings", &[])
        .await
        .database("read the settings")?
        .ok_or_else(|| Error::Schema("the settings are empty: run `ingestctl migrate`".to_owned()))?;
    let oldest_loader = get::<i32>(&row, "oldest_loader")?.unsigned_abs();
    if oldest_loader > wanted {
        return Err(Error::Schema(format!(
            "the schema (version {version}) needs a loader for version {oldest_loader} at least, this one is for {wanted}: \
             upgrade the loader"
        )));
    }
    let network: String = get(&row, "network")?;
    if network != config.network.name {
        return Err(Error::Schema(format!(
            "{} holds {network}, NETWORK says {}: use another database",
            config.database.describe(),
            config.network.name
        )));
    }
    let stored: i64 = get(&row, "partition_ledgers")?;
    let partition_ledgers = u32::try_from(stored).map_err(|_| {
        Error::Schema(format!("settings.partition_ledgers is {stored}, which is no number of ledgers"))
    })?;
    if let Some(configured) = config.partition_ledgers.filter(|c| *c != partition_ledgers) {
        return Err(Error::Schema(format!(
            "the database has partitions of {partition_ledgers} ledgers, PARTITION_LEDGERS says {configured}: leave it unset"
        )));
    }
    let schedule_start = get::<Option<i64>>(&row, "schedule_start")?.and_then(|s| u32::try_from(s).ok());
    let ledger = get::<Option<i64>>(&row, "fingerprint_ledger")?.and_then(|l| u32::try_from(l).ok());
    let fingerprint = ledger.zip(get::<Option<String>>(&row, "fingerprint_digest")?);
    let retained_from = get::<Option<i64>>(&row, "retained_from")?.and_then(|r| u32::try_from(r).ok());
    Ok(Settings {
        database_id: get(&row, "database_id")?,
        partition_ledgers,
        schedule_start,
        fingerprint,
        retained_from: retained_from.unwrap_or(0),
    })
}
