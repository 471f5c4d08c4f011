//! The settings of a database, and the check that this loader may use it.

use uuid::Uuid;

use super::client::Client;
use super::row::get;
use super::{schema, sql};
use crate::config::Config;
use crate::contract::window::LedgerWindow;
use crate::error::{DatabaseContext, Error, Result};

/// The settings of the database.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Identifies this database.
    pub(crate) database_id: Uuid,
    /// Ledgers per partition.
    pub(crate) partition_ledgers: u32,
    /// Where the schedule begins, as stored by the first scheduled run.
    pub(crate) schedule_start: Option<u32>,
    /// What tells another chain apart.
    pub(crate) fingerprint: Option<StoredFingerprint>,
    /// The first retained ledger; 0 if everything is kept.
    pub(crate) retained_from: u32,
}

/// A ledger loaded early on, and what it must be.
#[derive(Debug, Clone)]
pub(crate) struct StoredFingerprint {
    /// The ledger.
    pub(crate) ledger: u32,
    /// The digest of its changes.
    pub(crate) digest: String,
    /// The hash of its header, once a source has said it.
    pub(crate) hash: Option<String>,
}

impl Settings {
    /// Reads the settings, and refuses a database that this loader must not use.
    ///
    /// # Errors
    /// [`Error::Schema`] when the schema is missing, too old or too new for this loader; when the database holds
    /// another network; when `PARTITION_LEDGERS` contradicts it.
    pub(crate) async fn checked(client: &Client, config: &Config) -> Result<Self> {
        let version = schema::version(client).await?;
        let wanted = schema::newest();
        if version == 0 {
            return Err(Error::Schema(format!(
                "{} has no schema yet: run `ingestctl migrate`",
                config.database.describe()
            )));
        }
        if version < wanted {
            return Err(Error::Schema(format!(
                "the schema has version {version}, this loader requires {wanted}: run `ingestctl migrate`"
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
                "the schema (version {version}) requires a loader for version {oldest_loader} or later, this one is for {wanted}: \
                 upgrade the loader"
            )));
        }
        let network: String = get(&row, "network")?;
        if network != config.network.name {
            return Err(Error::Schema(format!(
                "{} holds {network}, but NETWORK is {}: use another database",
                config.database.describe(),
                config.network.name
            )));
        }
        let id: Option<&[u8]> = get(&row, "network_id")?;
        if id.is_some_and(|id| id != config.network.id()) {
            return Err(Error::Schema(format!(
                "{} holds a {network} of another passphrase than NETWORK_PASSPHRASE: use another database",
                config.database.describe()
            )));
        }
        let stored: i64 = get(&row, "partition_ledgers")?;
        let partition_ledgers = u32::try_from(stored).map_err(|_| {
            Error::Schema(format!("settings.partition_ledgers is {stored}, which is not a number of ledgers"))
        })?;
        if let Some(configured) = config.partition_ledgers.filter(|c| *c != partition_ledgers) {
            return Err(Error::Schema(format!(
                "the database has partitions of {partition_ledgers} ledgers, but PARTITION_LEDGERS is {configured}: unset it"
            )));
        }
        let schedule_start = get::<Option<i64>>(&row, "schedule_start")?.and_then(|s| u32::try_from(s).ok());
        let ledger = get::<Option<i64>>(&row, "fingerprint_ledger")?.and_then(|l| u32::try_from(l).ok());
        let fingerprint = match ledger.zip(get(&row, "fingerprint_digest")?) {
            Some((ledger, digest)) => {
                Some(StoredFingerprint { ledger, digest, hash: get(&row, "fingerprint_hash")? })
            }
            None => None,
        };
        let retained_from = get::<Option<i64>>(&row, "retained_from")?.and_then(|r| u32::try_from(r).ok());
        Ok(Settings {
            database_id: get(&row, "database_id")?,
            partition_ledgers,
            schedule_start,
            fingerprint,
            retained_from: retained_from.unwrap_or(0),
        })
    }

    /// The retained part of a range.
    ///
    /// # Errors
    /// [`Error::Usage`] when no ledger of it is retained.
    pub(crate) fn retained(&self, range: LedgerWindow) -> Result<LedgerWindow> {
        range.from(self.retained_from).ok_or_else(|| {
            Error::Usage(format!(
                "ledgers {range} are not retained: this database keeps ledgers from {} on; older loaded ledgers are only in \
                 the archive",
                self.retained_from
            ))
        })
    }
}

/// The current first retained ledger; 0 if everything is kept.
pub(crate) async fn retained_from(client: &Client) -> Result<u32> {
    let row = client
        .query_one("select coalesce(retained_from, 0) as ledger from contract_data.settings", &[])
        .await
        .database("read the retention boundary")?;
    u32::try_from(get::<i64>(&row, "ledger")?)
        .map_err(|e| Error::Schema(format!("settings.retained_from: {e}")))
}

/// Stores where the schedule begins, unless an earlier run has; returns what is stored.
pub(crate) async fn store_schedule_start(client: &Client, ledger: u32) -> Result<u32> {
    let row = client
        .query_one("select contract_data.store_schedule_start($1) as schedule_start", &[&i64::from(ledger)])
        .await
        .database("store where the schedule begins")?;
    u32::try_from(get::<i64>(&row, "schedule_start")?)
        .map_err(|e| Error::Schema(format!("settings.schedule_start: {e}")))
}

/// Stores the fingerprint of the first ledger with rows, unless one is stored already.
pub(crate) async fn store_fingerprint(client: &Client) -> Result<()> {
    let Some(row) =
        client.query_opt(sql::FINGERPRINT_CANDIDATE, &[]).await.database("choose the fingerprint")?
    else {
        return Ok(());
    };
    let ledger = LedgerWindow::from_row(get(&row, "ledger")?, get(&row, "ledger")?)?.start();
    let digest = fingerprint(client, ledger).await?;
    client
        .execute("select contract_data.store_fingerprint($1, $2)", &[&i64::from(ledger), &digest])
        .await
        .database("store the fingerprint")
        .map(drop)
}

/// Adds the hash of the header of the fingerprint's ledger.
pub(crate) async fn store_fingerprint_hash(client: &Client, ledger: u32, hash: &str) -> Result<()> {
    client
        .execute("select contract_data.store_fingerprint_hash($1, $2)", &[&i64::from(ledger), &hash])
        .await
        .database("store the hash of the fingerprint")
        .map(drop)
}

/// The fingerprint of a loaded ledger, from its entries.
pub(crate) async fn fingerprint(client: &Client, ledger: u32) -> Result<String> {
    let row = client
        .query_one(sql::LEDGER_FINGERPRINT, &[&i64::from(ledger)])
        .await
        .database("read the fingerprint of a ledger")?;
    get(&row, "fingerprint")
}
