//! An archive of one checkpoint with very many entries, written without holding them in memory.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use stellar_xdr::{
    BucketEntry, ContractDataEntry, Hash, LedgerEntry, LedgerEntryData, LedgerEntryExt, LedgerHeader,
    LedgerHeaderHistoryEntry, Limits, ScBytes, ScVal, WriteXdr,
};

use super::archive::{
    NEWEST, bucket_list_hash, bucket_name, gzip, headers_name, put, state_file, state_name,
};
use super::buckets::{LEVELS, Version, record};
use super::entries::{contract, data, key, trustline, ttl};
use crate::asset::{Asset, TESTNET};
use crate::xdr::hex;

/// The protocol of its header.
const PROTOCOL: u32 = 22;

/// Writes an archive with one checkpoint of the test network: `entries` entries of contract data with their times to live, and a
/// trustline beside every fourth. The oldest bucket has them all; every tenth has a newer version in another one, and every 50th
/// is dead in the newest. Returns how many are left.
pub fn write_many(directory: &Path, checkpoint: u32, entries: u32) -> u32 {
    let mut names = [[0; 32]; 2 * LEVELS];
    let mut oldest = Bucket::create(directory);
    let mut newer = Bucket::create(directory);
    let mut newest = Bucket::create(directory);
    for number in 0..entries {
        let new = entry(number, 0);
        oldest.write(&BucketEntry::Initentry(of(&new)));
        oldest.write(&BucketEntry::Initentry(ttl(1, &new, 1_000_000 + number)));
        if number % 4 == 0 {
            let asset = Asset::credit(&format!("A{}", number % 5_000), number % 7);
            oldest.write(&BucketEntry::Initentry(of_classic(trustline(number, &asset))));
        }
        if number % 10 == 0 {
            newer.write(&BucketEntry::Liveentry(of(&entry(number, 1))));
        }
        if number % 50 == 0 {
            newest.write(&BucketEntry::Deadentry(key(&new)));
            newest.write(&BucketEntry::Deadentry(super::ttl_key(&key(&new))));
        }
    }
    (names[0], names[9], names[20]) = (newest.finish(), newer.finish(), oldest.finish());
    let header = LedgerHeader {
        ledger_version: PROTOCOL,
        ledger_seq: checkpoint,
        bucket_list_hash: Hash(bucket_list_hash(&names, None)),
        ..LedgerHeader::default()
    };
    let hash = Hash(Sha256::digest(header.to_xdr(Limits::none()).unwrap()).into());
    let mut headers = Vec::new();
    let entry = LedgerHeaderHistoryEntry { hash, header, ..LedgerHeaderHistoryEntry::default() };
    record(&entry, &mut headers);
    put(directory, &headers_name(checkpoint), &gzip(&headers));
    let state = state_file(checkpoint, TESTNET, &names, None).to_string();
    put(directory, &state_name(checkpoint), state.as_bytes());
    put(directory, NEWEST, state.as_bytes());
    entries - entries.div_ceil(50)
}

/// About as large as the entries of a real network.
fn entry(number: u32, version: u8) -> ContractDataEntry {
    let val = ScVal::Bytes(ScBytes(Sha256::digest(number.to_be_bytes()).repeat(3).try_into().unwrap()));
    let val = if version == 0 { val } else { ScVal::U32(number) };
    ContractDataEntry { contract: contract(number as u8), ..data(ScVal::U32(number), val) }
}

fn of(data: &ContractDataEntry) -> LedgerEntry {
    super::entries::entry(1, data)
}

fn of_classic(data: LedgerEntryData) -> LedgerEntry {
    LedgerEntry { last_modified_ledger_seq: 1, data, ext: LedgerEntryExt::V0 }
}

/// A bucket as it is written.
struct Bucket<'a> {
    directory: &'a Path,
    unfinished: tempfile::NamedTempFile,
    gzip: GzEncoder<BufWriter<File>>,
    hash: Sha256,
    bytes: Vec<u8>,
}

impl Bucket<'_> {
    fn create(directory: &Path) -> Bucket<'_> {
        let unfinished = tempfile::NamedTempFile::new_in(directory).unwrap();
        let file = BufWriter::new(unfinished.reopen().unwrap());
        let gzip = GzEncoder::new(file, Compression::fast());
        let mut bucket = Bucket { directory, unfinished, gzip, hash: Sha256::new(), bytes: Vec::new() };
        bucket.write(&BucketEntry::metadata(PROTOCOL));
        bucket
    }

    fn write(&mut self, version: &BucketEntry) {
        self.bytes.clear();
        record(version, &mut self.bytes);
        self.hash.update(&self.bytes);
        self.gzip.write_all(&self.bytes).unwrap();
    }

    fn finish(self) -> [u8; 32] {
        self.gzip.finish().unwrap().flush().unwrap();
        let hash: [u8; 32] = self.hash.finalize().into();
        let path = self.directory.join(bucket_name(&hex(&hash)));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        self.unfinished.persist(path).unwrap();
        hash
    }
}
