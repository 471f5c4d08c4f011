//! Migrate: brings the schema up to date, writes its settings once, and grants the rights of loader and reader.

use super::client::Client;
use super::connect::connect;
use super::patience::LONG_WORK;
use super::row::get;
use super::settings::Settings;
use super::transaction::{begin, commit};
use super::{functions, schema, sql};
use crate::config::{Config, DEFAULT_PARTITION_LEDGERS};
use crate::error::{DatabaseContext, Error, Result};

/// What the transaction after the migrations commits.
const COMMIT: &str = "commit the settings, functions and grants";

/// What `migrate` did, or would do.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Migration {
    /// Schema version before; 0 means no schema.
    pub from: u32,
    /// Schema version that this loader requires.
    pub to: u32,
    /// Names of the migrations in between, in order.
    pub applied: Vec<String>,
    /// Names of the functions and views that differed from this release; empty if there was no schema.
    pub functions: Vec<String>,
    /// What to do about ledgers that an earlier release loaded.
    pub advice: Option<String>,
}

/// From this version on, the rows of one ledger have an order that every lake of a network shares.
const SHARED_ORDER: u32 = 6;

/// From this version on, the database notes which ledgers are folded.
const NOTED: u32 = 7;

/// Brings the schema up to date: applies the missing migrations; then, in one transaction, writes the settings once,
/// puts functions and views in place, and grants loader and reader their rights. Safe beside another `migrate` and beside
/// loaders. If the schema is newer than this loader, its functions and grants stay.
///
/// # Errors
/// [`Error::Database`]; [`Error::Schema`] when the database has another network, another partition size, a newer schema or
/// another encoding than UTF8.
pub async fn migrate(config: &Config) -> Result<Migration> {
    // One migration at a time. The lock is held by a transaction on a separate connection, because each migration is a
    // transaction too.
    let mut lock = connect(&config.database).await?;
    let mut client = connect(&config.database).await?;
    client.limit(LONG_WORK).await?;
    let held = begin(&mut lock).await?;
    held.batch_execute(
        "set local idle_in_transaction_session_timeout = 0;
         select pg_advisory_xact_lock(hashtextextended('contract_data.migrate', 0))",
    )
    .await
    .database("lock the schema")?;

    let mut migration = pending(&client).await?;
    if !migration.applied.is_empty() {
        create_schema(&client).await?;
        let mut runner = schema::migrations::runner();
        runner.set_migration_table_name(schema::HISTORY);
        let migrated =
            client.lend(async |client| runner.run_async(client).await).await.database("migrate")?;
        migrated.map_err(|e| Error::Database { action: "migrate", transient: false, source: e.into() })?;
    }
    let replaced = complete(&mut client, config, &migration).await?;
    if (1..SHARED_ORDER).contains(&migration.from) {
        migration.advice = reload_advice(&client).await?;
    }
    if migration.from > 0 {
        migration.functions = replaced;
    }
    Ok(migration)
}

/// How to give the rows of loaded ledgers the order that every lake shares; `None` if none is loaded.
async fn reload_advice(client: &Client) -> Result<Option<String>> {
    let loaded = client
        .query_one(
            "select min(start_ledger) as first, max(end_ledger) as last from contract_data.ingestion_progress
             where status = 'completed' and start_ledger >= (select coalesce(retained_from, 0) from contract_data.settings)",
            &[],
        )
        .await
        .database("look for loaded ledgers")?;
    let ends = get::<Option<i64>>(&loaded, "first")?.zip(get::<Option<i64>>(&loaded, "last")?);
    Ok(ends.map(|(first, last)| {
        format!(
            "Ledgers {first}-{last} were loaded before every lake sent the rows of a ledger in the same order. Their state is the same; \
             to load their rows anew in that order: ingestctl replay -s {first} -e {last} --force"
        )
    }))
}

/// Everything after the migrations. Returns the functions and views that it replaced.
async fn complete(client: &mut Client, config: &Config, migration: &Migration) -> Result<Vec<String>> {
    let partition_ledgers = i64::from(config.partition_ledgers.unwrap_or(DEFAULT_PARTITION_LEDGERS));
    let tx = begin(client).await?;
    tx.execute(
        "insert into contract_data.settings (network, partition_ledgers) values ($1, $2) on conflict do nothing",
        &[&config.network.name, &partition_ledgers],
    )
    .await
    .database("write the settings")?;
    tx.execute(
        "update contract_data.settings set network_id = $1 where network_id is null and network = $2",
        &[&config.network.id().as_slice(), &config.network.name],
    )
    .await
    .database("write the id of the network")?;
    Settings::checked(tx.client(), config).await?;
    if migration.from > migration.to {
        return Ok(Vec::new());
    }
    let replaced = functions::apply(&tx).await?;
    if (1..NOTED).contains(&migration.from) {
        // A loader of the release before may have folded windows until now.
        tx.execute("select pg_advisory_xact_lock(hashtextextended('contract_data.fold', 0))", &[])
            .await
            .database("wait for folds")?;
        tx.execute(sql::RECOUNT_FOLDED, &[]).await.database("note the folded ledgers")?;
    }
    tx.execute(
        "insert into contract_data.contract_assets (contract_id, asset_type, learnt_from)
         values ($1, 'native', 'network') on conflict do nothing",
        &[&config.network.native_contract()?],
    )
    .await
    .database("write the native asset")?;
    tx.batch_execute(sql::GRANTS).await.database("grant the rights of the roles")?;
    commit(tx, COMMIT).await?;
    let differing = functions::differing(client).await?;
    if differing.is_empty() {
        return Ok(replaced);
    }
    Err(Error::Database {
        action: COMMIT,
        transient: true,
        source: format!(
            "COMMIT succeeded, but these functions differ from what was written: {}",
            differing.join(", ")
        )
        .into(),
    })
}

/// Creates the schema if it is missing. If it exists, the owner needs no right to create schemas.
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
    let mut migration = pending(&client).await?;
    if migration.from > 0 {
        Settings::checked(&client, config).await?;
    }
    if migration.from == migration.to {
        migration.functions = functions::differing(&client).await?;
    }
    Ok(migration)
}

/// The migrations between the database and this loader.
async fn pending(client: &Client) -> Result<Migration> {
    let encoding = client.encoding();
    if encoding != "UTF8" {
        return Err(Error::Schema(format!(
            "its encoding is {encoding}, which cannot hold every text of the chain: create a database with `encoding 'UTF8' \
             template template0`"
        )));
    }
    let from = schema::version(client).await?;
    let mut missing: Vec<_> = schema::migrations::runner()
        .get_migrations()
        .iter()
        .filter(|m| m.version().unsigned_abs() > from)
        .map(|m| (m.version(), m.to_string()))
        .collect();
    missing.sort();
    let applied = missing.into_iter().map(|(_, name)| name).collect();
    Ok(Migration { from, to: schema::newest(), applied, functions: Vec::new(), advice: None })
}
