//! A host that runs out of time in COMMIT, and drops the future: its work is neither lost nor done twice.

use std::time::Duration;

use testkit::proxy::postgres::{Fault, Message};
use testkit::{Chain, PostgresProxy, Row, Source};

use crate::support::World;

/// A world whose first replay of ledgers 10 to 19 hangs in COMMIT, and is dropped there.
async fn dropped_in_commit(fault: Fault) -> (World, PostgresProxy, Source) {
    let rows = (10..20).map(|ledger| Row::at(ledger).key(ledger % 3).value(ledger.into())).collect();
    let source = Chain::of_rows(rows).serve();
    let world = World::around(&source).await;
    let proxy = PostgresProxy::before(&world.database.url());
    world.set("DATABASE_URL", &proxy.url());
    proxy.at_next(Message::Commit, fault);
    tokio::select! {
        outcome = world.replay(10, 19) => panic!("it does not hang: {outcome:?}"),
        () = proxy.struck() => {}
    }
    assert_eq!(world.objects("staging").len(), 1, "kept while the outcome is open");
    (world, proxy, source)
}

#[tokio::test]
async fn a_commit_that_was_dropped_and_done_is_found() {
    let (world, _proxy, source) = dropped_in_commit(Fault::HoldAnswer).await;
    let report = world.replay(10, 19).await.unwrap();
    assert_eq!(report.windows.len(), 0);
    assert_eq!((source.drains(), world.entries().await.len()), (1, 10));
    assert_eq!(world.objects("staging"), Vec::<String>::new());
    assert_eq!(world.objects("archive").len(), 1);
    world.verified().await;
}

#[tokio::test]
async fn a_commit_that_was_dropped_and_not_done_is_waited_for_and_done() {
    let (world, proxy, source) = dropped_in_commit(Fault::HoldBefore).await;
    // The session continues: its answer may still come. The next load of the window waits for it.
    let url = world.database.url();
    world.set("DATABASE_URL", &url);
    let waiting = "select count(*) from pg_stat_activity where datname = current_database()
                   and wait_event_type = 'Lock' and application_name like 'contract-data-loader%'";
    let (report, ()) = futures::future::join(Box::pin(world.replay(10, 19)), async {
        while world.database.value(waiting).await == "0" {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        drop(proxy);
    })
    .await;
    assert_eq!(report.unwrap().rows(), 10);
    assert_eq!((source.drains(), world.entries().await.len()), (1, 10));
    assert_eq!(world.objects("staging"), Vec::<String>::new());
    world.verified().await;
}
