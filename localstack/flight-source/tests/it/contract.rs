//! The Flight service: windows, counts, the tip, tickets, tokens.

use std::time::Duration;

use futures::future;
use pipeline::LedgerWindow;
use tonic::metadata::MetadataValue;
use tonic::{Code, Request};

use super::*;

const LAST: u32 = FIRST + 1_999;

/// A timeout that is reached only if something hangs.
const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn the_same_seed_gives_the_same_bytes() {
    let mut bytes = Vec::new();
    for seed in [7, 7, 8] {
        let mut source = serve(&ChainSpec { seed, ..spec() }).await;
        let info = source.window(FIRST, FIRST + 300).await;
        let messages = source.messages(info.endpoint[0].ticket.clone().unwrap()).await;
        assert!(messages.len() > 2, "the schema and several batches");
        bytes.push((info.schema, messages));
    }
    assert!(bytes[0] == bytes[1], "the same chain twice");
    assert!(bytes[0].1 != bytes[2].1, "chains of different seeds");
}

#[tokio::test]
async fn different_windows_give_the_same_rows() {
    let mut source = serve(&spec()).await;
    let mut small = serve_with(chain(&spec()), ServerOptions { batch_rows: 10, ..options() }).await;
    for (table, least) in [(Table::Data, 8_000), (Table::Ttl, 2_000), (Table::Assets, 500)] {
        let whole = source.rows_of(table, FIRST, FIRST + 399).await;
        assert_eq!(whole.schema(), table.source_schema());
        assert!(whole.num_rows() > least, "{} rows of {}", whole.num_rows(), table.name());
        for step in [1, 7, 64, 399] {
            let mut parts = Vec::new();
            for start in (FIRST..FIRST + 400).step_by(step) {
                let end = (start + step as u32 - 1).min(FIRST + 399);
                parts.push(source.rows_of(table, start, end).await);
            }
            assert!(concat_batches(&whole.schema(), &parts).unwrap() == whole, "in windows of {step}");
        }
        assert!(small.rows_of(table, FIRST, FIRST + 399).await == whole, "in batches of 10 rows");
    }
    assert_eq!(Table::Data.source_schema(), testkit::schema::schema());
}

#[tokio::test]
async fn endpoints_are_slices_of_the_window_in_order() {
    let mut source = serve(&spec()).await;
    let whole = source.rows(FIRST + 5, FIRST + 104).await;
    let mut sliced = serve_with(chain(&spec()), ServerOptions { endpoints: 4, ..options() }).await;
    let info = sliced.window(FIRST + 5, FIRST + 104).await;
    assert_eq!((info.endpoint.len(), info.ordered), (4, true));
    assert!(sliced.drain(info).await == whole);
    let info = sliced.window(FIRST, FIRST).await;
    assert_eq!((info.endpoint.len(), info.ordered), (1, false), "one ledger has one slice");
}

#[tokio::test]
async fn a_window_is_limited_to_the_ledgers_from_the_first_to_the_tip() {
    let mut source = serve(&spec()).await;
    let inside = declared(&source.window(FIRST + 10, FIRST + 19).await);
    assert_eq!((inside.start, inside.end), (FIRST + 10, FIRST + 19));
    assert_eq!(inside.latest_closed_at, "2025-12-31T21:15:00Z", "1,980 ledgers before the tip");

    let past = source.window(LAST - 9, LAST + 100).await;
    assert_eq!((declared(&past).start, declared(&past).end), (LAST - 9, LAST));
    assert_eq!(declared(&past).latest_closed_at, "2026-01-01T00:00:00Z");
    assert_eq!(source.drain(past).await, source.rows(LAST - 9, LAST).await);

    let beyond = source.window(LAST + 1, LAST + 100).await;
    assert_eq!((declared(&beyond).start, declared(&beyond).end, declared(&beyond).rows), (LAST + 1, LAST, 0));
    assert!(beyond.endpoint.is_empty());

    let early = source.window(FIRST - 50, FIRST + 9).await;
    assert_eq!((declared(&early).start, declared(&early).end), (FIRST, FIRST + 9));
    assert_eq!(source.drain(early).await, source.rows(FIRST, FIRST + 9).await);

    let too_early = declared(&source.window(1, FIRST - 1).await);
    assert_eq!((too_early.start, too_early.end, too_early.rows), (FIRST, FIRST - 1, 0));

    let all = source.info(&["contract", "data"]).await.unwrap();
    assert!(all.endpoint.is_empty());
    let rows = source.window(0, u32::MAX).await.total_records;
    let expected =
        Declared { start: FIRST, end: LAST, latest_closed_at: "2026-01-01T00:00:00Z".to_owned(), rows };
    assert_eq!(declared(&all), expected);
    let listed: Vec<_> = source
        .client
        .list_flights(arrow_flight::Criteria::default())
        .await
        .unwrap()
        .into_inner()
        .try_collect()
        .await
        .unwrap();
    assert_eq!(listed.len(), 3, "one for each table");
    assert_eq!(listed[0], all);
}

#[tokio::test]
async fn the_tip_advances_to_the_last_ledger_and_rows_do_not_change() {
    let moving = ChainSpec { tip: Some(LAST - 100), tip_every: Some(Duration::from_millis(20)), ..spec() };
    let mut source = serve(&moving).await;
    let mut tips = vec![LAST - 100];
    let moved = async {
        while tips.last() != Some(&LAST) {
            let info = source.window(LAST - 100, LAST + 5).await;
            let answer = declared(&info);
            assert_eq!(answer.start, LAST - 100);
            assert!(answer.end >= *tips.last().unwrap(), "the tip went back");
            let rows = source.drain(info).await;
            assert_eq!(rows.num_rows() as i64, answer.rows, "the window ends at the declared ledger");
            tips.push(answer.end);
        }
    };
    tokio::time::timeout(LONG, moved).await.expect("the tip moves");
    assert_eq!(declared(&source.info(&["contract", "data"]).await.unwrap()).end, LAST, "and stops there");
    tips.dedup();
    assert!(tips.len() > 2, "the tip was seen to move: {tips:?}");

    // only the close times differ, by the distance between the two tips
    let still = serve(&spec()).await.rows(LAST - 50, LAST).await;
    let moved = source.rows(LAST - 50, LAST).await;
    let closed_at = still.schema().index_of("closed_at").unwrap();
    for column in (0..18).filter(|column| *column != closed_at) {
        assert_eq!(still.column(column), moved.column(column));
    }
    assert_eq!(record::records(&moved)[0].closed_at - record::records(&still)[0].closed_at, 500_000_000);
}

#[tokio::test]
async fn a_chain_without_a_tip_grows_past_its_last_ledger() {
    let growing = ChainSpec { ledgers: 10, tip_every: Some(Duration::from_millis(1)), ..spec() };
    let mut source = serve(&growing).await;
    let grown = async {
        while declared(&source.info(&["contract", "data"]).await.unwrap()).end < FIRST + 20 {}
        source.rows(FIRST, FIRST + 20).await
    };
    assert!(tokio::time::timeout(LONG, grown).await.expect("the chain grows").num_rows() > 100);
}

#[tokio::test]
async fn bad_requests_are_refused_with_a_clear_message() {
    let mut source = serve(&spec()).await;
    let cases: [(&[&str], &str); 9] = [
        (&["contract", "data", "x", "5"], "the start ledger \"x\" is not a number"),
        (&["contract", "data", "5", "4294967296"], "the end ledger \"4294967296\" is not a number"),
        (&["contract", "data", "-1", "5"], "the start ledger \"-1\" is not a number"),
        (&["contract", "data", "6", "5"], "the range 6 to 5 is reversed"),
        (&["contract", "data", "6"], "there is no dataset at the path"),
        (&["contract", "events", "5", "6"], "there is no dataset at the path"),
        (
            &["contract", "events"],
            "ask for contract, table, start, end, or for contract, state, checkpoint; tables: data",
        ),
        (&["contract"], "there is no dataset at the path"),
        (&[], "there is no dataset at the path"),
    ];
    for (path, sentence) in cases {
        let refused = source.info(path).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().contains(sentence), "{path:?}: {refused}");
    }
    let command = source.client.get_flight_info(FlightDescriptor::new_cmd("SELECT 1")).await.unwrap_err();
    assert_eq!(command.code(), Code::InvalidArgument);
    let unimplemented = source.client.get_schema(FlightDescriptor::new_cmd("SELECT 1")).await.unwrap_err();
    assert_eq!(unimplemented.code(), Code::Unimplemented);
}

#[tokio::test]
async fn a_ticket_that_the_source_did_not_issue_is_refused() {
    let mut source = serve(&spec()).await;
    let mut other = serve(&ChainSpec { seed: 8, ..spec() }).await;
    let good = source.window(FIRST, FIRST + 1).await.endpoint[0].ticket.clone().unwrap();
    let foreign = other.window(FIRST, FIRST + 1).await.endpoint[0].ticket.clone().unwrap();
    let mut forged = good.ticket.to_vec();
    forged[7] ^= 1;
    for bad in [Ticket::new(forged), foreign, Ticket::new("50000000-50000001"), Ticket::new("")] {
        let refused = source.client.do_get(bad).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().contains("did not issue the ticket"), "{refused}");
    }
    assert!(source.messages(good).await.len() > 1);
}

#[tokio::test]
async fn the_token_is_required_with_every_request() {
    let options = ServerOptions { token: Some("open-sesame".to_owned()), ..options() };
    let mut source = serve_with(chain(&spec()), options).await;
    let descriptor = || FlightDescriptor::new_path(vec!["contract".to_owned(), "data".to_owned()]);
    let with = |value: &str| {
        let mut request = Request::new(descriptor());
        request.metadata_mut().insert("authorization", MetadataValue::try_from(value).unwrap());
        request
    };
    let refused = source.client.get_flight_info(descriptor()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert!(!refused.message().contains("sesame"));
    for wrong in ["Bearer open", "open-sesame", "Bearer open-sesame "] {
        let refused = source.client.get_flight_info(with(wrong)).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated, "{wrong:?}");
    }
    let refused = source.client.do_get(Ticket::new("")).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    source.client.get_flight_info(with("Bearer open-sesame")).await.unwrap();
}

#[tokio::test]
async fn a_stream_ends_when_its_client_disconnects() {
    let mut source = serve(&ChainSpec { ledgers: 4_000_000, rows_per_ledger: 200, ..spec() }).await;
    let ticket = source.window(FIRST, u32::MAX).await.endpoint[0].ticket.clone().unwrap();
    let mut stream = source.client.do_get(ticket).await.unwrap().into_inner();
    for _ in 0..4 {
        stream.try_next().await.unwrap().unwrap();
    }
    assert_eq!(source.streams.count(), 1);
    drop(stream);
    let ended = async {
        while source.streams.count() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, ended).await.expect("the stream ends");
}

#[tokio::test]
async fn the_server_stops_even_if_a_client_does_not_read() {
    let mut source = serve(&ChainSpec { ledgers: 4_000_000, rows_per_ledger: 200, ..spec() }).await;
    let ticket = source.window(FIRST, u32::MAX).await.endpoint[0].ticket.clone().unwrap();
    let mut stream = source.client.do_get(ticket).await.unwrap().into_inner();
    stream.try_next().await.unwrap().unwrap();
    source.stop.send(()).unwrap();
    tokio::time::timeout(LONG, source.server).await.expect("the server ends").unwrap().unwrap();
}

#[tokio::test]
async fn many_clients_get_the_same_rows_at_once() {
    let source = serve(&spec()).await;
    let drains = (0..8).map(|_| {
        let (client, streams) = (source.client.clone(), source.streams.clone());
        let (stop, server) = (oneshot::channel().0, tokio::spawn(future::ready(Ok(()))));
        tokio::spawn(async move { Source { client, streams, stop, server }.rows(FIRST, FIRST + 500).await })
    });
    let drained = future::try_join_all(drains).await.unwrap();
    assert!(drained.windows(2).all(|pair| pair[0] == pair[1]));
}

#[tokio::test]
async fn an_impossible_chain_is_refused() {
    let cases = [
        ChainSpec { ledgers: 0, ..spec() },
        ChainSpec { first_ledger: u32::MAX, ..spec() },
        ChainSpec { tip: Some(FIRST - 1), ..spec() },
        ChainSpec { tip: Some(FIRST + 2_000), ..spec() },
        ChainSpec { rows_per_ledger: 0, ..spec() },
        ChainSpec { ledger_seconds: 0, ..spec() },
    ];
    for spec in cases {
        assert!(matches!(Chain::new(&spec), Err(Error::Options(_))), "{spec:?}");
    }
    let last = ChainSpec { first_ledger: u32::MAX - 9, ledgers: 10, ..spec() };
    let chain = chain(&last);
    let window = LedgerWindow::new(u32::MAX - 9, u32::MAX).unwrap();
    assert_eq!(chain.extent().await.unwrap(), window);
    let rows: usize =
        chain.clone().batches(Table::Data, window, 100).map(|batch| batch.unwrap().num_rows()).sum();
    assert_eq!(Some(rows as u64), chain.count(Table::Data, window).await.unwrap().rows);
}
