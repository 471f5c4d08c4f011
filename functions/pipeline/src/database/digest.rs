//! The digest of stored rows, from the database's own COPY BINARY.

use sha2::{Digest, Sha256};

use super::client::Client;
use super::sql;
use crate::contract::tables::staged_columns;
use crate::contract::tuples::{HEADER, TRAILER};
use crate::contract::window::LedgerWindow;
use crate::contract::xdr::base16;
use crate::error::{DatabaseContext, Result};

/// The digest of a window's rows, from the database's own COPY BINARY.
pub(crate) async fn entries_digest(client: &Client, window: LedgerWindow) -> Result<String> {
    let sql = sql::ROWS_BINARY
        .replace("{columns}", &staged_columns().collect::<Vec<_>>().join(", "))
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
