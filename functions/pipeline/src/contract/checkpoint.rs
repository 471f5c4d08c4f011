//! Requests for the state at a checkpoint and a source's declarations of it, as Flight carries them.
//!
//! Every 64 ledgers, the network's history archives keep the whole state of the ledger, and its hash is in the ledger's header.

use serde::Serialize;

use super::tables::Table;
use super::wire::{ROOT, fields_of, hash, ledger_number, tables};
use crate::error::Result;

const LEDGER: &str = "ledger";
const OLDEST: &str = "oldest_ledger";
const NEWEST: &str = "newest_ledger";
const HASH: &str = "bucket_list_hash";
const PROTOCOL: &str = "protocol";

/// The number of ledgers from one checkpoint to the next.
pub const EVERY: u32 = 64;

/// The newest checkpoint up to a ledger; `None` if there is none.
pub fn newest_until(ledger: u32) -> Option<u32> {
    let checkpoints = (u64::from(ledger) + 1) / u64::from(EVERY);
    u32::try_from((checkpoints * u64::from(EVERY)).checked_sub(1)?).ok()
}

/// The path of a request for a table of the state at a checkpoint; without one, for the checkpoints that the source has.
pub fn state_path(table: Table, ledger: Option<u32>) -> Vec<String> {
    let ledger = ledger.map(|ledger| ledger.to_string());
    [ROOT, state_name(table)].map(str::to_owned).into_iter().chain(ledger).collect()
}

/// The name of a table of the state, in requests.
pub const fn state_name(table: Table) -> &'static str {
    match table {
        Table::Data => "state",
        Table::Ttl => "state-ttl",
        Table::Assets => "state-assets",
    }
}

/// The checkpoints that a source has: the `app_metadata` of its answer for [`state_path`] without a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Checkpoints {
    /// The oldest.
    pub oldest_ledger: u32,
    /// The newest.
    pub newest_ledger: u32,
}

impl Checkpoints {
    /// Reads `app_metadata`.
    ///
    /// # Errors
    /// [`Error::Source`](crate::Error::Source) that names the field whose value is not what it is to be.
    pub fn from_metadata(json: &[u8]) -> Result<Self> {
        let fields = fields_of(json)?;
        Ok(Checkpoints {
            oldest_ledger: ledger_number(&fields, OLDEST)?,
            newest_ledger: ledger_number(&fields, NEWEST)?,
        })
    }

    /// Writes `app_metadata`.
    pub fn to_metadata(&self) -> String {
        serde_json::json!(self).to_string()
    }
}

/// The state at a checkpoint: the `app_metadata` of a source's answer for a table of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checkpoint {
    /// The ledger after which this is the state.
    pub ledger: u32,
    /// The hash of the state, in lower-case hexadecimal: the one in the header of that ledger.
    pub bucket_list_hash: String,
    /// The version of the network's protocol in that ledger.
    pub protocol: u32,
    /// The tables of the state that the source has.
    pub tables: Vec<Table>,
}

impl Checkpoint {
    /// Reads `app_metadata`.
    ///
    /// # Errors
    /// [`Error::Source`](crate::Error::Source) that names the field whose value is not what it is to be.
    pub fn from_metadata(json: &[u8]) -> Result<Self> {
        let fields = fields_of(json)?;
        Ok(Checkpoint {
            ledger: ledger_number(&fields, LEDGER)?,
            bucket_list_hash: hash(&fields, HASH)?.ok_or_else(|| super::wire::absent(HASH))?,
            protocol: ledger_number(&fields, PROTOCOL)?,
            tables: tables(&fields)?,
        })
    }

    /// Writes `app_metadata`.
    pub fn to_metadata(&self) -> String {
        serde_json::json!(self).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_table_and_a_checkpoint() {
        assert_eq!(state_path(Table::Data, None), ["contract", "state"]);
        assert_eq!(state_path(Table::Ttl, Some(10_047)), ["contract", "state-ttl", "10047"]);
        assert_eq!(state_path(Table::Assets, Some(63)), ["contract", "state-assets", "63"]);
    }

    #[test]
    fn checkpoints_come_every_64_ledgers() {
        for (ledger, newest) in
            [(0, None), (62, None), (63, Some(63)), (126, Some(63)), (127, Some(127)), (10_047, Some(10_047))]
        {
            assert_eq!(newest_until(ledger), newest, "{ledger}");
        }
        assert_eq!(newest_until(u32::MAX), Some(u32::MAX));
    }

    #[test]
    fn a_declaration_is_read_as_it_was_written() {
        let checkpoints = Checkpoints { oldest_ledger: 63, newest_ledger: u32::MAX };
        assert_eq!(Checkpoints::from_metadata(checkpoints.to_metadata().as_bytes()).unwrap(), checkpoints);
        let checkpoint = Checkpoint {
            ledger: 10_047,
            bucket_list_hash: "0a".repeat(32),
            protocol: 22,
            tables: vec![Table::Data, Table::Ttl],
        };
        assert_eq!(Checkpoint::from_metadata(checkpoint.to_metadata().as_bytes()).unwrap(), checkpoint);
    }

    #[test]
    fn a_declaration_that_cannot_be_used_is_an_error_that_names_its_field() {
        let refused = |json: &str| Checkpoint::from_metadata(json.as_bytes()).unwrap_err().chain();
        let hash = "0a".repeat(32);
        for (json, problem) in [
            ("{}".to_owned(), "has no ledger"),
            (r#"{"ledger":-1}"#.to_owned(), "has -1 as ledger, which is not the number of a ledger"),
            (r#"{"ledger":63}"#.to_owned(), "has no bucket_list_hash"),
            (
                r#"{"ledger":63,"bucket_list_hash":"0a"}"#.to_owned(),
                "as bucket_list_hash, which is not a SHA-256",
            ),
            (format!(r#"{{"ledger":63,"bucket_list_hash":"{hash}"}}"#), "has no protocol"),
            ("[63]".to_owned(), "app_metadata is no JSON object"),
            (String::new(), "app_metadata is no JSON object"),
        ] {
            assert!(refused(&json).contains(problem), "{json}: {}", refused(&json));
        }
        let refused = Checkpoints::from_metadata(br#"{"oldest_ledger":63,"newest_ledger":4294967296}"#);
        assert!(refused.unwrap_err().chain().contains("has 4294967296 as newest_ledger"));
    }
}
