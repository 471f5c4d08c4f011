//! The digest of stored rows, from the database's own COPY BINARY.

use super::client::Client;
use super::sql;
use crate::contract::tables::Table;
use crate::contract::tuples::{HEADER, RowsDigest, TRAILER};
use crate::contract::window::LedgerWindow;
use crate::error::{DatabaseContext, Error, Result};

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
    let mut digest = RowsDigest::new(table);
    // Messages of the server: one per row as a rule, but nothing says so.
    let mut unread: Vec<u8> = Vec::new();
    let mut header = HEADER.len();
    while let Some(bytes) = rows.next().await.database("read the rows of a window")? {
        let skipped = header.min(bytes.len());
        header -= skipped;
        unread.extend_from_slice(&bytes[skipped..]);
        let mut at = 0;
        while let Some(end) = tuple_end(&unread, at) {
            digest.tuple(&unread[at + 2..end]);
            at = end;
        }
        unread.drain(..at);
    }
    if unread != TRAILER {
        return Err(Error::Unexpected(format!(
            "COPY of ledgers {window} ends with {} bytes more",
            unread.len()
        )));
    }
    Ok(digest.finish())
}

/// Where the tuple that begins at `at` ends; `None` if it is not complete, or the end of all.
fn tuple_end(bytes: &[u8], at: usize) -> Option<usize> {
    let (fields, _) = bytes.get(at..)?.split_first_chunk()?;
    let fields = u16::try_from(i16::from_be_bytes(*fields)).ok()?;
    (0..fields).try_fold(at + 2, |at, _| {
        let (length, _) = bytes.get(at..)?.split_first_chunk()?;
        let end = at + 4 + usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0); // -1 for null
        (end <= bytes.len()).then_some(end)
    })
}
