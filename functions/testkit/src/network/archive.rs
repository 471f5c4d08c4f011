//! Checkpoints as the files of a history archive.

use std::io::Write;
use std::path::Path;
use std::str::FromStr;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use stellar_xdr::{
    BucketEntry, Hash, HotArchiveBucketEntry, LedgerHeader, LedgerHeaderHistoryEntry, Limits, WriteXdr,
};

use super::buckets::{List, hash, name, record};
use crate::xdr::hex;

/// The name of the file that names the newest checkpoint.
pub const NEWEST: &str = ".well-known/stellar-history.json";

/// Whether a ledger is a checkpoint.
pub fn is_checkpoint(ledger: u32) -> bool {
    ledger % 64 == 63
}

/// The name of the state file of a checkpoint.
pub fn state_name(checkpoint: u32) -> String {
    path("history", &format!("{checkpoint:08x}"), "json")
}

/// The name of the file with the headers of the ledgers up to a checkpoint.
pub fn headers_name(checkpoint: u32) -> String {
    path("ledger", &format!("{checkpoint:08x}"), "xdr.gz")
}

/// The name of the bucket with this hash, in hexadecimal.
pub fn bucket_name(hash: &str) -> String {
    path("bucket", hash, "xdr.gz")
}

fn path(kind: &str, hex: &str, extension: &str) -> String {
    format!("{kind}/{}/{}/{}/{kind}-{hex}.{extension}", &hex[..2], &hex[2..4], &hex[4..6])
}

/// Writes a file below a directory.
pub fn put(directory: &Path, name: &str, bytes: &[u8]) {
    let path = directory.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// Compresses as archives do.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

/// The state at a checkpoint, as files.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// Its ledger.
    pub ledger: u32,
    /// What its header says of the state.
    pub bucket_list_hash: [u8; 32],
    /// The state file.
    pub state: Value,
    /// The headers of the ledgers since the checkpoint before it.
    pub headers: Vec<LedgerHeaderHistoryEntry>,
    /// The buckets that are not empty, in order, not compressed.
    pub buckets: Vec<Vec<u8>>,
}

impl Checkpoint {
    /// The state in these lists. With a list of archived entries, the state file is of version 2.
    pub(super) fn new(
        ledger: u32,
        protocol: u32,
        passphrase: &str,
        live: &List<BucketEntry>,
        archived: Option<&List<HotArchiveBucketEntry>>,
    ) -> Checkpoint {
        let live = live.files(protocol);
        let archived = archived.map(|archived| archived.files(protocol));
        let (live_names, archived_names) = (names(&live), archived.as_deref().map(names));
        let state = state_file(ledger, passphrase, &live_names, archived_names.as_deref());
        let bucket_list_hash = bucket_list_hash(&live_names, archived_names.as_deref());
        let buckets = live.into_iter().chain(archived.into_iter().flatten());
        let buckets = buckets.filter(|bucket| !bucket.is_empty()).collect();
        Checkpoint { ledger, bucket_list_hash, state, headers: Vec::new(), buckets }
    }

    /// Replaces a bucket by what `change` makes of it, and proves the state anew: names, list and header are those of the new
    /// bucket. The ledgers after it name the header as it was.
    pub fn change_bucket(&mut self, bucket: usize, change: impl FnOnce(Vec<u8>) -> Vec<u8>) {
        let before = hex(&name(&self.buckets[bucket]));
        self.buckets[bucket] = change(std::mem::take(&mut self.buckets[bucket]));
        let now = hex(&name(&self.buckets[bucket]));
        self.state = serde_json::from_str(&self.state.to_string().replace(&before, &now)).unwrap();
        let live = listed(&self.state["currentBuckets"]);
        let archived = self.state.get("hotArchiveBuckets").map(listed);
        self.prove(&live, archived.as_deref());
    }

    /// Changes the header of its ledger; the header then has its own hash.
    pub fn change_header(&mut self, change: impl FnOnce(&mut LedgerHeader)) {
        let last = self.headers.last_mut().expect("the header of its ledger");
        change(&mut last.header);
        last.hash = Hash(Sha256::digest(last.header.to_xdr(Limits::none()).unwrap()).into());
    }

    fn prove(&mut self, live: &[[u8; 32]], archived: Option<&[[u8; 32]]>) {
        let hash = bucket_list_hash(live, archived);
        self.bucket_list_hash = hash;
        self.change_header(|header| header.bucket_list_hash = Hash(hash));
    }

    /// Writes its files into an archive.
    pub fn write(&self, directory: &Path) {
        put(directory, &state_name(self.ledger), self.state.to_string().as_bytes());
        let mut headers = Vec::new();
        self.headers.iter().for_each(|header| record(header, &mut headers));
        put(directory, &headers_name(self.ledger), &gzip(&headers));
        for bucket in &self.buckets {
            put(directory, &bucket_name(&hex(&name(bucket))), &gzip(bucket));
        }
    }
}

/// The state file of a checkpoint, given the names of its buckets in order: of version 2 with those of archived entries.
pub fn state_file(ledger: u32, passphrase: &str, live: &[[u8; 32]], archived: Option<&[[u8; 32]]>) -> Value {
    let mut state = json!({
        "version": 1,
        "server": "testkit",
        "currentLedger": ledger,
        "networkPassphrase": passphrase,
        "currentBuckets": levels(live),
    });
    if let Some(archived) = archived {
        state["version"] = 2.into();
        state["hotArchiveBuckets"] = levels(archived);
    }
    state
}

/// The hash of a state, given the names of its buckets in order.
pub fn bucket_list_hash(live: &[[u8; 32]], archived: Option<&[[u8; 32]]>) -> [u8; 32] {
    match archived {
        None => hash(live),
        Some(archived) => Sha256::digest([hash(live), hash(archived)].concat()).into(),
    }
}

/// The names in a list of a state file.
fn listed(levels: &Value) -> Vec<[u8; 32]> {
    let all = levels.as_array().unwrap().iter().flat_map(|level| [&level["curr"], &level["snap"]]);
    all.map(|name| Hash::from_str(name.as_str().unwrap()).unwrap().0).collect()
}

fn names(files: &[Vec<u8>]) -> Vec<[u8; 32]> {
    files.iter().map(|file| name(file)).collect()
}

fn levels(names: &[[u8; 32]]) -> Value {
    let level = |level: &[[u8; 32]]| json!({ "curr": hex(&level[0]), "next": { "state": 0 }, "snap": hex(&level[1]) });
    names.chunks(2).map(level).collect()
}
