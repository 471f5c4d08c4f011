//! How fast a lake is read. Its ledgers are copies of the real one, with their own numbers and hashes. LAKE_LEDGERS=5000
//! sets how many.

use std::time::Instant;

use flight_source::Dataset;
use pipeline::LedgerWindow;
use sha2::{Digest, Sha256};
use stellar_xdr::{
    GeneralizedTransactionSet, Hash, LedgerCloseMeta, LedgerCloseMetaBatch, Limits, ReadXdr, WriteXdr,
};

use super::maker::{batch, put};
use super::real::OBJECT;
use super::*;

fn sha256(xdr: &impl WriteXdr) -> Hash {
    Hash(Sha256::digest(xdr.to_xdr(Limits::none()).unwrap()).into())
}

/// Makes the ledger the successor of `previous`, with correct hashes.
fn renumber(ledger: &mut LedgerCloseMeta, sequence: u32, previous: Hash) -> Hash {
    let LedgerCloseMeta::V1(ledger) = ledger else { panic!("of another version") };
    let GeneralizedTransactionSet::V1(set) = &mut ledger.tx_set;
    set.previous_ledger_hash = previous.clone();
    let header = &mut ledger.ledger_header.header;
    header.ledger_seq = sequence;
    header.previous_ledger_hash = previous;
    header.scp_value.tx_set_hash = sha256(&ledger.tx_set);
    ledger.ledger_header.hash = sha256(header);
    ledger.ledger_header.hash.clone()
}

/// The real object without its compression.
pub(super) fn real_xdr() -> Option<Vec<u8>> {
    Some(zstd::decode_all(std::fs::read(real_data()?.join(OBJECT)).unwrap().as_slice()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::print_stdout, reason = "its figures are what it is for")]
async fn every_row_of_a_long_window_arrives() {
    let Some(xdr) = real_xdr() else { return };
    let count: u32 = number("LAKE_LEDGERS", 64);
    let mut ledger =
        LedgerCloseMetaBatch::from_xdr(&xdr, Limits::none()).unwrap().ledger_close_metas.to_vec();
    let (lake, first) = (tempfile::tempdir().unwrap(), 60_000_000);
    let (mut previous, mut bytes) = (Hash([0; 32]), 0);
    for sequence in first..first + count {
        previous = renumber(&mut ledger[0], sequence, previous);
        let xdr = batch(sequence, ledger.clone());
        bytes += xdr.len();
        put(lake.path(), (sequence, sequence), &xdr, "xdr.zst");
    }
    let window = LedgerWindow::new(first, first + count - 1).unwrap();
    for cache_bytes in [0, 1 << 30] {
        let lake = Arc::new(Lake::open(&LakeOptions { cache_bytes, ..at(lake.path()) }).await.unwrap());
        let begun = Instant::now();
        let counted = lake.count(Table::Data, window).await.unwrap().rows.unwrap();
        let counting = begun.elapsed().as_secs_f64();
        let begun = Instant::now();
        let batches = tokio::task::spawn_blocking(move || {
            lake.batches(Table::Data, window, 4096).map(|batch| batch.unwrap().num_rows()).sum::<usize>()
        });
        let rows = batches.await.unwrap() as u64;
        let sending = begun.elapsed().as_secs_f64();
        assert_eq!((counted, rows), (u64::from(count) * 10, u64::from(count) * 10));
        println!(
            "{count} ledgers, {:.0} MB of XDR: counted in {counting:.2} s, {:.0} ledgers/s, {:.0} rows/s, {:.0} MB/s; \
             sent in {sending:.2} s with a cache of {cache_bytes} bytes",
            bytes as f64 / 1e6,
            f64::from(count) / counting,
            rows as f64 / counting,
            bytes as f64 / 1e6 / counting
        );
    }
}
