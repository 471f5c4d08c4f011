//! Layouts of lakes: partitions, ledgers per object, compressions, manifests, buckets.

use std::time::{Duration, Instant};

use stellar_xdr::{Limits, ScBytes, ScVal, WriteXdr};
use testkit::Bucket;

use super::entries::*;
use super::maker::*;
use super::*;
use crate::record::records;

/// The next ledgers of a chain, each with one row whose key is the ledger.
pub(super) fn ledgers(maker: &mut Maker, count: u32) -> Vec<stellar_xdr::LedgerCloseMeta> {
    let mut ledger = |_| {
        let at = maker.next;
        maker.ledger(Form::V1, vec![tx(vec![created(at, &numbered(at, 0))])])
    };
    (0..count).map(&mut ledger).collect()
}

/// Writes the next `objects` objects of `each` ledgers, in partitions of `partition` ledgers if that is more than `each`.
pub(super) fn fill(root: &Path, maker: &mut Maker, objects: u32, each: u32, partition: u32, extension: &str) {
    for _ in 0..objects {
        let start = maker.next;
        let xdr = batch(start, ledgers(maker, each));
        put(&folder(root, start, each, partition), (start, start + each - 1), &xdr, extension);
    }
}

fn folder(root: &Path, ledger: u32, each: u32, partition: u32) -> PathBuf {
    let start = ledger / partition * partition;
    if partition > each { root.join(name(start, start + partition - 1)) } else { root.to_owned() }
}

#[tokio::test]
async fn answers_name_the_hash_of_their_last_ledger() {
    let (lake, mut maker, mut hashes) = (tempfile::tempdir().unwrap(), Maker::new(64), Vec::new());
    for _ in 64..=66 {
        fill(lake.path(), &mut maker, 1, 1, 1, "xdr");
        hashes.push(maker.previous.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    }
    let mut source = serve_lake(&at(lake.path())).await;
    for (start, end, last) in [(64, 65, 1), (64, 66, 2), (65, 90, 2), (80, 90, 2)] {
        let info = source.window(start, end).await;
        assert_eq!(field(&info, "latest_hash"), hashes[last], "{start}-{end}");
    }
    let all = source.info(&["contract", "data"]).await.unwrap();
    assert_eq!(field(&all, "latest_hash"), hashes[2]);
}

/// The ledgers of the rows of a window.
pub(super) async fn seen(source: &mut Source, start: u32, end: u32) -> Vec<u32> {
    records(&source.rows(start, end).await).iter().map(|row| row.ledger_sequence).collect()
}

#[tokio::test]
async fn every_layout_serves_the_same_ledgers() {
    for (each, partition) in [(1, 1), (1, 16), (8, 1), (8, 32), (64, 1)] {
        for extension in ["xdr.zstd", "xdr.zst", "xdr.gz", "xdr"] {
            let lake = tempfile::tempdir().unwrap();
            fill(lake.path(), &mut Maker::new(64), 128 / each, each, partition, extension);
            std::fs::write(lake.path().join("README.md"), "not a ledger").unwrap();
            std::fs::create_dir(lake.path().join("other")).unwrap();
            let what = format!("{each} ledgers per object, partitions of {partition}, {extension}");
            let mut source = serve_lake(&at(lake.path())).await;
            let all = declared(&source.info(&["contract", "data"]).await.unwrap());
            assert_eq!((all.start, all.end), (64, 191), "{what}");
            for (start, end) in [(64, 191), (70, 75), (64, 64), (191, 191), (95, 128)] {
                assert_eq!(seen(&mut source, start, end).await, (start..=end).collect::<Vec<_>>(), "{what}");
            }
            let past = source.window(190, 300).await;
            assert_eq!((declared(&past).start, declared(&past).end, declared(&past).rows), (190, 191, 2));
            let early = source.window(1, 65).await;
            assert_eq!((declared(&early).start, declared(&early).end, declared(&early).rows), (64, 65, 2));
            let closed = DateTime::from_timestamp(close_time(191) as i64, 0).unwrap();
            assert_eq!(DateTime::parse_from_rfc3339(&declared(&past).latest_closed_at).unwrap(), closed);
        }
    }
}

#[tokio::test]
async fn a_single_ledger_needs_no_batch_around_it() {
    let lake = tempfile::tempdir().unwrap();
    let mut maker = Maker::new(1);
    for form in [Form::V0, Form::V1, Form::V2, Form::V1] {
        let at = maker.next;
        let ledger = maker.ledger(form, vec![tx(vec![created(at, &numbered(at, 0))])]);
        put(lake.path(), (at, at), &ledger.to_xdr(Limits::none()).unwrap(), "xdr.zst");
    }
    assert_eq!(seen(&mut serve_lake(&at(lake.path())).await, 1, 4).await, [1, 2, 3, 4]);
}

/// Galexie names the first object of a chain 0-63, and writes ledgers 2 to 63 into it.
#[tokio::test]
async fn the_first_object_of_a_chain_starts_with_ledger_2() {
    let lake = tempfile::tempdir().unwrap();
    let mut maker = Maker::new(2);
    put(lake.path(), (0, 63), &batch(2, ledgers(&mut maker, 62)), "xdr.zst");
    fill(lake.path(), &mut maker, 1, 64, 1, "xdr.zst");
    let mut source = serve_lake(&at(lake.path())).await;
    assert_eq!(declared(&source.window(0, 127).await).start, 2);
    assert_eq!(seen(&mut source, 2, 127).await, (2..=127).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_manifest_names_the_network_and_options_must_not_contradict_it() {
    let lake = tempfile::tempdir().unwrap();
    let testnet = "Test SDF Network ; September 2015";
    fill(lake.path(), &mut Maker::of(100, testnet), 2, 1, 1, "xdr.zst");
    let refused = Lake::open(&at(lake.path())).await.unwrap_err().chain();
    assert!(refused.contains("not of the network \"Public Global"), "without a manifest: {refused}");
    assert!(refused.contains("--network-passphrase") && refused.contains("ledger 101"), "{refused}");
    let manifest = format!(
        r#"{{"networkPassphrase":"{testnet}","version":"1.0","compression":"zstd","ledgersPerBatch":1,"batchesPerPartition":1}}"#
    );
    std::fs::write(lake.path().join(".config.json"), manifest).unwrap();
    assert_eq!(seen(&mut serve_lake(&at(lake.path())).await, 100, 101).await, [100, 101]);
    let contradicted = LakeOptions { network_passphrase: Some("another".to_owned()), ..at(lake.path()) };
    let refused = Lake::open(&contradicted).await.unwrap_err().chain();
    assert!(refused.contains("\"another\"") && refused.contains("Test SDF"), "{refused}");
}

#[tokio::test]
async fn another_folder_is_refused_and_its_content_named() {
    let lake = tempfile::tempdir().unwrap();
    let refused = Lake::open(&at(lake.path())).await.unwrap_err().chain();
    assert!(refused.contains("there are no ledgers at"), "{refused}");
    fill(&lake.path().join("pubnet"), &mut Maker::new(5), 1, 1, 1, "xdr");
    let refused = Lake::open(&at(lake.path())).await.unwrap_err().chain();
    assert!(refused.contains("but there is pubnet"), "{refused}");
}

#[tokio::test]
async fn a_lake_that_grows_is_followed() {
    let lake = tempfile::tempdir().unwrap();
    let mut maker = Maker::new(30);
    fill(lake.path(), &mut maker, 1, 1, 4, "xdr.zst");
    let mut source = serve_lake(&at(lake.path())).await;
    assert_eq!(seen(&mut source, 30, 30).await, [30]);
    let beyond = declared(&source.window(31, 40).await);
    assert_eq!((beyond.start, beyond.end, beyond.rows), (31, 30, 0));
    let closed = DateTime::from_timestamp(close_time(30) as i64, 0).unwrap();
    assert_eq!(DateTime::parse_from_rfc3339(&beyond.latest_closed_at).unwrap(), closed);
    // in the same partition, and in the next one
    for last in [31, 33] {
        let more = last + 1 - maker.next;
        fill(lake.path(), &mut maker, more, 1, 4, "xdr.zst");
        let since = Instant::now();
        while declared(&source.window(30, 40).await).end < last {
            assert!(since.elapsed() < Duration::from_secs(10), "ledger {last} is not seen");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    assert_eq!(seen(&mut source, 30, 33).await, [30, 31, 32, 33]);
}

#[tokio::test]
async fn a_lake_is_no_longer_read_when_the_client_disconnects() {
    let lake = tempfile::tempdir().unwrap();
    let mut maker = Maker::new(1_000);
    let value = ScVal::Bytes(ScBytes(vec![7; 60_000].try_into().unwrap()));
    for _ in 0..400 {
        let at = maker.next;
        let change = created(at, &data(ScVal::U32(at), value.clone()));
        put(
            lake.path(),
            (at, at),
            &batch(at, vec![maker.ledger(Form::V1, vec![tx(vec![change])])]),
            "xdr.zst",
        );
    }
    let mut source = serve_lake(&LakeOptions { cache_bytes: 0, ..at(lake.path()) }).await;
    let ticket = source.window(1_000, 1_399).await.endpoint[0].ticket.clone().unwrap();
    let mut stream = source.client.do_get(ticket).await.unwrap().into_inner();
    stream.try_next().await.unwrap().unwrap();
    stream.try_next().await.unwrap().unwrap();
    assert_eq!(source.streams.count(), 1, "32 MB do not fit into the buffers");
    drop(stream);
    let since = Instant::now();
    while source.streams.count() > 0 {
        assert!(since.elapsed() < Duration::from_secs(30), "the lake is still being read");
        tokio::task::yield_now().await;
    }
}

/// Uploads a directory.
pub(crate) async fn upload(directory: &Path, bucket: &Bucket, prefix: &str) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let key = format!("{prefix}/{}", entry.file_name().to_str().unwrap());
        match entry.file_type().unwrap().is_dir() {
            true => Box::pin(upload(&entry.path(), bucket, &key)).await,
            false => bucket.put(&key, &std::fs::read(entry.path()).unwrap()).await,
        }
    }
}

/// Access to the local S3 without signatures.
pub(crate) fn anonymous(bucket: &Bucket, prefix: &str) -> LakeOptions {
    let endpoint = bucket.env().into_iter().find(|(name, _)| name == "AWS_ENDPOINT_URL").unwrap().1;
    LakeOptions {
        url: bucket.url(prefix),
        region: Some("us-east-1".to_owned()),
        endpoint: Some(endpoint),
        anonymous: true,
        network_passphrase: None,
        cache_bytes: 1 << 20,
    }
}

#[tokio::test]
async fn a_bucket_is_a_lake_with_partitions_and_without() {
    let bucket = Bucket::create().await;
    for partition in [1, 16] {
        let (lake, others) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut maker = Maker::new(20);
        fill(others.path(), &mut maker, 17, 1, partition, "xdr.zstd");
        fill(lake.path(), &mut maker, 50, 1, partition, "xdr.zstd");
        fill(others.path(), &mut maker, 12, 1, partition, "xdr.zstd");
        let prefix = format!("v1.1/ledgers-{partition}");
        upload(lake.path(), &bucket, &prefix).await;
        bucket.put(&format!("{prefix}/.config.json"), br#"{"networkPassphrase":null}"#).await;
        bucket.put(&format!("{prefix}-other/{}.xdr", name(1_000, 1_000)), b"of another lake").await;
        let mut source = serve_lake(&anonymous(&bucket, &prefix)).await;
        let all = declared(&source.info(&["contract", "data"]).await.unwrap());
        assert_eq!((all.start, all.end), (37, 86), "partitions of {partition}");
        assert_eq!(seen(&mut source, 37, 86).await, (37..=86).collect::<Vec<_>>());
        assert_eq!(seen(&mut source, 47, 49).await, [47, 48, 49]);

        // ledgers are added at both ends
        upload(others.path(), &bucket, &prefix).await;
        let since = Instant::now();
        while declared(&source.window(0, 200).await).end < 98 {
            assert!(since.elapsed() < Duration::from_secs(10), "the new ledgers are not seen");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(seen(&mut source, 20, 98).await, (20..=98).collect::<Vec<_>>());
        assert_eq!(declared(&source.window(0, 200).await).start, 20);
    }
}

#[tokio::test]
async fn a_bucket_that_does_not_exist_is_named() {
    let bucket = Bucket::create().await;
    let nowhere = LakeOptions { url: "s3://no-such-bucket-of-ours/x".to_owned(), ..anonymous(&bucket, "x") };
    let refused = Lake::open(&nowhere).await.unwrap_err().chain();
    assert!(refused.contains("no-such-bucket-of-ours") || refused.contains("NoSuchBucket"), "{refused}");
}
