//! Errors of the object store give exit code 4.

use testkit::port::closed_port;

use crate::support::World;

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_exit_code_4() {
    let world = World::new(1..=16).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let url = format!("file://{}/below", file.path().display());
    for line in ["run", "replay -s 1 -e 16", "verify"] {
        let told = world.fails(line, &[("STAGING_URL", &url)], 4).await;
        assert!(told.starts_with(&format!("ingestctl: staging: cannot create {url}")), "{told}");
    }
    world.expect_nothing().await;
}

#[tokio::test]
async fn a_bucket_that_is_missing_or_out_of_reach_is_exit_code_4() {
    let world = World::on_s3(1..=16).await;
    let closed = closed_port();
    let endpoint = format!("http://{}", closed.address());
    for line in ["run", "replay -s 1 -e 16"] {
        let told = world.fails(line, &[("STAGING_URL", "s3://cdl-test-no-such-bucket/prefix")], 4).await;
        assert!(told.starts_with("ingestctl: staging: cannot ") && told.contains("NoSuchBucket"), "{told}");
        let told = world.fails(line, &[("AWS_ENDPOINT_URL", &endpoint)], 4).await;
        assert!(told.starts_with("ingestctl: staging: cannot "), "{told}");
    }
    world.expect_nothing().await;
}

#[tokio::test]
async fn a_store_that_fails_between_commit_and_archive_is_made_good_by_the_next_run() {
    let world = World::new(1..=16).await;
    // A file where the folder of the partition has to be.
    let network = world.file("archive/contract_data/v1/network=pubnet");
    std::fs::create_dir_all(&network).unwrap();
    let partition = network.join("ledger_range=0");
    std::fs::write(&partition, "in the way").unwrap();

    let told = world.fails("run", &[], 4).await;
    assert!(told.starts_with("ingestctl: staging: cannot move staging/"), "{told}");
    assert_eq!(world.windows().await, ["1-16"]);
    assert_eq!(world.staged().await.len(), 1, "kept until it is archived");

    std::fs::remove_file(&partition).unwrap();
    world.succeeds("run").await;
    assert_eq!(world.source.drains(), 1);
    world.expect_whole(&[1..=16]).await;
}

#[tokio::test]
async fn an_object_that_was_lost_before_its_archive_is_told_and_stops_nobody() {
    let world = World::new(1..=32).await;
    world.is_killed("run --max-windows 1", "committed=return").await;
    for object in world.staged().await {
        std::fs::remove_file(world.file(&object)).unwrap();
    }

    let output = world.succeeds("run").await;

    assert!(output.stderr.contains("not archived"), "{}", output.stderr);
    assert_eq!(world.windows().await, ["1-16", "17-32"]);
    let found = world.ingestctl("verify").run().await.expect_code(7);
    assert!(
        found.stdout.contains("ledgers 1-16: object staging/") && found.stdout.contains("it is gone"),
        "{}",
        found.stdout
    );
}
