//! Where an archive may be: on disk, in a bucket, on a web server.

use testkit::Bucket;
use testkit::network::archive::state_name;

use super::states::{compare, random};
use super::web::Web;
use super::*;
use crate::lake::layouts::{anonymous, upload};

/// An archive from checkpoint 127 to 255: that of 63 is gone.
fn archive(folder: &Path) -> testkit::network::Network {
    let network = random(9, 23, 4);
    network.write_archive(folder);
    std::fs::remove_file(folder.join(state_name(63))).unwrap();
    network
}

async fn expect(options: &ArchiveOptions, network: &testkit::network::Network) {
    let mut source = serve_archive(options).await;
    for _ in 0..2 {
        let checkpoints = source.checkpoints().await.unwrap();
        assert_eq!(checkpoints, Checkpoints { oldest_ledger: 127, newest_ledger: 255 }, "{}", options.url);
    }
    compare(&mut source, network, 191).await;
    let refused = source.state_info(Table::Data, Some(63)).await.unwrap_err();
    assert!(refused.message().contains("the nearest one is 127"), "{refused}");
}

#[tokio::test]
async fn an_archive_may_be_a_directory_or_its_url() {
    let folder = tempfile::tempdir().unwrap();
    let network = archive(folder.path());
    expect(&archive_at(folder.path()), &network).await;
    let url = format!("file://{}", folder.path().display());
    expect(&ArchiveOptions { url, ..ArchiveOptions::default() }, &network).await;
}

#[tokio::test]
async fn an_archive_may_be_in_a_bucket() {
    let (folder, bucket) = (tempfile::tempdir().unwrap(), Bucket::create().await);
    let network = archive(folder.path());
    upload(folder.path(), &bucket, "prd/core_live_001").await;
    let lake = anonymous(&bucket, "prd/core_live_001");
    let (url, region, endpoint) = (lake.url, lake.region, lake.endpoint);
    expect(&ArchiveOptions { url, region, endpoint, anonymous: true, ..ArchiveOptions::default() }, &network)
        .await;
}

#[tokio::test]
async fn an_archive_may_be_on_the_web_and_say_absent_or_forbidden() {
    let folder = tempfile::tempdir().unwrap();
    let network = archive(folder.path());
    for absent in ["404 Not Found", "403 Forbidden"] {
        let (web, url) = Web::serve_with(folder.path(), None, absent).await;
        expect(&ArchiveOptions { url, ..ArchiveOptions::default() }, &network).await;
        assert!(
            web.count("HEAD", "/history-") < 8,
            "the oldest checkpoint is found by bisection, and remembered"
        );
    }
}
