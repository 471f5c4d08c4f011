//! The archive alone rebuilds a database; a database never mixes two chains.

use pipeline::{Error, ReplayKind, ReplayOptions};
use testkit::{Asset, Chain, Database, Row, Source, asset};

use crate::support::{FORGET_WINDOWS, World};

/// A replay from the archive.
fn from_archive() -> ReplayOptions {
    ReplayOptions { kind: ReplayKind::FromArchive, ..ReplayOptions::default() }
}

/// Sixty ledgers with balances, an instance, deletions, and ledgers without rows.
fn rows() -> Vec<Row> {
    let usdc = Asset::credit("USDC", 1);
    let contract = usdc.contract_id(asset::PUBNET);
    let mut rows = vec![Row::at(1).of_contract(&contract).instance(&usdc)];
    for ledger in 2..=50 {
        rows.push(Row::at(ledger).of_contract(&contract).balance(ledger % 5, i128::from(ledger) << 70));
        let row = Row::at(ledger).key(ledger % 9).value(ledger.into());
        rows.push(if ledger % 4 == 0 { row.deleted() } else { row });
    }
    rows
}

/// Everything that a restore must bring back, as text.
async fn contents(world: &World) -> Vec<String> {
    let mut contents = Vec::new();
    for sql in [
        "select start_ledger, end_ledger, entries_processed, rows_digest, batch_id, object, evidence
         from contract_data.ingestion_progress order by 1",
        "select * from contract_data.key_states order by ledger_key_hash",
        "select contract_id, asset_code from contract_data.contract_assets order by 1",
    ] {
        contents.extend(world.database.rows(sql).await);
    }
    contents.extend(world.entries().await);
    contents
}

#[tokio::test]
async fn a_dropped_database_comes_back_from_the_archive_without_the_source() {
    let mut source = Chain::of_rows(rows()).range(1..=60).serve();
    let mut world = World::around(&source).await;
    world.set("WINDOW_LEDGERS", "7");
    world.replay(1, 60).await.unwrap();
    let before = contents(&world).await;
    source.stop();

    world.database = Database::create().await;
    world.set("DATABASE_URL", &world.database.url());
    pipeline::migrate(&world.config()).await.unwrap();
    let report = world.replay_with(1, 60, from_archive()).await.unwrap();

    assert_eq!(report.windows.len(), 9);
    assert!(report.windows.iter().all(|w| w.source == pipeline::RowSource::Archive));
    assert_eq!(contents(&world).await, before);
    world.verified().await;
    assert!(
        world.replay_with(1, 60, from_archive()).await.unwrap().windows.is_empty(),
        "nothing is left to do"
    );
}

#[tokio::test]
async fn an_archived_object_that_was_altered_is_not_restored() {
    let source = Chain::of_rows(rows()).range(1..=60).serve();
    let world = World::around(&source).await;
    world.replay(1, 60).await.unwrap();
    let object = world.folder.path().join(&world.objects("archive")[0]);
    let mut bytes = std::fs::read(&object).unwrap();
    let middle = bytes.len() / 3;
    bytes[middle] ^= 0x10;
    std::fs::write(&object, bytes).unwrap();
    world
        .database
        .execute(&format!("truncate contract_data.entries, contract_data.key_states; {FORGET_WINDOWS}"))
        .await;
    let error = world.replay_with(1, 60, from_archive()).await.unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
    assert_eq!(world.entries().await, Vec::<String>::new());
    assert!(object.exists(), "the only copy is not removed");
}

#[tokio::test]
async fn a_chain_that_was_reset_is_refused() {
    let source = Source::of_rows(rows());
    let world = World::around(&source).await;
    world.replay(1, 20).await.unwrap();
    let reset = Chain::of_rows(rows().into_iter().map(|row| row.contract(99)).collect());
    source.answer_with(move |request| reset.answer(request));
    for outcome in [world.replay(21, 50).await, world.run().await] {
        let error = outcome.unwrap_err();
        assert!(matches!(error, Error::Schema(_)), "{error:?}");
        assert!(error.chain().contains("the network was reset, or the source serves another one"), "{error}");
    }
    assert_eq!(world.database.value("select max(ledger_sequence) from contract_data.entries").await, "20");
    world.verified().await;
}

#[tokio::test]
async fn an_asset_told_by_the_operator_shows_at_once() {
    let usdc = Asset::credit("USDC", 1);
    let contract = usdc.contract_id(asset::PUBNET);
    let source = Source::of_rows(vec![Row::at(1).of_contract(&contract).balance(1, 700)]);
    let world = World::around(&source).await;
    world.replay(1, 1).await.unwrap();
    let rich = "select asset_code, balance from contract_data.current_states where asset_code is not null";
    assert_eq!(world.database.rows(rich).await, Vec::<String>::new());

    let told = format!("USDC:{}", testkit::rows::issuer(1));
    let known = pipeline::add_assets(&world.config(), &[told]).await.unwrap();
    assert_eq!((known.len(), known[0].contract_id.as_str()), (1, contract.as_str()));
    assert_eq!(world.database.rows(rich).await, ["USDC | 700"]);
    world.verified().await;

    for wrong in
        ["USDC", "USDC:C", ":GA", "TOOLONGACODE1:GA5ZSEJYB37JRC5AVCIA5MOP4RHTM335X2KGX3IHOJAPP5RE34K4KZVN"]
    {
        let error = pipeline::add_assets(&world.config(), &[wrong.to_owned()]).await.unwrap_err();
        assert!(matches!(error, Error::Usage(_)), "{wrong}: {error:?}");
    }
}

#[tokio::test]
async fn another_order_inside_a_ledger_is_no_other_chain() {
    let rows = |order: [u32; 3]| {
        let of = move |ledger| order.map(|key| Row::at(ledger).key(key).value(key.into()));
        Chain::of_rows((1..=12).flat_map(of).collect())
    };
    let first = rows([1, 2, 3]).range(1..=8).serve();
    let world = World::around(&first).await;
    world.set("WINDOW_LEDGERS", "4");
    world.set("COMMIT_INTERVAL", "0s");
    world.run().await.unwrap();
    let stored = "select fingerprint_ledger, fingerprint_digest from contract_data.settings";
    let before = world.database.value(stored).await;

    let other = rows([3, 1, 2]).range(1..=12).serve();
    world.set("FLIGHT_ENDPOINT", &other.url());
    assert_eq!(world.run().await.unwrap().rows(), 12);
    assert_eq!(world.database.value(stored).await, before);
    world.verified().await;
}
