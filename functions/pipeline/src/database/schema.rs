//! The schema: the version that this loader requires, and the version of a database.

use super::client::Client;
use super::row::get;
use crate::error::{DatabaseContext, Result};

refinery::embed_migrations!("../../sql/migrations");

/// Refinery's table of applied migrations.
pub(super) const HISTORY: &str = "contract_data.schema_history";

/// The version that this loader's SQL is written for.
pub(super) fn newest() -> u32 {
    migrations::runner().get_migrations().iter().map(|m| m.version().unsigned_abs()).max().unwrap_or(0)
}

/// The schema version of the database, 0 if it has none.
pub(super) async fn version(client: &Client) -> Result<u32> {
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
