//! Lists of buckets: what a network writes goes into the newest bucket, and from there from level to level.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use stellar_xdr::{
    BucketEntry, BucketListType, BucketMetadata, BucketMetadataExt, HotArchiveBucketEntry, LedgerKey, Limits,
    WriteXdr,
};

/// How many levels a list has.
pub const LEVELS: usize = 11;

/// The last version of each entry in one bucket.
pub(super) type Bucket<E> = BTreeMap<LedgerKey, E>;

/// A version of an entry in a bucket.
pub(super) trait Version: Clone + WriteXdr {
    /// The two versions as one, `self` being the newer one; `None` if nothing is left.
    fn over(&self, older: &Self) -> Option<Self>;

    /// The metadata in a bucket of this protocol.
    fn metadata(protocol: u32) -> Self;
}

impl Version for BucketEntry {
    fn over(&self, older: &Self) -> Option<Self> {
        match (older, self) {
            (Self::Deadentry(_), Self::Initentry(entry)) => Some(Self::Liveentry(entry.clone())),
            (Self::Initentry(_), Self::Liveentry(entry)) => Some(Self::Initentry(entry.clone())),
            (Self::Initentry(_), Self::Deadentry(_)) => None,
            _ => Some(self.clone()),
        }
    }

    fn metadata(protocol: u32) -> Self {
        let ext = match protocol {
            ..23 => BucketMetadataExt::V0,
            _ => BucketMetadataExt::V1(BucketListType::Live),
        };
        Self::Metaentry(BucketMetadata { ledger_version: protocol, ext })
    }
}

impl Version for HotArchiveBucketEntry {
    fn over(&self, _: &Self) -> Option<Self> {
        Some(self.clone())
    }

    fn metadata(protocol: u32) -> Self {
        let ext = BucketMetadataExt::V1(BucketListType::HotArchive);
        Self::Metaentry(BucketMetadata { ledger_version: protocol, ext })
    }
}

/// A list of buckets: of each level, the one that grows and the one that waits to be merged into the next level.
pub(super) struct List<E> {
    levels: Vec<[Bucket<E>; 2]>,
}

impl<E: Version> List<E> {
    pub(super) fn new() -> Self {
        Self { levels: vec![[Bucket::new(), Bucket::new()]; LEVELS] }
    }

    /// Adds what a ledger wrote. Every second ledger moves a level, every eighth two, and so on.
    pub(super) fn add(&mut self, ledger: u32, written: Bucket<E>) {
        for level in (1..LEVELS).rev() {
            if ledger.is_multiple_of(1 << (2 * level - 1)) {
                let [curr, snap] = std::mem::take(&mut self.levels[level - 1]);
                merge(&mut self.levels[level][0], snap);
                self.levels[level - 1][1] = curr;
            }
        }
        merge(&mut self.levels[0][0], written);
    }

    /// The buckets in order, `curr` and `snap` of each level, as files; empty ones have no bytes.
    pub(super) fn files(&self, protocol: u32) -> Vec<Vec<u8>> {
        self.levels.iter().flatten().map(|bucket| file(bucket, protocol)).collect()
    }
}

fn merge<E: Version>(older: &mut Bucket<E>, newer: Bucket<E>) {
    for (key, version) in newer {
        let merged = match older.remove(&key) {
            Some(before) => version.over(&before),
            None => Some(version),
        };
        older.extend(merged.map(|version| (key, version)));
    }
}

fn file<E: Version>(bucket: &Bucket<E>, protocol: u32) -> Vec<u8> {
    if bucket.is_empty() {
        return Vec::new();
    }
    let mut file = Vec::new();
    record(&E::metadata(protocol), &mut file);
    bucket.values().for_each(|version| record(version, &mut file));
    file
}

/// Adds a record: its length with the highest bit set, and its XDR.
pub fn record(value: &impl WriteXdr, file: &mut Vec<u8>) {
    let xdr = value.to_xdr(Limits::none()).unwrap();
    file.extend((xdr.len() as u32 | 1 << 31).to_be_bytes());
    file.extend(xdr);
}

/// The name of a bucket: the hash of its file, or zeros for an empty one.
pub fn name(file: &[u8]) -> [u8; 32] {
    if file.is_empty() { [0; 32] } else { Sha256::digest(file).into() }
}

/// The hash of a list, given the names of its buckets in order.
pub fn hash(names: &[[u8; 32]]) -> [u8; 32] {
    let levels = names.chunks(2).map(|level| Sha256::digest(level.concat()));
    levels.fold(Sha256::new(), |hash, level| hash.chain_update(level)).finalize().into()
}
