//! Adoption: a database that was restored takes over the archive of the one that was lost.

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use crate::config::Config;
use crate::database::connect;
use crate::database::settings::Settings;
use crate::error::Result;
use crate::store::Store;
use crate::store::mark::{Mark, first_writer, leave_mark, read_mark, replace_mark};

/// The result of an adoption.
#[derive(Debug, Clone, Serialize)]
pub struct Adoption {
    /// The archive.
    pub archive: String,
    /// The network.
    pub network: String,
    /// The database that it belongs to now.
    pub database_id: Uuid,
    /// The database that it belonged to; the same if there was nothing to do, `None` if it belonged to none.
    pub before: Option<Uuid>,
    /// Since when, if it had a mark.
    pub since: Option<DateTime<Utc>>,
}

/// Makes the archive under `STAGING_URL` that of this database. The objects stay; the next run of the database that it
/// belonged to is refused.
///
/// # Errors
/// [`crate::Error::Database`], [`crate::Error::Schema`], [`crate::Error::Staging`].
pub async fn adopt_archive(config: &Config) -> Result<Adoption> {
    let client = connect(&config.database).await?;
    let database_id = Settings::checked(&client, config).await?.database_id;
    let store = Store::open(&config.staging, config.max_retries)?;
    let network = &config.network.name;
    let mark = read_mark(&store, network).await?;
    let writer = match mark {
        Some(_) => None,
        // Releases before the mark have left objects without one.
        None => first_writer(&store, network).await?.map(|(writer, _)| writer),
    };
    let before = mark.as_ref().map(|mark| mark.database_id).or(writer);
    let since = mark.as_ref().map(|mark| mark.since);
    match (mark, writer) {
        (Some(mark), _) if mark.database_id == database_id => {}
        (Some(mark), _) => replace_mark(&store, network, &mark.adopted_by(database_id)).await?,
        (None, Some(writer)) => {
            replace_mark(&store, network, &Mark::of(writer).adopted_by(database_id)).await?;
        }
        (None, None) => drop(leave_mark(&store, network, Mark::of(database_id)).await?),
    }
    tracing::info!(step = "adopt", %database_id, before = before.map(|id| id.to_string()), "adopted the archive");
    Ok(Adoption { archive: store.url_of("archive"), network: network.clone(), database_id, before, since })
}
