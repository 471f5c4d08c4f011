//! The state at a checkpoint: loaded as the state below the first window, and compared with what follows from the history.

use std::sync::Arc;

use pipeline::{
    CheckpointVerification, Error, ReplayKind, ReplayOptions, Result, SnapshotOptions, SnapshotReport,
};
use testkit::{Asset, Chain, Database, Named, Row, Source, State, Ttl, asset};

use crate::lives::History;
use crate::support::World;

const LEDGERS: u32 = 256;
const CHECKPOINTS: [u32; 4] = [63, 127, 191, 255];

fn network(history: &History) -> Chain {
    history.chain().with_states(CHECKPOINTS.map(|checkpoint| history.state(checkpoint)).into())
}

/// A world around a network, with windows of 16 ledgers in partitions of 40: no checkpoint is at the end of one.
async fn world_of(source: &Source) -> World {
    let world = World::around(source).await;
    world.database.execute("update contract_data.settings set partition_ledgers = 40").await;
    for (name, value) in [("PARTITION_LEDGERS", "40"), ("WINDOW_LEDGERS", "16"), ("COMMIT_INTERVAL", "0s")] {
        world.set(name, value);
    }
    world
}

async fn snapshot(world: &World, ledger: impl Into<Option<u32>>) -> Result<SnapshotReport> {
    take(world, SnapshotOptions { ledger: ledger.into(), from_archive: false }).await
}

async fn take(world: &World, options: SnapshotOptions) -> Result<SnapshotReport> {
    pipeline::snapshot(&world.clients(), options, None, Arc::new(|_| {})).await
}

async fn checked(world: &World, ledger: u32) -> CheckpointVerification {
    pipeline::verify_checkpoint(&world.config(), Some(ledger), Arc::new(|_| {})).await.unwrap()
}

/// What there is, until when it lives, and the word for that: as the model of a history says it.
const STATES: &str =
    "select ledger_key_hash, live_until_ledger, liveness from contract_data.current_states order by 1";

async fn states(world: &World) -> Vec<String> {
    world.database.rows(STATES).await
}

/// The current state without the place of the change that it comes from.
async fn current(world: &World) -> Vec<String> {
    let current = "select ledger_key_hash, contract_durability, last_modified_ledger, val_xdr, live_until_ledger, liveness
                   from contract_data.current_states order by 1";
    world.database.rows(current).await
}

fn usage(outcome: Result<SnapshotReport>) -> String {
    match outcome {
        Err(Error::Usage(problem)) => problem,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_snapshot_and_the_windows_after_it_are_the_state_of_all_windows() {
    for seed in 1..=3 {
        let history = History::new(seed, LEDGERS);
        let source = network(&history).serve();
        let (world, all) = (world_of(&source).await, world_of(&source).await);
        let report = snapshot(&world, 127).await.unwrap();
        assert!(
            report.loaded && report.ledger == 127 && report.object.starts_with("archive/snapshots/v1/"),
            "{report:?}"
        );
        assert_eq!(states(&world).await, history.truth(127), "seed {seed}");
        world.verified().await;
        assert_eq!(checked(&world, 127).await.different, 0);

        world.run().await.unwrap();
        all.replay(1, LEDGERS).await.unwrap();
        assert_eq!(states(&world).await, history.truth(LEDGERS), "seed {seed}");
        assert_eq!(current(&world).await, current(&all).await, "seed {seed}");
        let windows =
            world.database.value("select min(start_ledger) from contract_data.ingestion_progress").await;
        assert_eq!(windows, "128", "windows begin after the snapshot");
        for world in [&world, &all] {
            world.verified().await;
            let refreshed = current(world).await;
            world.database.value("select contract_data.refresh_current_states()").await;
            assert_eq!(current(world).await, refreshed, "seed {seed}");
            world.verified().await;
        }
        for checkpoint in [191, 255] {
            let found = checked(&world, checkpoint).await;
            assert_eq!((found.different, found.not_loaded), (0, 0), "{found:#?}");
            assert!(found.entries > 0 && found.equal == found.entries, "{found:#?}");
            assert_eq!(found.bucket_list_hash, format!("{checkpoint:064x}"));
            let found = checked(&all, checkpoint).await;
            assert_eq!((found.different, found.equal), (0, found.entries), "{found:#?}");
        }
        let status = pipeline::status(&world.config()).await.unwrap();
        assert_eq!(status.state, format!("complete at ledger {LEDGERS}: snapshot 127 and no gap"));
        assert_eq!(status.state_complete_at, Some(LEDGERS));
        assert_eq!(pipeline::status(&all.config()).await.unwrap().state_complete_at, None);
    }
}

#[tokio::test]
async fn a_schedule_may_begin_with_a_snapshot() {
    let history = History::new(4, LEDGERS);
    let source = network(&history).serve();
    let world = world_of(&source).await;
    world.set("START_LEDGER", "snapshot");
    let report = world.run().await.unwrap();
    assert_eq!(report.windows.len(), 1, "{report:?}");
    assert_eq!(states(&world).await, history.truth(LEDGERS));
    assert!(world.run().await.unwrap().windows.is_empty());
    assert_eq!(world.database.value("select ledger, archived from contract_data.snapshots").await, "255 | t");
    world.verified().await;
}

#[tokio::test]
async fn what_differs_from_the_network_is_found_and_named() {
    let history = History::new(5, LEDGERS);
    let source = network(&history).serve();
    let world = world_of(&source).await;
    snapshot(&world, 63).await.unwrap();
    world.run().await.unwrap();
    assert_eq!(checked(&world, 255).await.different, 0);
    let newest = "select k.ledger_key_hash, k.ledger_sequence, k.change_index
                  from contract_data.key_states k join contract_data.entry_ttls t using (ledger_key_hash)
                  where not k.deleted and k.ledger_sequence between 64 and 255 and t.ledger_sequence between 64 and 255
                    and t.live_until_ledger > 256
                  order by 1 limit 1";
    let newest = world.database.value(newest).await;
    let [key, ledger, index] = newest.split(" | ").collect::<Vec<_>>()[..] else { panic!("{newest}") };
    let row = format!("ledger_key_hash = '{key}' and ledger_sequence = {ledger} and change_index = {index}");
    for (damage, problem) in [
        (format!("update contract_data.entries set val_xdr = 'AAAAAQ==' where {row}"), "another value"),
        (
            format!("update contract_data.entries set last_modified_ledger = last_modified_ledger - 1 where {row}"),
            "was last modified in ledger",
        ),
        (format!("update contract_data.entries set deleted = true where {row}"), "this database does not"),
        (
            format!(
                "update contract_data.ttl_changes set live_until_ledger = 999 where ledger_key_hash = '{key}' and change <> 'removed'"
            ),
            "it lives until ledger 999",
        ),
        (
            "insert into contract_data.retained_states select
               (jsonb_populate_record(r, jsonb_build_object('ledger_key_hash', repeat('f', 64), 'expiration_ledger_seq', 999))).*
             from contract_data.retained_states r limit 1".to_owned(),
            "the network does not",
        ),
    ] {
        let saved = "create table entries_before as table contract_data.entries;
                     create table ttls_before as table contract_data.ttl_changes;
                     create table states_before as table contract_data.retained_states";
        world.database.execute(saved).await;
        world.database.execute(&damage).await;
        let found = checked(&world, 255).await;
        assert_eq!(found.different, 1, "{damage}: {found:#?}");
        assert!(found.examples[0].problem.contains(problem), "{damage}: {found:#?}");
        let restored = "delete from contract_data.entries; insert into contract_data.entries table entries_before;
                        delete from contract_data.ttl_changes; insert into contract_data.ttl_changes table ttls_before;
                        delete from contract_data.retained_states; insert into contract_data.retained_states table states_before;
                        drop table entries_before, ttls_before, states_before";
        world.database.execute(restored).await;
    }
    assert_eq!(checked(&world, 255).await.different, 0);
}

#[tokio::test]
async fn one_where_it_would_lie_is_refused_in_words() {
    let history = History::new(6, LEDGERS);
    let source = network(&history).serve();
    let world = world_of(&source).await;
    world.replay(120, 130).await.unwrap();
    let problem = usage(snapshot(&world, 127).await);
    assert!(
        problem.contains("ledgers 120-120 are loaded already") || problem.contains("ledgers 120-"),
        "{problem}"
    );
    assert_eq!(world.objects("staging"), Vec::<String>::new());
    assert_eq!(world.database.value("select count(*) from contract_data.retained_states").await, "0");

    // Below the first window it fills the gap.
    assert!(snapshot(&world, 63).await.unwrap().loaded);
    let status = pipeline::status(&world.config()).await.unwrap();
    assert!(status.state == "not complete: a gap after snapshot 63", "{}", status.state);
    world.run().await.unwrap();
    assert_eq!(states(&world).await, history.truth(LEDGERS));
    world.verified().await;
    assert_eq!(checked(&world, 255).await.different, 0);

    assert!(!snapshot(&world, 63).await.unwrap().loaded, "it is there already");
    assert!(!snapshot(&world, None).await.unwrap().loaded, "it is there already");
    assert!(usage(snapshot(&world, 127).await).contains("begins with the state at checkpoint 63"));
    for range in [(1, 10), (60, 63)] {
        let error = world.replay(range.0, range.1).await.unwrap_err();
        assert!(matches!(error, Error::Usage(_)), "{error:?}");
    }
    let error = snapshot(&world_of(&source).await, 100).await.unwrap_err();
    assert!(
        matches!(&error, Error::Source { .. }) && error.chain().contains("no checkpoint 100"),
        "{error:?}"
    );

    let retained = world_of(&source).await;
    retained.replay(81, LEDGERS).await.unwrap();
    retained.set("RETAIN_LEDGERS", "20");
    pipeline::maintain(&retained.config(), false).await.unwrap();
    assert!(usage(snapshot(&retained, 63).await).contains("retention has dropped the ledgers below 200"));
}

#[tokio::test]
async fn two_at_once_are_one() {
    let history = History::new(7, LEDGERS);
    let source = network(&history).serve();
    let world = world_of(&source).await;
    let (first, second) = tokio::join!(snapshot(&world, 127), snapshot(&world, 127));
    let loaded = [first.unwrap(), second.unwrap()].map(|report| report.loaded);
    assert_ne!(loaded[0], loaded[1]);
    assert_eq!(world.objects("staging"), Vec::<String>::new());
    assert_eq!(states(&world).await, history.truth(127));
    world.verified().await;
}

#[tokio::test]
async fn the_archive_alone_restores_it() {
    let history = History::new(8, LEDGERS);
    let mut source = network(&history).serve();
    let mut world = world_of(&source).await;
    snapshot(&world, 127).await.unwrap();
    world.run().await.unwrap();
    let everything = [
        "select * from contract_data.key_states order by ledger_key_hash",
        "select * from contract_data.entry_ttls order by ledger_key_hash",
        "select ledger_key_hash, val_xdr, batch_id from contract_data.retained_states order by ledger_key_hash",
        "select ledger, bucket_list_hash, rows, rows_digest, object from contract_data.snapshots",
    ];
    let mut before = Vec::new();
    for sql in everything {
        before.extend(world.database.rows(sql).await);
    }
    source.stop();
    world.database = Database::create().await;
    world.set("DATABASE_URL", &world.database.url());
    pipeline::migrate(&world.config()).await.unwrap();
    let options = SnapshotOptions { ledger: None, from_archive: true };
    assert!(take(&world, options).await.unwrap().loaded);
    let kind = ReplayKind::FromArchive;
    world.replay_with(128, LEDGERS, ReplayOptions { kind, ..ReplayOptions::default() }).await.unwrap();
    let mut after = Vec::new();
    for sql in everything {
        after.extend(world.database.rows(sql).await);
    }
    assert_eq!(after, before);
    world.verified().await;
}

#[tokio::test]
async fn retention_forced_replays_and_refreshes_know_it() {
    let history = History::new(9, LEDGERS);
    let source = network(&history).serve();
    let world = world_of(&source).await;
    snapshot(&world, 63).await.unwrap();
    // With the snapshot alone there is nothing to retain or to drop.
    world.set("RETAIN_LEDGERS", "100");
    pipeline::maintain(&world.config(), false).await.unwrap();
    world.run().await.unwrap();
    let kind = ReplayKind::Force { trust_end: false };
    world.replay_with(64, 100, ReplayOptions { kind, ..ReplayOptions::default() }).await.unwrap();
    assert_eq!(states(&world).await, history.truth(LEDGERS));
    world.verified().await;
    let maintenance = pipeline::maintain(&world.config(), false).await.unwrap();
    assert_eq!(maintenance.retained_from, Some(120), "{maintenance:?}");
    assert_eq!(states(&world).await, history.truth(LEDGERS));
    world.database.value("select contract_data.refresh_current_states()").await;
    assert_eq!(states(&world).await, history.truth(LEDGERS));
    world.verified().await;
    assert_eq!(checked(&world, 255).await.different, 0);
    let gone = pipeline::verify_checkpoint(&world.config(), Some(63), Arc::new(|_| {})).await.unwrap_err();
    assert!(matches!(&gone, Error::Usage(problem) if problem.contains("before ledger 120")), "{gone:?}");
}

#[tokio::test]
async fn an_owner_can_take_it_back() {
    let history = History::new(11, LEDGERS);
    let source = network(&history).serve();
    let world = world_of(&source).await;
    world.replay(200, LEDGERS).await.unwrap();
    let before = current(&world).await;
    snapshot(&world, 127).await.unwrap();
    world.database.value("select contract_data.forget_snapshot()").await;
    assert_eq!(current(&world).await, before);
    for table in ["snapshots", "snapshot_tables", "retained_states", "retained_ttls"] {
        assert_eq!(world.database.value(&format!("select count(*) from contract_data.{table}")).await, "0");
    }
    std::fs::remove_dir_all(world.folder.path().join("archive/snapshots")).unwrap();
    world.verified().await;
    assert!(snapshot(&world, 63).await.unwrap().loaded);
}

#[tokio::test]
async fn assets_that_a_checkpoint_names_are_learnt() {
    let usdc = Asset::credit("USDC", 1);
    let contract = usdc.contract_id(asset::PUBNET);
    let balance = Row::at(63).of_contract(&contract).balance(1, 700).last_modified(9).expires(99);
    let ttl = Ttl::at(63, balance.ledger_key_hash.as_ref().unwrap(), "created", 99);
    let state = State::at(63, vec![balance], vec![ttl], vec![Named::at(63, &usdc)]);
    let source = Chain::of_rows(vec![Row::at(64)]).with_states(vec![state]).serve();
    let world = World::around(&source).await;
    snapshot(&world, None).await.unwrap();
    let rich = "select asset_code, balance, liveness, last_modified_ledger from contract_data.current_states";
    assert_eq!(world.database.rows(rich).await, ["USDC | 700 | live | 9"]);
    world.verified().await;
}

#[tokio::test]
async fn a_source_that_does_not_keep_the_contract_is_refused() {
    let history = History::new(10, LEDGERS);
    let state = || history.state(63);
    for (state, problem) in [
        (state().with(|rows| rows.swap(0, 1)), "by ledger_key_hash"),
        (state().with(|rows| rows.insert(1, rows[0].clone())), "each once"),
        (state().with(|rows| rows[0].deleted = true), "a removed entry"),
        (state().with(|rows| rows[0].ledger_sequence = 64), "outside ledgers 63-63"),
        (state().with(|rows| rows[0].val_xdr = Some("?".to_owned())), "val_xdr"),
    ] {
        let source = Chain::of_rows(vec![Row::at(64)]).with_states(vec![state]).serve();
        let world = World::around(&source).await;
        let error = snapshot(&world, 63).await.unwrap_err().chain();
        assert!(error.contains(problem), "{error}");
        assert_eq!(world.objects("staging"), Vec::<String>::new(), "{problem}");
        assert_eq!(world.database.value("select count(*) from contract_data.snapshots").await, "0");
        assert_eq!(world.database.value("select count(*) from contract_data.retained_states").await, "0");
    }
}
