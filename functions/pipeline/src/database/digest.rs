//! The digest of stored rows, from the database's own COPY BINARY.

use super::binary::BinaryRows;
use super::client::Client;
use super::sql;
use crate::contract::tables::Table;
use crate::contract::tuples::RowsDigest;
use crate::contract::window::LedgerWindow;
use crate::error::Result;

/// Where the rows of a table are stored. An asset is a fact of the network: it is stored once, and not its rows.
pub(crate) fn relation(table: Table) -> &'static str {
    match table {
        Table::Data => "contract_data.entries",
        Table::Ttl => "contract_data.ttl_changes",
        Table::Assets => "contract_data.contract_assets",
    }
}

/// The digest of a window's rows of a table that stores them, from the database's own COPY BINARY.
pub(crate) async fn rows_digest(client: &Client, table: Table, window: LedgerWindow) -> Result<String> {
    digest_of(client, table, relation(table), window).await
}

/// The digest of the rows of some ledgers in a relation that has the columns of a table.
pub(crate) async fn digest_of(
    client: &Client,
    table: Table,
    relation: &str,
    window: LedgerWindow,
) -> Result<String> {
    let sql = sql::ROWS_BINARY
        .replace("{table}", relation)
        .replace("{columns}", &table.staged_columns().collect::<Vec<_>>().join(", "))
        .replace("{start}", &window.start().to_string())
        .replace("{end}", &window.end().to_string());
    let mut rows = BinaryRows::begin(client, &sql, "read the rows of a window").await?;
    let mut digest = RowsDigest::new(table);
    while let Some(fields) = rows.next().await? {
        digest.tuple(fields);
    }
    Ok(digest.finish())
}
