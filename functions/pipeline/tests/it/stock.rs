//! A source that no code of this project wrote: stock pyarrow, whose gRPC is that of C++.

use std::time::{Duration, Instant};

use pipeline::Error;
use testkit::port::silent_port;
use testkit::{Asset, Pyarrow, Row, TcpProxy};

use crate::support::World;

/// Ledgers 10 to 19, with rows of every kind in each.
fn rows() -> Vec<Row> {
    let usdc = Asset::credit("USDC", 1);
    (10..20)
        .flat_map(|ledger| {
            [
                Row::at(ledger).contract(ledger).instance(&usdc),
                Row::at(ledger).contract(ledger).balance(ledger, i128::from(ledger) << 40),
                Row::at(ledger).key(ledger).temporary(),
                Row::at(ledger).wasm_instance(ledger).deleted(),
            ]
        })
        .collect()
}

#[tokio::test]
async fn a_stock_pyarrow_is_loaded_from() {
    let source = Pyarrow::of_rows(&rows(), Duration::ZERO);
    let world = World::at(&source.url()).await;
    world.set("WINDOW_LEDGERS", "4");

    world.run().await.unwrap();

    let places = "select ledger_sequence, change_index, contract_key_type, ledger_key_hash, coalesce(balance::text, '-')
        from contract_data.entries order by 1, 2";
    let expected = rows().into_iter().enumerate().map(|(n, row)| {
        let balance = row.balance.map_or("-".to_owned(), |balance| balance.to_string());
        let hash = row.ledger_key_hash.unwrap();
        format!("{} | {} | {} | {hash} | {balance}", row.ledger_sequence, n % 4, row.contract_key_type)
    });
    assert_eq!(world.database.rows(places).await, expected.collect::<Vec<_>>());
    let evidence = "select distinct evidence from contract_data.ingestion_progress";
    assert_eq!(world.database.rows(evidence).await, ["declared"]);
    world.verified().await;
}

// gRPC in C++, Go and Python ends a connection after a few pings without data in between, however long a call may take.
#[tokio::test]
async fn a_source_that_takes_its_time_is_not_pinged() {
    let source = Pyarrow::of_rows(&rows(), Duration::from_secs(7));
    let proxy = TcpProxy::before(&source.url());
    let world = World::at(&proxy.url()).await;
    world.set("FLIGHT_TIMEOUT", "9s"); // pinged three times per timeout, it would get two or three pings

    assert_eq!(world.replay(10, 19).await.unwrap().rows(), 40);

    assert!(proxy.passed() > 0, "nothing went through the proxy");
    assert_eq!(proxy.pings(), 0);
}

#[tokio::test]
async fn an_address_that_says_nothing_is_given_up_long_before_a_long_timeout() {
    let silent = silent_port();
    let world = World::at(&format!("http://{}", silent.address())).await;
    world.set("FLIGHT_TIMEOUT", "5m");
    let begun = Instant::now();
    let error = world.refused(10, 19).await;
    let (told, waited) = (error.chain(), begun.elapsed());
    assert!(matches!(error, Error::Source { transient: true, .. }), "{error:?}");
    assert!(told.contains("the connection was accepted, but nothing came for 10s"), "{told}");
    assert!((Duration::from_secs(9)..Duration::from_secs(20)).contains(&waited), "{waited:?}");
}
