//! The digest of stored rows, from the database's own COPY BINARY.

use sha2::{Digest, Sha256};

use super::client::Client;
use super::sql;
use crate::contract::tables::Table;
use crate::contract::tuples::{HEADER, TRAILER};
use crate::contract::window::LedgerWindow;
use crate::contract::xdr::base16;
use crate::error::{DatabaseContext, Result};

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
    let sql = sql::ROWS_BINARY
        .replace("{table}", relation(table))
        .replace("{columns}", &table.staged_columns().collect::<Vec<_>>().join(", "))
        .replace("{start}", &window.start().to_string())
        .replace("{end}", &window.end().to_string());
    let mut rows = client.copy_out(&sql).await.database("read the rows of a window")?;
    let mut hash = Sha256::new();
    let mut header = HEADER.len();
    // The last message may contain only the trailer, so hashing stays one trailer length behind.
    let mut tail: Vec<u8> = Vec::new();
    while let Some(bytes) = rows.next().await.database("read the rows of a window")? {
        let skipped = header.min(bytes.len());
        header -= skipped;
        tail.extend_from_slice(&bytes[skipped..]);
        if tail.len() > TRAILER.len() {
            let ready = tail.len() - TRAILER.len();
            hash.update(&tail[..ready]);
            tail.drain(..ready);
        }
    }
    Ok(base16(&hash.finalize()))
}
