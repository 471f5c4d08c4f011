//! Damaged objects: none of them stops the source or yields a malformed row.
//!
//! The real object is mutated before and after compression. A mutated object is refused, or else
//! - its rows are of the ledger in its name, with the real close time;
//! - their `ledger_key_hash` is the hash of contract, key and durability in the row, and all their XDR can be decoded;
//! - their balance, holder, code and asset are those in the XDR of the row;
//! - the mutation is not in a part covered by a hash in the header;
//! - if the compressed object was mutated, which has a checksum, the rows are those of the real object.
//!
//! A mutation of a value in the meta of a transaction cannot be detected: no hash in the header covers it.
//! LAKE_MUTATIONS=100000 tries that many of each kind.

use std::sync::atomic::{AtomicUsize, Ordering};

use flight_source::Dataset;
use pipeline::LedgerWindow;
use sha2::{Digest, Sha256};
use stellar_xdr::{
    ContractDataDurability, ContractId, Hash, LedgerCloseMeta, LedgerCloseMetaBatch, LedgerKey,
    LedgerKeyContractData, Limits, ReadXdr, ScAddress, WriteXdr,
};

use super::real::OBJECT;
use super::throughput::real_xdr;
use super::*;
use crate::record::{Record, records};

const LEDGER: u32 = 53_312_000;

/// Reproducible random numbers.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % n as u64) as usize
    }
}

/// One mutation: a bit, a byte, a word, or bytes that are missing, doubled or swapped. Returns its position.
fn mutate(bytes: &mut Vec<u8>, dice: &mut Dice) -> usize {
    let at = dice.below(bytes.len());
    match dice.below(8) {
        0 | 1 => bytes[at] ^= 1 << dice.below(8),
        2 => bytes[at] = dice.below(256) as u8,
        3 => {
            let word = [0, 1, 2, 3, 0x7fff_ffff, u32::MAX, 0x0001_0000, dice.below(64) as u32][dice.below(8)];
            let at = at / 4 * 4;
            let end = (at + 4).min(bytes.len());
            bytes[at..end].copy_from_slice(&word.to_be_bytes()[..end - at]);
            return at;
        }
        4 => bytes.truncate(at),
        5 => {
            let end = (at + 4 * (1 + dice.below(16))).min(bytes.len());
            bytes.drain(at..end);
        }
        6 => {
            let end = (at + 4 * (1 + dice.below(16))).min(bytes.len());
            let again = bytes[at..end].to_vec();
            bytes.splice(at..at, again);
        }
        _ => {
            let other = dice.below(bytes.len());
            bytes.swap(at, other);
            return at.min(other);
        }
    }
    at
}

fn well_formed(row: &Record) {
    assert_eq!((row.ledger_sequence, row.closed_at), (LEDGER, 1_725_274_219_000_000));
    assert!(row.last_modified_ledger <= LEDGER);
    let (key, val) = (scval(&row.key_xdr), scval(&row.val_xdr));
    let durability = match row.contract_durability.as_str() {
        "ContractDataDurabilityPersistent" => ContractDataDurability::Persistent,
        "ContractDataDurabilityTemporary" => ContractDataDurability::Temporary,
        other => panic!("durability {other}"),
    };
    let contract = stellar_strkey::Contract::from_string(&row.contract_id).unwrap().0;
    assert_eq!(row.contract_key_type, format!("ScValTypeScv{}", key.name()));
    let contract = ScAddress::Contract(ContractId(Hash(contract)));
    let key = LedgerKey::ContractData(LedgerKeyContractData { contract, key, durability });
    let hash = Hash(Sha256::digest(key.to_xdr(Limits::none()).unwrap()).into());
    assert_eq!(row.ledger_key_hash, hash.to_string());
    assert_eq!(row.asset_type, None, "no mutation can hit the contract id of an asset");
    assert!(row.balance.is_none() || row.balance_holder.is_some());
    let is_instance = matches!(val, stellar_xdr::ScVal::ContractInstance(_));
    assert!(is_instance || row.contract_instance_type.is_none());
}

/// The range of the XDR that the hashes in the header cover: header and transaction set.
fn covered(xdr: &[u8]) -> std::ops::Range<usize> {
    let batch = LedgerCloseMetaBatch::from_xdr(xdr, Limits::none()).unwrap();
    let LedgerCloseMeta::V1(ledger) = &batch.ledger_close_metas[0] else { panic!("of another version") };
    let size = |part: Vec<u8>| part.len();
    // three words of the batch, one of the version
    let start = 16 + size(ledger.ext.to_xdr(Limits::none()).unwrap());
    let header = size(ledger.ledger_header.to_xdr(Limits::none()).unwrap());
    start..start + header + size(ledger.tx_set.to_xdr(Limits::none()).unwrap())
}

/// Serves one object repeatedly, from a folder of its own.
struct Bench {
    folder: tempfile::TempDir,
    lake: Arc<Lake>,
    object: PathBuf,
}

impl Bench {
    async fn new(extension: &str, sound: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let object = folder.path().join(OBJECT.replace("xdr.zstd", extension));
        std::fs::write(&object, sound).unwrap();
        let lake = LakeOptions { cache_bytes: 0, ..at(folder.path()) };
        let lake = Arc::new(Lake::open(&lake).await.unwrap());
        Self { folder, lake, object }
    }

    /// The rows of the object, or the error.
    async fn rows(&self, bytes: &[u8]) -> Result<Vec<Record>, Error> {
        std::fs::write(&self.object, bytes).unwrap();
        let window = LedgerWindow::single(LEDGER);
        let (lake, counted) = (self.lake.clone(), self.lake.count(Table::Data, window).await?);
        let batches = tokio::task::spawn_blocking(move || {
            lake.batches(Table::Data, window, 4096).collect::<Result<Vec<_>, _>>()
        });
        let rows: Vec<Record> = batches.await.unwrap()?.iter().flat_map(records).collect();
        assert_eq!(counted.rows, Some(rows.len() as u64));
        Ok(rows)
    }
}

async fn try_all(extension: &str, sound: Vec<u8>, seed: u64) -> (usize, usize, usize) {
    let count = u64::from(number("LAKE_MUTATIONS", 2_500));
    let part = if extension == "xdr" { covered(&sound) } else { 0..0 };
    let (refused, served, guarded) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let workers = (0..4).map(|worker| {
        let (sound, part, refused, served, guarded) = (&sound, &part, &refused, &served, &guarded);
        async move {
            let bench = Bench::new(extension, sound).await;
            let real = bench.rows(sound).await.unwrap();
            assert_eq!(real.len(), 10);
            for i in (worker..count).step_by(4) {
                let mut dice = Dice(seed << 32 | i);
                let mut bytes = sound.clone();
                let at = mutate(&mut bytes, &mut dice);
                if bytes == *sound {
                    continue;
                }
                match bench.rows(&bytes).await {
                    Err(Error::Corrupt { place, .. }) => {
                        assert!(place.contains("FCD285FF--53312000.xdr"), "{place}");
                        refused.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(other) => panic!("mutation {i}: {other:?}"),
                    Ok(rows) => {
                        assert!(!part.contains(&at), "mutation {i} at {at} is covered by the header");
                        rows.iter().for_each(well_formed);
                        assert!(
                            extension == "xdr" || rows == real,
                            "mutation {i} of the compressed object changes a row"
                        );
                        served.fetch_add(1, Ordering::Relaxed);
                    }
                }
                guarded.fetch_add(usize::from(part.contains(&at)), Ordering::Relaxed);
            }
            drop(bench.folder);
        }
    });
    futures::future::join_all(workers).await;
    let count = |n: AtomicUsize| n.load(Ordering::Relaxed);
    (count(refused), count(served), count(guarded))
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::print_stdout, reason = "its figures are what it is for")]
async fn mutated_xdr_is_refused_or_gives_well_formed_rows() {
    let Some(xdr) = real_xdr() else { return };
    let (refused, served, guarded) = try_all("xdr", xdr, 1).await;
    println!(
        "XDR: {refused} refused, {served} served; {guarded} in header and transaction set, all of them refused"
    );
    assert!(refused > served && served > 0 && guarded > 0);
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::print_stdout, reason = "its figures are what it is for")]
async fn mutated_objects_are_refused() {
    let Some(folder) = real_data() else { return };
    let object = std::fs::read(folder.join(OBJECT)).unwrap();
    let (refused, served, _) = try_all("xdr.zstd", object, 2).await;
    println!("compressed: {refused} refused, {served} served");
    assert!(refused > 100 * served.max(1));
}
