//! The same on S3: keys, crash, recovery, concurrency.

use crate::support::{Store, World, all_succeed, json};

#[tokio::test]
async fn a_replay_on_s3_archives_under_the_documented_keys() {
    let world = World::on_s3(60..=100).await;

    world.succeeds("replay -s 60 -e 100").await;

    let archive = "archive/contract_data/v1/network=pubnet";
    let names =
        ["ledger_range=0/60-63", "ledger_range=64/64-79", "ledger_range=64/80-95", "ledger_range=64/96-100"];
    assert_eq!(world.objects().await, names.map(|name| format!("{archive}/{name}.parquet")));
    let Store::Bucket(bucket) = &world.store else { panic!("on S3") };
    let object = bucket.get(&format!("prefix/{archive}/{}.parquet", names[0])).await;
    assert_eq!(&object[..4], b"PAR1");
    world.expect_whole(&[60..=100]).await;
}

#[tokio::test]
async fn what_is_sealed_on_s3_is_loaded_after_a_crash() {
    for point in ["staged", "copied", "committed", "archive_moved", "archive_recorded"] {
        let world = World::on_s3(1..=16).await;
        world.is_killed("run", &format!("{point}=return")).await;
        if !point.starts_with("archive_") {
            let sealed = world.the_staged().await;
            assert!(sealed.starts_with("staging/network=pubnet/1-16-"), "{sealed}");
        }

        let report = json(&world.succeeds("run --json").await);

        if ["staged", "copied"].contains(&point) {
            assert_eq!(report["windows"][0]["source"], "staging", "{point}");
        }
        assert_eq!(world.source.drains(), 1, "{point}");
        world.expect_whole(&[1..=16]).await;
    }
}

#[tokio::test]
async fn processes_that_overlap_on_s3_archive_every_window_once() {
    let world = World::on_s3(1..=96).await;

    let lines = ["replay -s 1 -e 60 --window-ledgers 7", "replay -s 30 -e 96 --window-ledgers 16", "run"];
    all_succeed(lines.map(|line| world.ingestctl(line).spawn()).into()).await;

    world.expect_whole(&[1..=96]).await;
}
