//! Ledgers that stellar-core wrote in tests of its own: what the public network has not shown yet.

use std::fmt::Write;
use std::path::Path;

use sha2::{Digest, Sha256};
use stellar_xdr::{LedgerCloseMeta, Limits, ReadXdr, WriteXdr};

use super::independent::ttl_text;
use super::*;
use crate::record::{records, ttl_records};

/// The passphrase of stellar-core's tests.
const PASSPHRASE: &str = "(V) (;,,;) (V)";

fn sequence(meta: &LedgerCloseMeta) -> u32 {
    match meta {
        LedgerCloseMeta::V0(meta) => meta.ledger_header.header.ledger_seq,
        LedgerCloseMeta::V1(meta) => meta.ledger_header.header.ledger_seq,
        LedgerCloseMeta::V2(meta) => meta.ledger_header.header.ledger_seq,
    }
}

/// The ledgers of a file: each comes with its length before it.
fn ledgers(file: &Path) -> Vec<LedgerCloseMeta> {
    let mut bytes = std::fs::read(file).unwrap();
    if file.extension().is_some_and(|extension| extension == "zst") {
        bytes = zstd::decode_all(bytes.as_slice()).unwrap();
    }
    let mut rest = bytes.as_slice();
    let mut ledgers = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk() {
        let (ledger, after) = after.split_at((u32::from_be_bytes(*length) & 0x7fff_ffff) as usize);
        ledgers.push(LedgerCloseMeta::from_xdr(ledger, Limits::none()).unwrap());
        rest = after;
    }
    ledgers
}

/// A lake of these ledgers, one in each object.
fn lake(ledgers: &[LedgerCloseMeta]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for ledger in ledgers {
        let name = format!("{:08X}--{}.xdr", u32::MAX - sequence(ledger), sequence(ledger));
        std::fs::write(folder.path().join(name), ledger.to_xdr(Limits::none()).unwrap()).unwrap();
    }
    folder
}

async fn serve(folder: &tempfile::TempDir) -> Source {
    let passphrase = Some(PASSPHRASE.to_owned());
    serve_lake(&LakeOptions { network_passphrase: passphrase, ..at(folder.path()) }).await
}

#[tokio::test]
async fn a_ttl_is_the_greatest_that_any_transaction_saw() {
    let Some(folder) = real_data() else { return };
    let folder = folder.join("captures");
    let file = folder.join("current__InvokeHostFunctionTests__1e0b81121b9c895c.xdr.zst");
    let lake = lake(&ledgers(&file));
    let mut source = serve(&lake).await;
    let rows = records(&source.rows(41, 41).await);
    assert_eq!(rows[0].expiration_ledger_seq, Some(546), "not 100, which a transaction beside it saw");
    let ttls = ttl_records(&source.rows_of(Table::Ttl, 41, 41).await);
    let seen: Vec<_> = ttls.iter().map(|row| (row.change.as_str(), row.live_until_ledger.unwrap())).collect();
    assert_eq!(seen, [94, 360, 360, 546, 546].map(|until| ("extended", until)));
    assert!(ttls.iter().all(|row| row.ledger_key_hash == rows[0].ledger_key_hash));
}

/// `captures.golden` has what the decoder of `independent.rs` finds.
#[tokio::test]
async fn all_times_to_live_are_those_that_another_decoder_finds() {
    let Some(folder) = real_data() else { return };
    let mut text = String::new();
    for name in ["0149cc6c1924569c", "1e0b81121b9c895c"]
        .map(|id| format!("current__InvokeHostFunctionTests__{id}.xdr.zst"))
    {
        let ledgers = ledgers(&folder.join("captures").join(&name));
        let (start, end) = (sequence(&ledgers[0]), sequence(&ledgers[ledgers.len() - 1]));
        let lake = lake(&ledgers);
        let rows = ttl_records(&serve(&lake).await.rows_of(Table::Ttl, start, end).await);
        writeln!(text, "# {name}").unwrap();
        rows.iter().for_each(|row| writeln!(text, "{}", ttl_text(row)).unwrap());
    }
    assert!(text == include_str!("captures.golden"), "{text}");
}

#[tokio::test]
async fn the_hash_zero_names_the_empty_set_from_protocol_28_on() {
    let Some(folder) = real_data() else { return };
    let file = folder.join("captures/next__HerderTests__370dd5e0af5cfa8d.xdr");
    let LedgerCloseMeta::V2(capture) = ledgers(&file).remove(0) else { panic!("another version") };
    let header = &capture.ledger_header.header;
    assert_eq!((header.ledger_version, header.scp_value.tx_set_hash.0), (28, [0; 32]));
    let ledger = header.ledger_seq;
    let folder = lake(&[LedgerCloseMeta::V2(capture.clone())]);
    let mut source = serve(&folder).await;
    assert_eq!(records(&source.rows(ledger, ledger).await).len(), 0);

    let mut earlier = capture;
    earlier.ledger_header.header.ledger_version = 27;
    let header = earlier.ledger_header.header.to_xdr(Limits::none()).unwrap();
    earlier.ledger_header.hash.0 = Sha256::digest(header).into();
    let folder = lake(&[LedgerCloseMeta::V2(earlier)]);
    let mut source = serve(&folder).await;
    let refused =
        source.info(&["contract", "data", &ledger.to_string(), &ledger.to_string()]).await.unwrap_err();
    assert!(refused.message().contains("does not have the hash that its header names"), "{refused}");
}
