//! The state at a checkpoint: killed anywhere and twice at once, it is loaded once; and what the command line says of it.

use testkit::{Asset, Chain, Database, Named, Row, State, Ttl};

use crate::support::{World, all_succeed, json};

const CHECKPOINT: u32 = 63;
const ENTRIES: u32 = 2_500;

/// An entry of the checkpoint, last modified somewhere below it.
fn entry(key: u32) -> Row {
    Row::at(CHECKPOINT).key(key).value(key.into()).last_modified(1 + key % CHECKPOINT).expires(900)
}

/// The state at ledger 63, and at 127 if nothing but these rows happened since.
fn states(rows: &[Row]) -> Vec<State> {
    let at = |ledger: u32, rows: Vec<Row>| {
        let moved =
            |row: Row| Row { ledger_sequence: ledger, closed_at: testkit::rows::closed_at(ledger), ..row };
        let rows: Vec<Row> = rows.into_iter().map(moved).collect();
        let ttls =
            rows.iter().map(|row| Ttl::at(ledger, row.ledger_key_hash.as_deref().unwrap(), "created", 900));
        State::at(ledger, rows.clone(), ttls.collect(), vec![Named::at(ledger, &Asset::credit("USDC", 1))])
    };
    let first: Vec<Row> = (0..ENTRIES).map(entry).collect();
    let mut last = first.clone();
    for row in rows {
        last.retain(|other| other.ledger_key_hash != row.ledger_key_hash);
        last.push(row.clone());
    }
    vec![at(CHECKPOINT, first), at(127, last)]
}

/// A network whose ledgers 64 to 130 change an entry each.
async fn network() -> World {
    let rows: Vec<Row> = (64..=130).map(|ledger| Row::at(ledger).key(ledger).value(7).expires(900)).collect();
    let until = |row: &Row| row.ledger_sequence <= 127;
    let at_checkpoint: Vec<Row> = rows.iter().filter(|row| until(row)).cloned().collect();
    let ttls = rows
        .iter()
        .map(|row| Ttl::at(row.ledger_sequence, row.ledger_key_hash.as_deref().unwrap(), "extended", 900));
    let chain = Chain::of_rows(rows.clone()).with_sides(ttls.collect(), Vec::new()).range(1..=130);
    World::with(Database::create().await, chain.with_states(states(&at_checkpoint)), rows).await
}

/// What a snapshot meets on its way, in order.
const POINTS: [&str; 13] = [
    "drained=return",
    "staged=return",
    "staged=2*off->return",
    "snapshot_claimed=return",
    "copying=return",
    "side_copied=return",
    "side_copied=1*off->return",
    "snapshot_copied=return",
    "snapshot_before_commit=return",
    "snapshot_committed=return",
    "snapshot_archiving=return",
    "side_moved=return",
    "snapshot_moved=return",
];

/// The state is whole, once, and the windows follow it.
async fn expect_whole(world: &World) {
    let counted = "select (select count(*) from contract_data.retained_states), (select count(*) from contract_data.current_states),
                     (select count(*) from contract_data.entry_ttls), (select count(*) from contract_data.snapshots where archived),
                     (select count(*) from contract_data.entries), (select min(start_ledger) from contract_data.ingestion_progress)";
    let expected = format!("{ENTRIES} | {ENTRIES} | {ENTRIES} | 1 | 67 | 64");
    assert_eq!(world.database.value(counted).await, expected);
    world.succeeds("verify").await;
    let found = json(&world.succeeds("verify --checkpoint 127 --json").await);
    assert_eq!((&found["different"], &found["equal"]), (&0.into(), &ENTRIES.into()), "{found}");
}

#[tokio::test]
async fn killed_at_any_point_it_is_loaded_by_the_next() {
    for point in POINTS {
        eprintln!("killed at {point}");
        let world = network().await;
        world.is_killed("snapshot --ledger 63", point).await;
        let half = "select count(*) from contract_data.snapshots where completed_at is null";
        assert_eq!(world.database.value(half).await, "0");
        world.succeeds("verify").await;
        let again = json(&world.succeeds("snapshot --ledger 63 --json").await);
        assert_eq!(again["rows"], ENTRIES, "{again}");
        world.succeeds("run").await;
        expect_whole(&world).await;
    }
}

#[tokio::test]
async fn a_first_run_that_is_killed_is_completed_by_the_next() {
    for point in [
        "staged=2*off->return",
        "snapshot_copied=return",
        "snapshot_committed=return",
        "snapshot_moved=return",
    ] {
        eprintln!("killed at {point}");
        let world = network().await;
        let killed =
            world.ingestctl("run").env("START_LEDGER", "snapshot").env("FAILPOINTS", point).run().await;
        assert_eq!(killed.code, None, "{}{}", killed.stdout, killed.stderr);
        let output = world.ingestctl("run").env("START_LEDGER", "snapshot").run().await;
        assert_eq!(output.code, Some(0), "{}{}", output.stdout, output.stderr);
        let counted = "select (select ledger from contract_data.snapshots where archived), (select count(*) from contract_data.current_states),
                         (select count(*) from contract_data.entries)";
        assert_eq!(world.database.value(counted).await, format!("127 | {ENTRIES} | 3"));
        world.succeeds("verify").await;
    }
}

#[tokio::test]
async fn many_at_once_are_one() {
    let world = network().await;
    let outputs =
        all_succeed((0..4).map(|_| world.ingestctl("snapshot --ledger 63 --json").spawn()).collect()).await;
    let loaded = outputs.iter().filter(|output| json(output)["loaded"] == true).count();
    assert_eq!(loaded, 1);
    assert_eq!(world.staged().await, Vec::<String>::new());
    world.succeeds("run").await;
    expect_whole(&world).await;
}

#[tokio::test]
async fn a_load_of_a_window_beside_it_is_refused_or_refuses_it() {
    for _ in 0..3 {
        let world = network().await;
        let replay = world.ingestctl("replay -s 1 -e 40").spawn();
        let snapshot = world.ingestctl("snapshot --ledger 63").spawn();
        let (replay, snapshot) = (replay.wait().await, snapshot.wait().await);
        let counted = "select (select count(*) from contract_data.snapshots),
                         (select count(*) from contract_data.ingestion_progress where status = 'completed')";
        let counted = world.database.value(counted).await;
        match (replay.code, snapshot.code) {
            (Some(0), Some(2 | 5)) => assert!(counted.starts_with("0 | "), "{counted}"),
            (Some(0 | 2), Some(0)) => assert_eq!(counted, "1 | 0"),
            codes => panic!("{codes:?} {}{}{}", replay.stderr, snapshot.stderr, counted),
        }
        world.succeeds("verify").await;
    }
}

#[tokio::test]
async fn the_command_line_says_what_it_did_and_what_differs() {
    let world = network().await;
    let output = world.succeeds("snapshot --ledger 63").await;
    assert!(output.stdout.contains("Loaded the state at checkpoint 63: 2,500 entries."), "{}", output.stdout);
    assert!(output.stdout.contains("Windows begin at ledger 64"), "{}", output.stdout);
    let output = world.succeeds("snapshot").await;
    assert!(output.stdout.contains("already begins with the state at checkpoint 63"), "{}", output.stdout);
    let told = world.fails("snapshot --ledger 127", &[], 2).await;
    assert!(told.contains("begins with the state at checkpoint 63"), "{told}");
    let told = world.fails("verify --checkpoint 127", &[], 2).await;
    assert!(told.contains("ledgers 64-127 are not loaded"), "{told}");

    world.succeeds("run").await;
    let output = world.succeeds("verify --checkpoint latest").await;
    assert!(output.stdout.contains("The state at ledger 127 is the network's."), "{}", output.stdout);
    assert!(world.succeeds("status").await.stdout.contains("complete at ledger 130: snapshot 63 and no gap"));
    let changed = "update contract_data.entries set val_xdr = 'AAAAAQ==' where ledger_sequence = 100";
    world.database.execute(changed).await;
    let output = world.ingestctl("verify --checkpoint 127").run().await.expect_code(7);
    assert!(output.stdout.contains("it has another value than the network's"), "{}", output.stdout);
    assert!(output.stdout.contains(&Row::at(1).contract_id), "{}", output.stdout);
}

#[tokio::test]
async fn what_belongs_to_no_snapshot_is_named_and_left_overs_go() {
    let world = network().await;
    world.is_killed("snapshot --ledger 63", "snapshot_copied=return").await;
    let left = world.staged().await;
    assert_eq!(left.len(), 3, "{left:?}");
    world.succeeds("snapshot --ledger 63").await;
    world.succeeds("maintain").await;
    assert_eq!(world.staged().await.len(), 3, "they may be needed for a day");
    let yesterday = std::time::SystemTime::now() - std::time::Duration::from_secs(2 * 24 * 60 * 60);
    for object in &left {
        std::fs::File::open(world.file(object)).unwrap().set_modified(yesterday).unwrap();
    }
    let output = world.succeeds("maintain").await;
    assert!(output.stdout.contains("a snapshot that was not loaded within a day"), "{}", output.stdout);
    assert_eq!(world.staged().await, Vec::<String>::new());

    let stray = "archive/snapshots/v1/network=pubnet/127.parquet";
    std::fs::copy(world.file("archive/snapshots/v1/network=pubnet/63.parquet"), world.file(stray)).unwrap();
    let output = world.ingestctl("verify").run().await.expect_code(7);
    assert!(
        output.stdout.contains(stray) && output.stdout.contains("does not begin with it"),
        "{}",
        output.stdout
    );
    std::fs::remove_file(world.file(stray)).unwrap();
    std::fs::remove_file(world.file("archive/snapshots/v1/network=pubnet/63.ttl.parquet")).unwrap();
    let output = world.ingestctl("verify").run().await.expect_code(7);
    assert!(output.stdout.contains("snapshot: object of ttl: it is gone"), "{}", output.stdout);
}
