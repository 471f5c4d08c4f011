//! Faults below Flight: streams that end as with no gRPC server, connections that are cut, slowed down or frozen.

use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow_flight::FlightData;
use arrow_flight::utils::batches_to_flight_data;
use pipeline::Error;
use testkit::flight::{Ending, Reason};
use testkit::proxy::tcp::Flow;
use testkit::{Chain, Info, Row, Source, Step, TcpProxy, WireSource};
use tonic::Code;

use crate::support::World;

/// Twelve rows of ledger 10: a window that cannot be narrowed.
fn rows() -> Vec<Row> {
    (0..12).map(|key| Row::at(10).key(key).value(key.into())).collect()
}

/// The schema, then messages of four rows.
fn messages() -> Vec<FlightData> {
    let batches: Vec<RecordBatch> = rows().chunks(4).map(testkit::rows::batch).collect();
    batches_to_flight_data(&testkit::rows::schema(), &batches).unwrap()
}

/// A source of the rows whose stream ends like this after `kept` messages, including the schema.
fn ending(kept: usize, how: Ending) -> WireSource {
    WireSource::serve(10, 10, 12, &messages()[..kept], how)
}

#[tokio::test]
async fn only_a_stream_that_ends_with_a_status_is_a_window() {
    let faults = [
        Ending::NoStatus,
        Ending::Reset(Reason::NO_ERROR),
        Ending::Reset(Reason::CANCEL),
        Ending::Reset(Reason::INTERNAL_ERROR),
        Ending::Reset(Reason::REFUSED_STREAM),
        Ending::GoAway(Reason::NO_ERROR),
        Ending::GoAway(Reason::ENHANCE_YOUR_CALM),
    ];
    let world = World::at("http://127.0.0.1:1").await;
    for fault in faults {
        // In the middle, and after the last of the rows that were declared.
        for kept in [3, 4] {
            let source = ending(kept, fault);
            world.set("FLIGHT_ENDPOINT", &source.url());
            let error = world.refused(10, 10).await;
            assert!(matches!(error, Error::Source { .. }), "{fault:?}: {error:?}");
            let told = error.chain();
            assert!(told.starts_with("source: the stream "), "{fault:?} after {kept}: {told}");
            assert!(error.is_transient(), "{fault:?} may pass: {told}");
        }
    }
    for honest in [Ending::Graceful, Ending::Status] {
        let source = ending(4, honest);
        let world = World::at(&source.url()).await;
        assert_eq!(world.replay(10, 10).await.unwrap().rows(), 12, "{honest:?}");
        world.verified().await;
    }
}

#[tokio::test]
async fn a_reset_stream_is_drained_again_from_its_start() {
    let source = ending(3, Ending::Reset(Reason::NO_ERROR));
    let world = World::at(&source.url()).await;
    world.set("MAX_RETRIES", "2");
    world.refused(10, 10).await;
    assert_eq!(source.drains(), 3);
}

#[tokio::test]
async fn a_connection_that_is_cut_at_any_byte_gives_no_window() {
    let source = Chain::of_rows(rows()).batch_rows(4).serve();
    let world = World::around(&source).await;
    let proxy = TcpProxy::before(&source.url());
    world.set("FLIGHT_ENDPOINT", &proxy.url());
    world.replay(10, 10).await.unwrap();
    let whole = proxy.passed();
    assert!(whole > 5_000, "{whole} bytes are no stream of rows");

    let world = World::around(&source).await;
    world.set("FLIGHT_ENDPOINT", &proxy.url());
    // Behind the last row come the status and the frames of the connection itself, which are not the same every time.
    let rows_end = whole - 200;
    for cut in (0..rows_end).step_by((rows_end / 70) as usize) {
        proxy.flow(Flow::CutAfter(cut));
        let error = world.refused(10, 10).await;
        assert!(matches!(error, Error::Source { .. }), "cut at {cut}: {error:?}");
    }
    proxy.flow(Flow::Pass);
    assert_eq!(world.replay(10, 10).await.unwrap().rows(), 12);
    world.verified().await;
}

#[tokio::test]
async fn a_byte_at_a_time_is_no_message_in_time() {
    let source = Source::of_rows(rows());
    let world = World::around(&source).await;
    let proxy = TcpProxy::before(&source.url());
    // The answer to GetFlightInfo passes, the rows drip.
    proxy.flow(Flow::DripAfter(1_000, Duration::from_millis(100)));
    world.set("FLIGHT_ENDPOINT", &proxy.url());
    world.set("FLIGHT_TIMEOUT", "500ms");
    let begun = Instant::now();
    let told = world.refused(10, 10).await.chain();
    assert!(told.contains("sent nothing for 500ms in the middle of ledgers 10-10"), "{told}");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn messages_that_drip_are_given_up_in_all() {
    let schema = testkit::rows::schema();
    let empty = batches_to_flight_data(&schema, &[RecordBatch::new_empty(schema.clone())]).unwrap().remove(1);
    let drip = || [Step::Delay(Duration::from_millis(20)), Step::Raw(empty.clone())];
    let steps: Vec<Step> =
        [Step::Schema(schema)].into_iter().chain((0..1_000).flat_map(|_| drip())).collect();
    let source = Source::serve(move |_| Info::declared(10, 10, 12, vec![steps.clone()]).into());
    let world = World::around(&source).await;
    world.set("FLIGHT_TIMEOUT", "200ms");
    let begun = Instant::now();
    let error = world.refused(10, 10).await;
    let told = error.chain();
    assert!(told.contains("kept the loader waiting for 6s in all, and sent 0 rows"), "{told}");
    assert!(error.is_transient());
    let waited = begun.elapsed();
    assert!((Duration::from_secs(6)..Duration::from_secs(15)).contains(&waited), "{waited:?}");
}

#[tokio::test]
async fn a_network_that_swallows_everything_is_noticed_at_the_timeout() {
    let source = Chain::of_rows(rows()).batch_rows(4).serve();
    let world = World::around(&source).await;
    let proxy = TcpProxy::before(&source.url());
    proxy.flow(Flow::FreezeAfter(2_500));
    world.set("FLIGHT_ENDPOINT", &proxy.url());
    let begun = Instant::now();
    let error = world.refused(10, 10).await;
    let (told, waited) = (error.chain(), begun.elapsed());
    assert!(matches!(error, Error::Source { transient: true, .. }), "{error:?}");
    assert!(told.contains("sent nothing for 2s in the middle of ledgers 10-10"), "{told}");
    assert!(waited < Duration::from_secs(6), "{waited:?}");
}

/// Handmade deflate: a zero, then as many repetitions of 258 zeros as fit, 159 to 1.
fn gzip_of_zeros(bytes: usize) -> Vec<u8> {
    let mut gzip = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let (mut bit, mut byte) = (0, 0_u8);
    let mut push = |gzip: &mut Vec<u8>, bits: &[u8]| {
        for set in bits {
            byte |= set << bit;
            bit += 1;
            if bit == 8 {
                gzip.push(byte);
                (bit, byte) = (0, 0);
            }
        }
    };
    push(&mut gzip, &[1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0]); // the last block, fixed codes; the literal 0
    while gzip.len() < bytes {
        push(&mut gzip, &[1, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0]); // 258 more, at distance 1
    }
    gzip
}

/// The most memory that this process has had, in MiB.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

#[tokio::test]
async fn a_compressed_message_of_grpc_is_refused_as_it_is() {
    let bomb = gzip_of_zeros(8 << 20); // 1.3 GB of zeros
    let source = WireSource::compressed(10, 10, "gzip", &bomb);
    let world = World::at(&source.url()).await;
    world.set("MAX_RETRIES", "3");
    let before = peak_mib();
    let error = world.refused(10, 10).await;
    let Error::Source { status, .. } = &error else { panic!("{error:?}") };
    assert_eq!(*status, Some(Code::Unimplemented), "{error:?}");
    assert!(error.chain().contains("gzip"), "{}", error.chain());
    assert_eq!(source.drains(), 1, "no second attempt mends it");
    assert!(peak_mib() - before < 100, "{} MiB more", peak_mib() - before);
}
