//! A fault in a lake is one error that names object and ledger, and the server continues.

use stellar_xdr::{LedgerCloseMeta, LedgerCloseMetaBatch, Limits, ReadXdr, ScVal};
use tonic::Code;

use super::entries::*;
use super::layouts::{fill, ledgers, seen};
use super::maker::*;
use super::*;

const FIRST: u32 = 40;

async fn refused(source: &mut Source, start: u32, end: u32) -> Status {
    source.info(&["contract", "data", &start.to_string(), &end.to_string()]).await.unwrap_err()
}

/// Ten ledgers, one object each, the sixth of which, ledger 45, is replaced by `spoilt`.
async fn lake_with(spoilt: &dyn Fn(Vec<u8>) -> Vec<u8>) -> (tempfile::TempDir, Source) {
    let lake = tempfile::tempdir().unwrap();
    fill(lake.path(), &mut Maker::new(FIRST), 10, 1, 1, "xdr.zst");
    let object = lake.path().join(format!("{}.xdr.zst", name(45, 45)));
    std::fs::write(&object, spoilt(std::fs::read(&object).unwrap())).unwrap();
    let source = serve_lake(&at(lake.path())).await;
    (lake, source)
}

async fn expect(spoilt: &dyn Fn(Vec<u8>) -> Vec<u8>, sentence: &str) {
    let (_lake, mut source) = lake_with(spoilt).await;
    let answer = source.info(&["contract", "data", "40", "49"]).await;
    let status = answer.err().unwrap_or_else(|| panic!("served instead of refused with: {sentence}"));
    assert_eq!(status.code(), Code::DataLoss, "{status}");
    let message = status.message();
    assert!(message.contains(sentence), "{message}\nshould say\n{sentence}");
    assert!(message.contains("object FFFFFFD2--45.xdr.zst"), "{message}");
    // the server continues, and serves the other ledgers
    assert_eq!(seen(&mut source, FIRST, 44).await, [40, 41, 42, 43, 44]);
    assert_eq!(seen(&mut source, 46, 49).await, [46, 47, 48, 49]);
    assert_eq!(refused(&mut source, 45, 45).await.code(), Code::DataLoss);
}

fn repacked(change: impl Fn(&mut LedgerCloseMeta)) -> impl Fn(Vec<u8>) -> Vec<u8> {
    move |object| {
        let xdr = zstd::decode_all(object.as_slice()).unwrap();
        let mut ledgers =
            LedgerCloseMetaBatch::from_xdr(xdr, Limits::none()).unwrap().ledger_close_metas.to_vec();
        change(&mut ledgers[0]);
        packed(&batch(45, ledgers), "xdr.zst")
    }
}

#[tokio::test]
async fn objects_that_cannot_be_decompressed_are_named() {
    expect(&|_| Vec::new(), "ledger 45: it cannot be decompressed").await;
    expect(&|_| b"<html>not found</html>".to_vec(), "cannot be decompressed").await;
    expect(&|object| object[..object.len() / 2].to_vec(), "ledger 45: it").await;
    let garbage = |mut object: Vec<u8>| {
        let middle = object.len() / 2;
        object[middle..middle + 8].fill(0xa5);
        object
    };
    expect(&garbage, "object FFFFFFD2--45.xdr.zst").await;
    let longer = |object: Vec<u8>| {
        let mut xdr = zstd::decode_all(object.as_slice()).unwrap();
        xdr.extend([0; 4]);
        packed(&xdr, "xdr.zst")
    };
    expect(&longer, "ledger 45: there is data after its last ledger").await;
}

#[tokio::test]
async fn objects_that_contradict_their_names_are_named() {
    let other = |_: Vec<u8>| packed(&batch(46, ledgers(&mut Maker::new(46), 1)), "xdr.zst");
    expect(&other, "ledger 45: its name says 45, but its batch says 1 ledgers, 46 to 46").await;
    let relabelled = |_: Vec<u8>| packed(&batch(45, ledgers(&mut Maker::new(46), 1)), "xdr.zst");
    expect(&relabelled, "ledger 45: there is ledger 46 in its place").await;
    let more = |_: Vec<u8>| packed(&batch(45, ledgers(&mut Maker::new(45), 2)), "xdr.zst");
    expect(&more, "ledger 45: its name says 45, but its batch says 2 ledgers, 45 to 46").await;
}

#[tokio::test]
async fn contents_that_contradict_the_header_are_refused() {
    let header = repacked(|ledger| match ledger {
        LedgerCloseMeta::V1(ledger) => ledger.ledger_header.header.total_coins += 1,
        other => panic!("{other:?}"),
    });
    expect(&header, "ledger 45: its header does not match the hash given for it").await;
    let set = repacked(|ledger| match ledger {
        LedgerCloseMeta::V1(ledger) => {
            let stellar_xdr::GeneralizedTransactionSet::V1(set) = &mut ledger.tx_set;
            set.previous_ledger_hash.0[0] ^= 1;
        }
        other => panic!("{other:?}"),
    });
    expect(&set, "ledger 45: its transaction set does not have the hash").await;
    let results = repacked(|ledger| match ledger {
        LedgerCloseMeta::V1(ledger) => {
            let mut processed = ledger.tx_processing.to_vec();
            processed[0].result.result.fee_charged += 1;
            ledger.tx_processing = processed.try_into().unwrap();
        }
        other => panic!("{other:?}"),
    });
    expect(&results, "ledger 45: its results do not have the hash").await;
    let fewer = repacked(|ledger| match ledger {
        LedgerCloseMeta::V1(ledger) => ledger.tx_processing = Vec::new().try_into().unwrap(),
        other => panic!("{other:?}"),
    });
    expect(&fewer, "ledger 45: it has 1 transactions but 0 results").await;
}

/// The object of a ledger 45 with one transaction of these changes.
fn ledger_of(changes: Vec<stellar_xdr::LedgerEntryChange>) -> impl Fn(Vec<u8>) -> Vec<u8> {
    move |_| packed(&batch(45, vec![Maker::new(45).ledger(Form::V1, vec![tx(changes.clone())])]), "xdr.zst")
}

#[tokio::test]
async fn changes_that_the_network_cannot_have_made_are_refused() {
    let entry = numbered(1, 1);
    expect(&ledger_of(vec![removed(&entry)]), "ledger 45: an entry is removed whose previous value").await;
    expect(&ledger_of(vec![created(46, &entry)]), "was last modified in ledger 46, which is later").await;
    let account = stellar_xdr::ContractDataEntry { contract: stellar_xdr::ScAddress::default(), ..entry };
    expect(&ledger_of(vec![created(45, &account)]), "does not belong to a contract").await;
}

/// Values as deep as the network allows are served, deeper ones are refused, and neither overflows the stack.
#[tokio::test]
async fn nesting_has_a_limit() {
    let nested = |depth: usize| (0..depth).fold(ScVal::Void, |val, _| vec(vec![val]));
    let lake = tempfile::tempdir().unwrap();
    let ledger = Maker::new(7).ledger(Form::V1, vec![tx(vec![created(7, &data(nested(100), nested(100)))])]);
    put(lake.path(), (7, 7), &batch(7, vec![ledger]), "xdr.zst");
    assert_eq!(seen(&mut serve_lake(&at(lake.path())).await, 7, 7).await, [7]);
    expect(&ledger_of(vec![created(45, &data(nested(400), ScVal::Void))]), "depth limit exceeded").await;
}

#[tokio::test]
async fn an_object_that_decompresses_to_gigabytes_is_refused() {
    // a small object that decompresses to a vector with a length of gigabytes
    let bomb = |object: Vec<u8>| {
        let xdr = zstd::decode_all(object.as_slice()).unwrap();
        let mut zstd = zstd::stream::write::Encoder::new(Vec::new(), 19).unwrap();
        std::io::Write::write_all(&mut zstd, &xdr[..16]).unwrap();
        let zeros = vec![0; 1 << 20];
        (0..256).for_each(|_| std::io::Write::write_all(&mut zstd, &zeros).unwrap());
        zstd.finish().unwrap()
    };
    expect(&bomb, "ledger 45: ").await;
}

#[tokio::test]
async fn ledgers_that_do_not_follow_each_other_are_refused() {
    let lake = tempfile::tempdir().unwrap();
    let mut maker = Maker::new(FIRST);
    fill(lake.path(), &mut maker, 5, 1, 1, "xdr.zst");
    maker.previous = [1; 32];
    fill(lake.path(), &mut maker, 5, 1, 1, "xdr.zst");
    let mut source = serve_lake(&at(lake.path())).await;
    let status = refused(&mut source, FIRST, 49).await;
    assert_eq!(status.code(), Code::DataLoss);
    assert!(status.message().contains("ledger 45 does not follow ledger 44: it names 0101"), "{status}");
    assert_eq!(seen(&mut source, FIRST, 44).await.len() + seen(&mut source, 45, 49).await.len(), 10);
}

#[tokio::test]
async fn a_gap_is_an_error_that_names_the_missing_ledgers() {
    let lake = tempfile::tempdir().unwrap();
    fill(lake.path(), &mut Maker::new(FIRST), 20, 1, 8, "xdr.zst");
    for missing in [44, 50, 51, 52] {
        let partition = missing / 8 * 8;
        let folder = lake.path().join(name(partition, partition + 7));
        std::fs::remove_file(folder.join(format!("{}.xdr.zst", name(missing, missing)))).unwrap();
    }
    let mut source = serve_lake(&LakeOptions { cache_bytes: 0, ..at(lake.path()) }).await;
    let all = declared(&source.info(&["contract", "data"]).await.unwrap());
    assert_eq!((all.start, all.end), (40, 59));
    let status = refused(&mut source, 40, 59).await;
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(status.message().contains("ledgers 44, 50-52 are missing"), "{status}");
    assert!(refused(&mut source, 52, 53).await.message().contains("ledgers 52 are missing"));
    for (start, end) in [(40, 43), (45, 49), (53, 59)] {
        assert_eq!(seen(&mut source, start, end).await, (start..=end).collect::<Vec<_>>());
    }
    // a whole partition
    std::fs::remove_dir_all(lake.path().join(name(48, 55))).unwrap();
    assert!(refused(&mut source, 47, 59).await.message().contains("ledgers 48-55 are missing"));
}

/// The object is damaged after its rows were counted, and they are not cached.
#[tokio::test]
async fn an_object_damaged_meanwhile_ends_the_stream_with_an_error() {
    let lake = tempfile::tempdir().unwrap();
    fill(lake.path(), &mut Maker::new(FIRST), 10, 1, 1, "xdr.zst");
    let mut source = serve_lake(&LakeOptions { cache_bytes: 0, ..at(lake.path()) }).await;
    let info = source.window(FIRST, 49).await;
    assert_eq!(info.total_records, 10);
    std::fs::write(lake.path().join(format!("{}.xdr.zst", name(45, 45))), b"gone bad").unwrap();
    let ticket = info.endpoint[0].ticket.clone().unwrap();
    let data = source.client.do_get(ticket).await.unwrap().into_inner();
    let status = data.try_collect::<Vec<_>>().await.unwrap_err();
    assert_eq!(status.code(), Code::DataLoss);
    assert!(status.message().contains("object FFFFFFD2--45.xdr.zst"), "{status}");
    assert_eq!(seen(&mut source, 46, 49).await, [46, 47, 48, 49]);
}

/// The checksum is at the end of an object: no ledger is served from an object that is damaged later on.
#[tokio::test]
async fn an_object_of_many_ledgers_is_served_only_if_all_of_it_is_intact() {
    let lake = tempfile::tempdir().unwrap();
    // more than is decompressed at a time
    fill(lake.path(), &mut Maker::new(1_024), 2, 1_024, 1, "xdr.zst");
    let object = lake.path().join(format!("{}.xdr.zst", name(1_024, 2_047)));
    let mut bytes = std::fs::read(&object).unwrap();
    let checksum = bytes.len() - 1;
    bytes[checksum] ^= 1;
    std::fs::write(&object, bytes).unwrap();
    let mut source = serve_lake(&at(lake.path())).await;
    let status = refused(&mut source, 1_024, 1_025).await;
    assert_eq!(status.code(), Code::DataLoss);
    assert!(
        status.message().contains("--1024-2047.xdr.zst, ledger 1024-2047: it cannot be decompressed"),
        "{status}"
    );
    assert_eq!(seen(&mut source, 2_048, 2_050).await, [2_048, 2_049, 2_050]);
}

/// Counted rows are sent from the cache: the objects are not read again.
#[tokio::test]
async fn counted_rows_are_cached_until_they_are_sent() {
    let lake = tempfile::tempdir().unwrap();
    fill(lake.path(), &mut Maker::new(FIRST), 10, 1, 1, "xdr.zst");
    let mut source = serve_lake(&at(lake.path())).await;
    let info = source.window(41, 48).await;
    for ledger in 41..=48 {
        std::fs::remove_file(lake.path().join(format!("{}.xdr.zst", name(ledger, ledger)))).unwrap();
    }
    assert_eq!(source.drain(info).await.num_rows(), 8);
    // the rows of the other tables come from the same decode
    for table in Table::SIDES {
        assert_eq!(source.rows_of(table, 41, 48).await.num_rows(), 0);
    }
}

#[tokio::test]
async fn only_windows_with_a_damaged_tip_are_refused() {
    let lake = tempfile::tempdir().unwrap();
    fill(lake.path(), &mut Maker::new(FIRST), 10, 1, 1, "xdr.zst");
    let mut source = serve_lake(&at(lake.path())).await;
    std::fs::write(lake.path().join(format!("{}.xdr.zst", name(50, 50))), b"half an obj").unwrap();
    let since = std::time::Instant::now();
    loop {
        let info = source.info(&["contract", "data"]).await.unwrap();
        let json: serde_json::Value = serde_json::from_slice(&info.app_metadata).unwrap();
        if json["end_ledger"] == 50 {
            assert_eq!(json.get("latest_closed_at"), None);
            break;
        }
        assert!(since.elapsed().as_secs() < 10);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(refused(&mut source, FIRST, 60).await.code(), Code::DataLoss);
    assert_eq!(seen(&mut source, FIRST, 49).await.len(), 10);
    // Nor does it keep a server from starting.
    let mut restarted = serve_lake(&at(lake.path())).await;
    assert_eq!(refused(&mut restarted, FIRST, 60).await.code(), Code::DataLoss);
    assert_eq!(seen(&mut restarted, FIRST, 49).await.len(), 10);
}
