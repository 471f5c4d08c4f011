//! The header of a checkpoint's ledger.

use std::io::BufRead;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use stellar_xdr::{LedgerHeaderHistoryEntry, Limits, WriteXdr};

use super::records::{Records, decoded};
use crate::fault::{Fault, unencodable};

/// Maximum bytes of the headers of a checkpoint, decompressed. They have about 25 KB.
const HEADERS_BYTES: u64 = 4 << 20;

/// What the header of a ledger says of the state after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) ledger: u32,
    pub(crate) hash: [u8; 32],
    pub(crate) closed_at: DateTime<Utc>,
    pub(crate) protocol: u32,
    pub(crate) bucket_list_hash: [u8; 32],
}

/// Finds the header of a ledger in a file of headers.
///
/// # Errors
/// A file that is damaged or has no such header, and a header that does not have its hash.
pub(crate) fn find(file: impl BufRead, ledger: u32) -> Result<Header, Fault> {
    let (mut records, mut found) = (Records::new(file, HEADERS_BYTES), None);
    while let Some(record) = records.next()? {
        let entry: LedgerHeaderHistoryEntry = decoded(record)?;
        if entry.header.ledger_seq == ledger {
            found = Some(entry);
        }
    }
    let found = found.ok_or_else(|| Fault::from(format!("it has no header of ledger {ledger}")))?;
    let hash: [u8; 32] = Sha256::digest(found.header.to_xdr(Limits::none()).map_err(unencodable)?).into();
    if hash != found.hash.0 {
        return Err("its header does not match the hash given for it".into());
    }
    let seconds = i64::try_from(found.header.scp_value.close_time.0).ok();
    let closed_at = seconds.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    Ok(Header {
        ledger,
        hash,
        closed_at: closed_at.ok_or("its close time is out of range")?,
        protocol: found.header.ledger_version,
        bucket_list_hash: found.header.bucket_list_hash.0,
    })
}
