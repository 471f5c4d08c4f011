//! Errors of the object store during the work: transient ones are retried, permanent ones give exit code 4, and no
//! window is recorded without a complete object.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use testkit::proxy::s3::{S3Fault, S3Request};
use testkit::{Chain, Database, Program, Row, S3Proxy};

use crate::support::{Store, World};

/// A world on S3, and a proxy before it.
async fn proxied() -> (World, S3Proxy) {
    let world = World::on_s3(1..=16).await;
    let Store::Bucket(bucket) = &world.store else { panic!("on S3") };
    let variables = bucket.env();
    let endpoint = variables.iter().find(|(name, _)| name == "AWS_ENDPOINT_URL").unwrap().1.clone();
    (world, S3Proxy::before(&endpoint))
}

fn through(world: &World, proxy: &S3Proxy, line: &str) -> Program {
    world.ingestctl(line).env("AWS_ENDPOINT_URL", proxy.url())
}

/// Fails the first requests of a kind.
fn first(
    times: usize,
    kind: fn(&S3Request) -> bool,
    fault: S3Fault,
) -> impl FnMut(&S3Request) -> Option<S3Fault> {
    let mut left = times;
    move |request| {
        let strikes = kind(request) && left > 0;
        left -= usize::from(strikes);
        strikes.then_some(fault)
    }
}

const ANY: fn(&S3Request) -> bool = |_| true;
const PUT: fn(&S3Request) -> bool = |request| request.method == "PUT";
const GET: fn(&S3Request) -> bool = |request| request.method == "GET";
const SECOND_PART: fn(&S3Request) -> bool = |request| request.target.contains("partNumber=2");

#[tokio::test]
async fn trouble_of_s3_that_passes_is_tried_again() {
    for (kind, fault) in [
        (ANY, S3Fault::Refuse(503, "SlowDown")),
        (PUT, S3Fault::Refuse(500, "InternalError")),
        (PUT, S3Fault::Refuse(429, "TooManyRequests")),
        (GET, S3Fault::Refuse(503, "ServiceUnavailable")),
        (GET, S3Fault::LoseAnswer),
    ] {
        let (world, proxy) = proxied().await;
        proxy.fail(first(2, kind, fault));
        through(&world, &proxy, "run").run().await.expect_code(0);
        assert_eq!(world.source.drains(), 1, "{fault:?}");
        world.expect_whole(&[1..=16]).await;
    }
}

#[tokio::test]
async fn a_put_whose_answer_is_lost_is_no_trouble() {
    for fault in [S3Fault::LoseAnswer, S3Fault::DoAndRefuse(500, "InternalError")] {
        let (world, proxy) = proxied().await;
        proxy.fail(first(1, PUT, fault));
        through(&world, &proxy, "run").run().await.expect_code(0);
        world.expect_whole(&[1..=16]).await;
    }
}

#[tokio::test]
async fn trouble_of_s3_that_stays_is_exit_code_4_after_a_few_attempts() {
    let (world, proxy) = proxied().await;
    proxy.fail(|_| Some(S3Fault::Refuse(503, "SlowDown")));
    let output =
        through(&world, &proxy, "replay -s 1 -e 16").env("MAX_RETRIES", "2").run().await.expect_code(4);
    assert!(output.stderr.contains("SlowDown"), "{}", output.stderr);
    assert_eq!(proxy.requests().len(), 3, "{:?}", proxy.requests());
    world.expect_nothing().await;
}

#[tokio::test]
async fn what_s3_forbids_is_not_asked_for_again() {
    for (code, word) in [(403, "AccessDenied"), (403, "InvalidAccessKeyId"), (400, "ExpiredToken")] {
        let (world, proxy) = proxied().await;
        let stages = |request: &S3Request| PUT(request) && request.target.contains("/staging/");
        proxy.fail(move |request| stages(request).then_some(S3Fault::Refuse(code, word)));
        let output = through(&world, &proxy, "run").env("MAX_RETRIES", "5").run().await.expect_code(4);
        assert!(
            output.stderr.contains("cannot complete staging/") && output.stderr.contains(word),
            "{}",
            output.stderr
        );
        let puts = proxy.requests().iter().filter(|request| stages(request)).count();
        assert_eq!(puts, 1, "{word}");
        world.expect_nothing().await;
    }
}

/// Two parts and a bit: an object that S3 gets piece by piece.
fn large() -> Vec<Row> {
    let mut noise = 1_u64;
    let mut word = move || {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        noise
    };
    (0..12_000)
        .map(|n| {
            let bytes: Vec<u8> = (0..144).flat_map(|_| word().to_be_bytes()).collect();
            Row {
                val_xdr: Some(testkit::xdr::base64(&bytes.try_into().unwrap())),
                ..Row::at(1 + n / 6_000).key(n)
            }
        })
        .collect()
}

/// S3 may be silent for 3 seconds here, instead of 10.
const SHORT_SILENCE: (&str, &str) = ("FAILPOINTS", "store_silence=return(3)");

#[tokio::test]
async fn an_s3_that_falls_silent_is_given_up() {
    for fault in [S3Fault::Silence, S3Fault::SilenceInBody] {
        let (world, proxy) = proxied().await;
        // The mark of the archive: the first object that is read.
        world.succeeds("run").await;
        proxy.fail(move |request| GET(request).then_some(fault));
        let run = through(&world, &proxy, "run").env(SHORT_SILENCE.0, SHORT_SILENCE.1);
        let output = run.clone().env("MAX_RETRIES", "0").run().await.expect_code(4);
        assert!(output.stderr.contains("no answer within 3s"), "{fault:?}: {}", output.stderr);

        // One silence may be that of a connection that was kept for too long.
        proxy.fail(first(1, GET, fault));
        run.run().await.expect_code(0);
        world.expect_whole(&[1..=16]).await;
    }
}

#[tokio::test]
async fn a_slow_line_is_not_silent() {
    let (world, proxy) = proxied().await;
    let chain = Chain::of_rows(large());
    world.source.answer_with(move |request| chain.answer(request));
    // A part of the upload takes longer to be answered than a silence may last, and a read of the object takes longer as a whole.
    let mut part = first(1, SECOND_PART, S3Fault::Slowly(Duration::from_secs(4)));
    let reads: fn(&S3Request) -> bool = |request| GET(request) && request.target.contains(".parquet");
    let mut read = first(1, reads, S3Fault::Slowly(Duration::from_secs(1)));
    proxy.fail(move |request| part(request).or_else(|| read(request)));
    let replay = through(&world, &proxy, "replay -s 1 -e 2").env(SHORT_SILENCE.0, SHORT_SILENCE.1);
    replay.env("MAX_RETRIES", "0").run().await.expect_code(0);
    for kind in [SECOND_PART, reads] {
        assert!(proxy.requests().iter().any(kind));
    }
    world.succeeds("verify").await;
}

#[tokio::test]
async fn an_upload_in_parts_is_whole_or_absent() {
    let (small, proxy) = proxied().await;
    let rows = large();
    let chain = Chain::of_rows(rows.clone());
    small.source.answer_with(move |request| chain.answer(request));
    let completes: fn(&S3Request) -> bool =
        |request| request.method == "POST" && request.target.contains("uploadId=");
    let line = "replay -s 1 -e 2";
    for (kind, fault) in [
        (SECOND_PART, S3Fault::Refuse(403, "AccessDenied")),
        (completes, S3Fault::Refuse(403, "AccessDenied")),
    ] {
        proxy.fail(first(1, kind, fault));
        through(&small, &proxy, line).run().await.expect_code(4);
        small.expect_nothing().await;
    }
    // False success, in the middle and at the end.
    let struck = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&struck);
    proxy.fail(move |request| {
        let strikes = completes(request) && counted.fetch_add(1, Ordering::SeqCst) == 0;
        strikes.then_some(S3Fault::ErrorIn200("InternalError"))
    });
    let output = through(&small, &proxy, line).run().await;
    assert!(matches!(output.code, Some(0 | 4)), "{}", output.stderr);
    if output.code == Some(4) {
        small.expect_nothing().await;
        through(&small, &proxy, line).run().await.expect_code(0);
    }
    assert!(struck.load(Ordering::SeqCst) > 0, "the object was uploaded in parts");
    assert_eq!(small.database.value("select count(*) from contract_data.entries").await, "12000");
    small.succeeds("verify").await;
}

/// A small disk that only one process sees, mounted in a namespace of its own; 96 KiB of it, with a file in it that leaves
/// no more than a bit.
fn on_a_full_disk(world: &World, line: &str, variable: &str, url: &str, disk: &str) -> Program {
    let root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    let namespace: &[&str] = if root { &["--mount"] } else { &["--user", "--map-root-user", "--mount"] };
    let script = "mount -t tmpfs -o size=64k tmpfs \"$1\" && head -c 61440 /dev/zero >\"$1/in-the-way\" && shift && exec \"$@\"";
    let program = world.ingestctl(line);
    program
        .within("unshare", namespace.iter().copied().chain(["sh", "-c", script, "sh", disk]))
        .env(variable, url)
}

#[tokio::test]
async fn a_disk_that_is_full_is_exit_code_4_and_nothing_is_recorded() {
    let disk = tempfile::tempdir().unwrap();
    let path = disk.path().to_str().unwrap().to_owned();
    let world = World::new(1..=16).await;
    let url = format!("file://{path}");
    let program = on_a_full_disk(&world, "replay -s 1 -e 16", "STAGING_URL", &url, &path);
    let output = program.env("MAX_RETRIES", "0").run().await.expect_code(4);
    assert!(output.stderr.contains("No space left on device"), "{}", output.stderr);
    world.expect_nothing().await;

    // Ledgers out of order go through local disk first.
    let large = |ledger| (0..12).map(move |key| Row::at(ledger).key(key).value_of_size(64 << 10));
    let backwards: Vec<Row> = (1..=16).rev().flat_map(large).collect();
    let chain = Chain::of_rows(backwards.clone()).range(1..=16);
    let world = World::with(Database::create().await, chain, backwards).await;
    let program = on_a_full_disk(&world, "replay -s 1 -e 16", "TMPDIR", &path, &path);
    let output = program.env("MAX_RETRIES", "0").run().await.expect_code(4);
    assert!(output.stderr.contains("No space left on device"), "{}", output.stderr);
    world.expect_nothing().await;
    world.succeeds("run").await;
    world.succeeds("verify").await;
}
