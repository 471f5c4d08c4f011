//! A state that is not proven is refused, in words that name the file, and the server continues.

use serde_json::Value;
use stellar_xdr::{
    BucketEntry, BucketListType, BucketMetadata, BucketMetadataExt, ContractDataEntry, LedgerEntry,
    LedgerKey, Limits, ReadXdr, ScAddress, ScVal, WriteXdr,
};
use testkit::asset::TESTNET;
use testkit::network::archive::{bucket_name, gzip, headers_name, put, state_name};
use testkit::network::buckets::record;
use testkit::network::{Action, Checkpoint, Network, entries};
use tonic::Code;

use super::states::compare;
use super::*;

const LEDGER: u32 = 127;
/// A value that is in one bucket alone.
const VALUE: u32 = 0x5eed_cafe;

/// The checkpoints 63 and 127; at the second one, entry 2 is archived, and entry 3 has its value from ledger 126.
fn network(protocol: u32) -> Network {
    let mut network = Network::new(2, protocol, TESTNET);
    for number in 1..=3 {
        network.close(vec![Action::create(entries::numbered(number, 0), 40)]);
    }
    network.close(vec![Action::Create(entries::code(1, 100), 400)]);
    network.close_up_to(100);
    if protocol > 22 {
        network.close(vec![Action::Evict(entries::key(&entries::numbered(2, 0)))]);
    }
    network.close_up_to(125);
    network.close(vec![Action::Update(entries::numbered(3, VALUE))]);
    network.close_up_to(LEDGER);
    network
}

/// The network's archive, spoilt, is refused at the second checkpoint, and served at the first one.
async fn expect(network: &Network, spoil: impl FnOnce(&Path), code: Code, words: &str) {
    let folder = tempfile::tempdir().unwrap();
    network.write_archive(folder.path());
    spoil(folder.path());
    let mut source = serve_archive(&archive_at(folder.path())).await;
    for table in Table::ALL {
        let answer = source.state_info(table, Some(LEDGER)).await;
        let status = answer.err().unwrap_or_else(|| panic!("served instead of refused with: {words}"));
        assert_eq!(status.code(), code, "{status}");
        assert!(status.message().contains(words), "{}\nshould say\n{words}", status.message());
    }
    compare(&mut source, network, 63).await;
}

/// The same of an archive whose second checkpoint is changed.
async fn expect_of(protocol: u32, change: impl FnOnce(&mut Checkpoint), words: &str) {
    let network = network(protocol);
    let mut checkpoint = network.checkpoints()[&LEDGER].clone();
    change(&mut checkpoint);
    expect(&network, |folder| checkpoint.write(folder), Code::DataLoss, words).await;
}

/// The state file is changed.
async fn expect_state(protocol: u32, change: impl FnOnce(&mut Value), words: &str) {
    expect_of(protocol, |checkpoint| change(&mut checkpoint.state), words).await;
}

/// The file of the bucket with [`VALUE`], and its contents.
fn bucket(network: &Network) -> (String, Vec<u8>) {
    let has_value = |bucket: &&Vec<u8>| bucket.windows(4).any(|bytes| bytes == VALUE.to_be_bytes());
    let bucket = network.checkpoints()[&LEDGER].buckets.iter().find(has_value).unwrap().clone();
    let hash = testkit::network::buckets::name(&bucket);
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    (bucket_name(&hash), bucket)
}

#[tokio::test]
async fn a_bucket_must_have_the_hash_that_is_its_name() {
    let network = network(23);
    let (name, bucket) = bucket(&network);
    let at = bucket.windows(4).position(|bytes| bytes == VALUE.to_be_bytes()).unwrap();
    for bit in 0..8 {
        let mut flipped = bucket.clone();
        flipped[at + 3] ^= 1 << bit;
        let spoil = |folder: &Path| put(folder, &name, &gzip(&flipped));
        expect(&network, spoil, Code::DataLoss, "which is not its name").await;
    }
    let mut longer = bucket.clone();
    record(&BucketEntry::Deadentry(LedgerKey::default()), &mut longer);
    let spoil = |folder: &Path| put(folder, &name, &gzip(&longer));
    expect(&network, spoil, Code::DataLoss, &format!("object {name}, ledger 127: its SHA-256 is ")).await;
}

#[tokio::test]
async fn a_bucket_that_cannot_be_read_is_named() {
    let network = network(23);
    let (name, bucket) = bucket(&network);
    let missing = |folder: &Path| std::fs::remove_file(folder.join(&name)).unwrap();
    let words = format!("the archive has no {name}, which its checkpoint 127 needs");
    expect(&network, missing, Code::FailedPrecondition, &words).await;

    let packed = gzip(&bucket);
    for kept in [0, 5, packed.len() / 2, packed.len() - 1] {
        let cut = |folder: &Path| put(folder, &name, &packed[..kept]);
        let words = if kept == 0 { "it is truncated" } else { "ledger 127: it is truncated" };
        expect(&network, cut, Code::DataLoss, words).await;
    }
    let garbage = |folder: &Path| put(folder, &name, b"<html>not found</html>");
    expect(&network, garbage, Code::DataLoss, "ledger 127: it cannot be decompressed: invalid gzip header")
        .await;
    let trailing = |folder: &Path| put(folder, &name, &[&packed[..], b"more"].concat());
    expect(&network, trailing, Code::DataLoss, "ledger 127: it ").await;
}

#[tokio::test]
async fn a_mark_that_lies_is_refused() {
    let network = network(23);
    let (name, bucket) = bucket(&network);
    let marked = |mark: u32| {
        let mut lying = bucket.clone();
        lying[..4].copy_from_slice(&mark.to_be_bytes());
        gzip(&lying)
    };
    for (mark, words) in [
        (0, "0x00000000 is not the mark of a record"),
        (12, "0x0000000c is not the mark of a record"),
        (u32::MAX, "a record of 2147483647 bytes is longer than 67108864"),
        ((1 << 31) + (64 << 20), "it is truncated"),
        ((1 << 31) + 4, "a record cannot be decoded"),
    ] {
        let spoil = |folder: &Path| put(folder, &name, &marked(mark));
        expect(&network, spoil, Code::DataLoss, words).await;
    }
    let zeros = gzip(&vec![0; 64 << 20]);
    expect(&network, |folder| put(folder, &name, &zeros), Code::DataLoss, "is not the mark of a record")
        .await;
    let headers = |folder: &Path| {
        let mut headers = Vec::new();
        let header = network.header(LEDGER);
        while headers.len() < 5 << 20 {
            record(header, &mut headers);
        }
        put(folder, &headers_name(LEDGER), &gzip(&headers));
    };
    expect(&network, headers, Code::DataLoss, "it is longer than such a file can be").await;
}

#[tokio::test]
async fn the_buckets_must_be_those_of_the_header() {
    for (protocol, list) in [(22, "currentBuckets"), (23, "currentBuckets"), (23, "hotArchiveBuckets")] {
        let words = "its buckets have the hash ";
        let swap_in_level = |state: &mut Value| {
            let used = |level: &&mut Value| level["curr"] != level["snap"];
            let level = state[list].as_array_mut().unwrap().iter_mut().find(used).unwrap();
            let (curr, snap) = (level["curr"].clone(), level["snap"].clone());
            (level["curr"], level["snap"]) = (snap, curr);
        };
        expect_state(protocol, swap_in_level, words).await;
        let swap_levels = |state: &mut Value| {
            let levels = state[list].as_array_mut().unwrap();
            let used = levels.iter().position(|level| level["curr"] != level["snap"]).unwrap();
            levels.swap(used, 10);
        };
        expect_state(protocol, swap_levels, "but the header of ledger 127 says ").await;
    }
    let of_other = |checkpoint: &mut Checkpoint| {
        checkpoint.change_header(|header| header.bucket_list_hash.0[0] ^= 1);
    };
    expect_of(23, of_other, "its buckets have the hash ").await;
}

#[tokio::test]
async fn the_header_must_be_that_of_the_ledger() {
    let network = network(23);
    let other = |folder: &Path| {
        std::fs::copy(folder.join(headers_name(63)), folder.join(headers_name(LEDGER))).unwrap();
    };
    let words = format!("object {}, ledger 127: it has no header of ledger 127", headers_name(LEDGER));
    expect(&network, other, Code::DataLoss, &words).await;
    let missing = |folder: &Path| std::fs::remove_file(folder.join(headers_name(LEDGER))).unwrap();
    let words = format!("the archive has no {}, which its checkpoint 127 needs", headers_name(LEDGER));
    expect(&network, missing, Code::FailedPrecondition, &words).await;
    let hash = |checkpoint: &mut Checkpoint| checkpoint.headers.last_mut().unwrap().hash.0[0] ^= 1;
    expect_of(23, hash, "its header does not match the hash given for it").await;
    let header = |checkpoint: &mut Checkpoint| checkpoint.headers.last_mut().unwrap().header.total_coins += 1;
    expect_of(23, header, "its header does not match the hash given for it").await;
    let cut = |folder: &Path| put(folder, &headers_name(LEDGER), &gzip(&[0x80, 0, 0, 9, 1]));
    expect(&network, cut, Code::DataLoss, "ledger 127: it is truncated").await;
}

#[tokio::test]
async fn the_header_must_be_that_of_the_lake() {
    let network = network(23);
    let (folder, lake) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    network.write_archive(folder.path());
    network.write_lake(lake.path());
    let mut checkpoint = network.checkpoints()[&LEDGER].clone();
    checkpoint.change_header(|header| header.total_coins += 1);
    checkpoint.write(folder.path());
    let lake: Arc<dyn Dataset> =
        Arc::new(flight_source::Lake::open(&crate::lake::at(lake.path())).await.unwrap());
    let archive = Archive::open(&archive_at(folder.path()), Some(lake)).await.unwrap();
    let mut source = serve_with(Arc::new(archive), super::options()).await;
    let refused = source.whole(LEDGER).await.unwrap_err();
    assert_eq!(refused.code(), Code::DataLoss);
    let message = refused.message();
    assert!(
        message.contains(&headers_name(LEDGER)) && message.contains("its header has the hash "),
        "{message}"
    );
    assert!(message.contains(", but lake "), "{message}");
    compare(&mut source, &network, 63).await;
    // without a lake, nothing says that the header is of another chain
    let mut alone = serve_archive(&archive_at(folder.path())).await;
    assert!(!alone.whole(LEDGER).await.unwrap().data.is_empty());
}

#[tokio::test]
async fn the_state_file_must_be_one_of_this_checkpoint_and_this_network() {
    let network = network(23);
    let other = |folder: &Path| {
        std::fs::copy(folder.join(state_name(63)), folder.join(state_name(LEDGER))).unwrap();
    };
    let words = format!("object {}, ledger 127: it is of ledger 63", state_name(LEDGER));
    expect(&network, other, Code::DataLoss, &words).await;
    let words = "it is of the network \"another\", and not of \"Test SDF Network ; September 2015\"";
    expect_state(23, |state| state["networkPassphrase"] = "another".into(), words).await;
    for (version, words) in [
        (Value::from(3), "it has version 3; only 1 and 2 are supported"),
        (Value::from(0), "it has version 0; only"),
        (Value::from("2"), "it has version \"2\"; only"),
        (Value::Null, "it has version null; only"),
    ] {
        expect_state(23, |state| state["version"] = version, words).await;
    }
    let not_json = |folder: &Path| put(folder, &state_name(LEDGER), b"<html>");
    expect(&network, not_json, Code::DataLoss, "it is not the state file of an archive").await;
    let large = |folder: &Path| put(folder, &state_name(LEDGER), &vec![b' '; (1 << 20) + 1]);
    expect(&network, large, Code::DataLoss, "it has more than 1048576 bytes").await;
}

#[tokio::test]
async fn the_lists_must_be_those_of_version_and_protocol() {
    let without = |state: &mut Value| drop(state.as_object_mut().unwrap().remove("hotArchiveBuckets"));
    expect_state(23, without, "it has version 2, but no hotArchiveBuckets").await;
    expect_state(23, |state| state["version"] = 1.into(), "it has version 1, but hotArchiveBuckets").await;
    let older = |state: &mut Value| {
        without(state);
        state["version"] = 1.into();
    };
    expect_state(23, older, "it has no hotArchiveBuckets, which protocol 23 has").await;
    let newer = |state: &mut Value| {
        let empty = "0".repeat(64);
        state["hotArchiveBuckets"] =
            (0..11).map(|_| serde_json::json!({ "curr": empty, "snap": empty })).collect();
        state["version"] = 2.into();
    };
    expect_state(22, newer, "it has hotArchiveBuckets, which protocol 22 has not").await;
    for list in ["currentBuckets", "hotArchiveBuckets"] {
        let shorter = |state: &mut Value| drop(state[list].as_array_mut().unwrap().pop());
        expect_state(23, shorter, "a list of buckets has 10 levels instead of 11").await;
        let named = |state: &mut Value| state[list][4]["snap"] = "../../etc/passwd".into();
        expect_state(23, named, "\"../../etc/passwd\" is not the hash of a bucket").await;
    }
    let of_later =
        |checkpoint: &mut Checkpoint| checkpoint.change_header(|header| header.ledger_version = 31);
    expect_of(23, of_later, "protocol 31 is not supported, only those up to 30").await;
}

/// The index of the first bucket of the live list that has [`VALUE`].
fn newest(checkpoint: &Checkpoint) -> usize {
    let has_value = |bucket: &Vec<u8>| bucket.windows(4).any(|bytes| bytes == VALUE.to_be_bytes());
    checkpoint.buckets.iter().position(has_value).unwrap()
}

fn bytes(records: &[BucketEntry]) -> Vec<u8> {
    let mut bytes = Vec::new();
    records.iter().for_each(|one| record(one, &mut bytes));
    bytes
}

fn meta(protocol: u32, ext: BucketMetadataExt) -> BucketEntry {
    BucketEntry::Metaentry(BucketMetadata { ledger_version: protocol, ext })
}

#[tokio::test]
async fn what_is_proven_must_also_make_sense() {
    let live = || BucketMetadataExt::V1(BucketListType::Live);
    let hot = || BucketMetadataExt::V1(BucketListType::HotArchive);
    let written = |ledger: u32, number: u32| {
        BucketEntry::Liveentry(entries::entry(ledger, &entries::numbered(number, 9)))
    };
    let of_account = || {
        let contract = ScAddress::Account(stellar_xdr::AccountId::default());
        BucketEntry::Liveentry(entries::entry(9, &ContractDataEntry { contract, ..entries::numbered(1, 1) }))
    };
    for (records, words) in [
        (vec![meta(23, hot())], "its metadata are those of a bucket of the other list"),
        (vec![meta(24, live())], "it is of protocol 24, but its checkpoint of protocol 23"),
        (vec![written(9, 1), meta(23, live())], "its metadata are not at its beginning"),
        (vec![meta(23, live()), meta(23, live())], "its metadata are not at its beginning"),
        (vec![written(128, 1)], "an entry was last modified in ledger 128, which is later"),
        (vec![of_account()], "a contract data entry does not belong to a contract"),
        (vec![written(9, 1), written(8, 1)], "a bucket has two versions of the entry with the key hash "),
        (vec![written(9, 77)], " has no time to live"),
    ] {
        let change = |checkpoint: &mut Checkpoint| {
            let newest = newest(checkpoint);
            checkpoint.change_bucket(newest, |_| bytes(&records));
        };
        expect_of(23, change, words).await;
    }
    let without_metadata = |checkpoint: &mut Checkpoint| {
        let last = checkpoint.buckets.len() - 1;
        checkpoint.change_bucket(last, |bucket| {
            let length = u32::from_be_bytes(bucket[..4].try_into().unwrap()) & !(1 << 31);
            bucket[4 + length as usize..].to_vec()
        });
    };
    expect_of(23, without_metadata, "a bucket of archived entries does not begin with its metadata").await;
}

#[tokio::test]
async fn an_entry_without_its_time_to_live_is_damage() {
    let code = LedgerEntry { data: entries::code(1, 100), ..LedgerEntry::default() };
    for lost in [entries::key(&entries::numbered(1, 0)), code.to_key()] {
        let mut network = network(23);
        network.close(vec![Action::LoseTtl(lost)]);
        network.close_up_to(191);
        let folder = tempfile::tempdir().unwrap();
        network.write_archive(folder.path());
        let mut source = serve_archive(&archive_at(folder.path())).await;
        let refused = source.whole(191).await.unwrap_err();
        assert_eq!(refused.code(), Code::DataLoss);
        assert!(refused.message().contains(" has no time to live"), "{refused}");
        compare(&mut source, &network, 127).await;
    }
}

#[tokio::test]
async fn what_is_no_archive_or_one_of_another_network_is_not_opened() {
    async fn refused(options: ArchiveOptions) -> String {
        Archive::open(&options, None).await.err().expect("it is opened").chain()
    }
    let folder = tempfile::tempdir().unwrap();
    let message = refused(archive_at(folder.path())).await;
    assert!(message.starts_with("there is no .well-known/stellar-history.json at "), "{message}");
    network(22).write_archive(folder.path());
    let other = ArchiveOptions { network_passphrase: Some("x".to_owned()), ..archive_at(folder.path()) };
    let message = refused(other).await;
    assert_eq!(message, format!("the archive is of the network {TESTNET:?}, and not of \"x\""));

    let file = folder.path().join(testkit::network::archive::NEWEST);
    let mut state: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    state.as_object_mut().unwrap().remove("networkPassphrase");
    std::fs::write(&file, state.to_string()).unwrap();
    let message = refused(archive_at(folder.path())).await;
    assert_eq!(message, "the archive does not name its network: set --network-passphrase");
    let named = ArchiveOptions { network_passphrase: Some(TESTNET.to_owned()), ..archive_at(folder.path()) };
    assert!(Archive::open(&named, None).await.is_ok());
    state["currentLedger"] = 126.into();
    std::fs::write(&file, state.to_string()).unwrap();
    let message = refused(named).await;
    assert!(message.ends_with("it is of ledger 126, which is no checkpoint"), "{message}");
}

#[test]
fn a_value_is_where_the_tests_look_for_it() {
    let network = network(23);
    let (_, bucket) = bucket(&network);
    let value = ScVal::U32(VALUE).to_xdr(Limits::none()).unwrap();
    assert_eq!(bucket.windows(8).filter(|bytes| *bytes == value).count(), 1);
    let first = u32::from_be_bytes(bucket[..4].try_into().unwrap()) & !(1 << 31);
    let first = BucketEntry::from_xdr(&bucket[4..4 + first as usize], Limits::none()).unwrap();
    assert!(matches!(first, BucketEntry::Metaentry(_)));
}
