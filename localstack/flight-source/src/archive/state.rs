//! The state file of a checkpoint: the buckets that hold the state, and the hash over them.

use pipeline::contract::xdr::{base16, is_base16_hash};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use stellar_xdr::Hash;

use crate::fault::Fault;

/// How many levels a list of buckets has.
const LEVELS: usize = 11;
/// Maximum bytes of a state file. They have about 6 KB.
pub(crate) const STATE_BYTES: usize = 1 << 20;
/// The first protocol with a list of archived entries, whose hash is then part of the hash of the state.
const ARCHIVING_PROTOCOL: u32 = 23;
/// The last protocol whose XDR this program knows.
const LAST_PROTOCOL: u32 = 30;

/// What a state file says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct State {
    /// The checkpoint.
    pub(crate) current_ledger: u32,
    /// Old files do not name it.
    pub(crate) network_passphrase: Option<String>,
    current_buckets: Vec<Level>,
    /// Only in version 2.
    hot_archive_buckets: Option<Vec<Level>>,
}

/// A level of a list; what its next merge will give is no part of the state.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Level {
    curr: String,
    snap: String,
}

/// Which list a bucket is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum List {
    /// The entries that exist, those past their time to live included.
    Live,
    /// The entries that were evicted and can be restored.
    HotArchive,
}

/// A bucket of a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bucket {
    pub(crate) list: List,
    /// In lower-case hexadecimal: its name.
    pub(crate) hash: String,
    /// Its place: 0 for the newest of all lists. The newest version of an entry is the one in the newest bucket of its list.
    pub(crate) age: u8,
}

impl State {
    /// Reads a state file.
    ///
    /// # Errors
    /// A file that is not JSON, of another version, without what its version has, or with another number of levels.
    pub(crate) fn parse(json: &[u8]) -> Result<Self, Fault> {
        let broken = |error| Fault::caused("it is not the state file of an archive", error);
        let value: Value = serde_json::from_slice(json).map_err(broken)?;
        let version = value.get("version").and_then(Value::as_u64);
        if !matches!(version, Some(1 | 2)) {
            let version = value.get("version").map_or_else(|| "none".to_owned(), Value::to_string);
            return Err(format!("it has version {version}; only 1 and 2 are supported").into());
        }
        let state: Self = serde_json::from_value(value).map_err(broken)?;
        match (version, &state.hot_archive_buckets) {
            (Some(2), None) => return Err("it has version 2, but no hotArchiveBuckets".into()),
            (Some(1), Some(_)) => return Err("it has version 1, but hotArchiveBuckets".into()),
            _ => {}
        }
        for levels in [Some(&state.current_buckets), state.hot_archive_buckets.as_ref()].into_iter().flatten()
        {
            if levels.len() != LEVELS {
                return Err(
                    format!("a list of buckets has {} levels instead of {LEVELS}", levels.len()).into()
                );
            }
            levels
                .iter()
                .flat_map(|level| [&level.curr, &level.snap])
                .try_for_each(|hash| bytes(hash).map(drop))?;
        }
        Ok(state)
    }

    /// Proves the state by the hash in the header of its ledger.
    ///
    /// # Errors
    /// Another hash, and a version of the file that the protocol does not have.
    pub(crate) fn prove(&self, bucket_list_hash: [u8; 32], protocol: u32) -> Result<(), Fault> {
        let live = hash_of(&self.current_buckets)?;
        let hash = match &self.hot_archive_buckets {
            _ if protocol > LAST_PROTOCOL => {
                let problem =
                    format!("protocol {protocol} is not supported, only those up to {LAST_PROTOCOL}");
                return Err(problem.into());
            }
            None if protocol >= ARCHIVING_PROTOCOL => {
                return Err(format!("it has no hotArchiveBuckets, which protocol {protocol} has").into());
            }
            Some(_) if protocol < ARCHIVING_PROTOCOL => {
                return Err(format!("it has hotArchiveBuckets, which protocol {protocol} has not").into());
            }
            None => live,
            Some(archived) => {
                Sha256::new().chain_update(live).chain_update(hash_of(archived)?).finalize().into()
            }
        };
        match hash == bucket_list_hash {
            true => Ok(()),
            false => Err(format!(
                "its buckets have the hash {}, but the header of ledger {} says {}",
                base16(&hash),
                self.current_ledger,
                base16(&bucket_list_hash)
            )
            .into()),
        }
    }

    /// The buckets that are not empty, from the newest to the oldest, those of archived entries last.
    pub(crate) fn buckets(&self) -> Vec<Bucket> {
        let live = self.current_buckets.iter().map(|level| (List::Live, level));
        let archived = self.hot_archive_buckets.iter().flatten().map(|level| (List::HotArchive, level));
        let all = live.chain(archived).flat_map(|(list, level)| [(list, &level.curr), (list, &level.snap)]);
        let aged = (0..).zip(all).map(|(age, (list, hash))| Bucket { list, hash: hash.clone(), age });
        aged.filter(|bucket| bucket.hash.bytes().any(|digit| digit != b'0')).collect()
    }
}

fn hash_of(levels: &[Level]) -> Result<[u8; 32], Fault> {
    let mut hash = Sha256::new();
    for level in levels {
        let level = Sha256::new().chain_update(bytes(&level.curr)?).chain_update(bytes(&level.snap)?);
        hash.update(level.finalize());
    }
    Ok(hash.finalize().into())
}

/// The bytes of a hash in lower-case hexadecimal.
fn bytes(hex: &str) -> Result<[u8; 32], Fault> {
    let hash = hex.parse::<Hash>().ok().filter(|_| is_base16_hash(hex));
    hash.map(|Hash(bytes)| bytes).ok_or_else(|| format!("{hex:?} is not the hash of a bucket").into())
}
