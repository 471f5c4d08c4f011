//! States over the wire: what is asked for, shared, refused.

use std::time::Duration;

use flight_source::{Lake, Sources};
use tonic::Code;

use super::states::{compare, random};
use super::web::Web;
use super::*;

/// An archive with the checkpoints 63, 127 and 191.
fn archive(seed: u64) -> (tempfile::TempDir, testkit::network::Network) {
    let (folder, network) = (tempfile::tempdir().unwrap(), random(seed, 23, 3));
    network.write_archive(folder.path());
    (folder, network)
}

#[tokio::test]
async fn rows_come_in_order_as_many_as_declared() {
    let (folder, _) = archive(1);
    let archive = Arc::new(Archive::open(&archive_at(folder.path()), None).await.unwrap());
    let mut source = serve_with(archive, ServerOptions { batch_rows: 7, ..super::options() }).await;
    let whole = source.whole(191).await.unwrap();
    assert!(whole.data.windows(2).all(|pair| pair[0].ledger_key_hash < pair[1].ledger_key_hash));
    assert!(whole.ttl.windows(2).all(|pair| pair[0].ledger_key_hash < pair[1].ledger_key_hash));
    assert!(whole.assets.windows(2).all(|pair| pair[0].contract_id < pair[1].contract_id));
    for table in Table::ALL {
        let info = source.state_info(table, Some(191)).await.unwrap();
        assert_eq!((info.endpoint.len(), info.ordered), (1, false));
        assert!(source.messages(info.endpoint[0].ticket.clone().unwrap()).await.len() > 3, "{table:?}");
    }
    assert_eq!(source.whole(191).await.unwrap(), whole, "the same rows at each request");
}

#[tokio::test]
async fn an_archive_alone_has_no_ledgers_and_a_chain_alone_no_checkpoints() {
    let (folder, _) = archive(2);
    let mut source = serve_archive(&archive_at(folder.path())).await;
    for path in [&["contract", "data"][..], &["contract", "ttl", "1", "9"]] {
        let refused = source.info(path).await.unwrap_err();
        assert_eq!(refused.code(), Code::NotFound);
        assert!(refused.message().starts_with("this source has no ledgers, only checkpoints"), "{refused}");
    }
    let mut chain = serve(&spec()).await;
    for ledger in [None, Some(63)] {
        let refused = chain.state_info(Table::Data, ledger).await.unwrap_err();
        assert_eq!(refused.code(), Code::NotFound);
        assert!(refused.message().starts_with("this source has no checkpoints"), "{refused}");
    }
}

#[tokio::test]
async fn a_ledger_that_is_no_checkpoint_is_refused_with_the_nearest_one() {
    let (folder, _) = archive(3);
    std::fs::remove_file(folder.path().join(testkit::network::archive::state_name(63))).unwrap();
    let mut source = serve_archive(&archive_at(folder.path())).await;
    assert_eq!(source.checkpoints().await.unwrap(), Checkpoints { oldest_ledger: 127, newest_ledger: 191 });
    for (ledger, nearest) in [(0, 127), (63, 127), (130, 127), (170, 191), (192, 191), (255, 191)] {
        let refused = source.state_info(Table::Ttl, Some(ledger)).await.unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition);
        let words = format!("ledger {ledger} is no checkpoint of the archive ");
        assert!(refused.message().starts_with(&words), "{refused}");
        let words = format!("the nearest one is {nearest}; they are every 64 ledgers from 127 to 191");
        assert!(refused.message().ends_with(&words), "{refused}");
    }
    for path in [&["contract", "state", "x"][..], &["contract", "state", "1", "2"], &["contract", "states"]] {
        assert_eq!(source.info(path).await.unwrap_err().code(), Code::InvalidArgument, "{path:?}");
    }
}

#[tokio::test]
async fn an_archive_beside_a_lake_serves_both_and_their_tickets_differ() {
    let (folder, network) = archive(4);
    let ledgers = tempfile::tempdir().unwrap();
    network.write_lake(ledgers.path());
    let lake: Arc<dyn Dataset> = Arc::new(Lake::open(&crate::lake::at(ledgers.path())).await.unwrap());
    let archive = Archive::open(&archive_at(folder.path()), Some(lake.clone())).await.unwrap();
    let sources = Sources { ledgers: Some(lake), state: Some(Arc::new(archive)) };
    let mut source = serve_with(sources, super::options()).await;
    compare(&mut source, &network, 127).await;
    assert_eq!(declared(&source.window(2, 191).await).end, 191);
    let all = source.client.list_flights(arrow_flight::Criteria::default()).await.unwrap().into_inner();
    assert_eq!(all.try_collect::<Vec<FlightInfo>>().await.unwrap().len(), 6);

    let ticket = |info: FlightInfo| info.endpoint[0].ticket.clone().unwrap();
    let of_window = ticket(source.window(127, 127).await);
    let of_state = ticket(source.state_info(Table::Data, Some(127)).await.unwrap());
    let mut alone = serve_archive(&archive_at(folder.path())).await;
    let mut only_lake = crate::lake::serve_lake(&crate::lake::at(ledgers.path())).await;
    for (source, ticket) in [(&mut alone, of_window), (&mut only_lake, of_state)] {
        let refused = source.client.do_get(ticket).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().contains("did not issue the ticket"), "{refused}");
    }
}

#[tokio::test]
async fn the_state_prepared_last_is_kept_and_others_are_asked_for_again() {
    let (folder, network) = archive(5);
    let mut source = serve_archive(&archive_at(folder.path())).await;
    let info = source.state_info(Table::Data, Some(63)).await.unwrap();
    let ticket = info.endpoint[0].ticket.clone().unwrap();
    let begun = source.client.do_get(ticket.clone()).await.unwrap().into_inner();
    compare(&mut source, &network, 127).await;
    let refused = source.client.do_get(ticket).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(refused.message().contains("checkpoint 63 is no longer prepared: ask for its FlightInfo again"));
    assert!(begun.try_collect::<Vec<FlightData>>().await.unwrap().len() > 1, "a stream goes on");
    compare(&mut source, &network, 63).await;
}

#[tokio::test]
async fn all_who_ask_for_a_state_share_its_preparation_and_it_goes_on_without_them() {
    let (folder, network) = archive(6);
    let buckets = network.checkpoints()[&191].buckets.len();
    let (web, url) = Web::serve(folder.path(), Some("/bucket-")).await;
    let mut source = serve_archive(&ArchiveOptions { url, ..ArchiveOptions::default() }).await;
    let ask = |source: &Source, table| {
        let mut client = source.client.clone();
        let path = FlightDescriptor::new_path(state_path(table, Some(191)));
        tokio::spawn(async move { client.get_flight_info(path).await })
    };
    let cancelled = ask(&source, Table::Data);
    while web.count("GET", "/bucket-") == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    cancelled.abort();
    assert!(cancelled.await.unwrap_err().is_cancelled());
    let others = Table::ALL.map(|table| ask(&source, table));
    web.go_on.add_permits(buckets);
    for other in others {
        assert!(other.await.unwrap().unwrap().into_inner().total_records > 0);
    }
    compare(&mut source, &network, 191).await;
    assert_eq!(web.count("GET", "/bucket-"), buckets, "each bucket was read once");
}

#[tokio::test]
async fn a_store_that_stalls_is_unavailable_and_may_be_asked_again() {
    let (folder, network) = archive(7);
    for part in ["/bucket-", "/ledger-", "/history-000000bf"] {
        let (web, url) = Web::serve(folder.path(), Some(part)).await;
        let patience = Some(Duration::from_millis(300));
        let mut source = serve_archive(&ArchiveOptions { url, patience, ..ArchiveOptions::default() }).await;
        let asked = source.state_info(Table::Data, Some(191));
        let refused = tokio::time::timeout(Duration::from_secs(10), asked).await.unwrap().unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable, "{refused}");
        assert!(
            refused.message().contains("stalled: nothing of ") && refused.message().contains(part),
            "{refused}"
        );
        assert!(refused.message().ends_with("came for 0.3 seconds"), "{refused}");
        web.go_on.add_permits(1_000);
        compare(&mut source, &network, 191).await;
    }
}

#[tokio::test]
async fn a_directory_for_temporary_files_that_is_not_there_is_named_at_once() {
    let (folder, _) = archive(8);
    let temporary = Some(folder.path().join("missing"));
    let options = ArchiveOptions { temporary, ..archive_at(folder.path()) };
    let refused = Archive::open(&options, None).await.err().unwrap().chain();
    assert!(refused.starts_with("cannot keep the state in temporary files in "), "{refused}");
    assert!(refused.contains("missing: No such file or directory"), "{refused}");
}
