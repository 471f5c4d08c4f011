//! The tables of a window beside `data`: drained, staged, loaded, folded, archived, restored and verified with it, or not at all.

use pipeline::{Error, ReplayKind, ReplayOptions};
use testkit::{Answer, Asset, Chain, Named, Request, Row, Source, Ttl, asset};

use crate::lives::{Dice, History};
use crate::support::{FORGET_WINDOWS, World};

/// What the current state says of each entry.
const STATES: &str =
    "select ledger_key_hash, live_until_ledger, liveness from contract_data.current_states order by 1";

/// Everything that folds make, but when.
const FOLDED: &str = "select md5(string_agg(s, ',' order by s)) from (
    select t::text from contract_data.entry_ttls t
    union all select (k.ledger_key_hash, k.ledger_sequence, k.change_index, k.asset_code)::text from contract_data.key_states k
    union all select (contract_id, asset_type, asset_code, asset_issuer)::text from contract_data.contract_assets
    union all select (ledgers, with_ttls, newest_ledger, ttls_whole_from)::text from contract_data.folded_ledgers) as all_of (s)";

fn forced() -> ReplayOptions {
    ReplayOptions { kind: ReplayKind::Force { trust_end: false }, ..ReplayOptions::default() }
}

fn from_archive() -> ReplayOptions {
    ReplayOptions { kind: ReplayKind::FromArchive, ..ReplayOptions::default() }
}

/// Ledgers 1 to 9: a balance whose contract another entry names, in ledger 2 falsely too; a time to live in each.
fn chain() -> Chain {
    let usdc = Asset::credit("USDC", 1);
    let rows = (1..=9).map(|ledger| {
        let row =
            Row::at(ledger).of_contract(usdc.contract_id(asset::PUBNET)).balance(ledger, i128::from(ledger));
        Row { expiration_ledger_seq: None, ..row }
    });
    let rows: Vec<Row> = rows.collect();
    let ttls = rows.iter().map(|row| {
        Ttl::at(
            row.ledger_sequence,
            row.ledger_key_hash.as_deref().unwrap(),
            "created",
            row.ledger_sequence + 3,
        )
    });
    let forged = Named { contract_id: testkit::rows::contract(9), ..Named::at(2, &usdc) };
    let named = vec![Named::at(2, &Asset::Native), forged, Named::at(2, &usdc), Named::at(5, &usdc)];
    Chain::of_rows(rows.clone()).with_sides(ttls.collect(), named)
}

#[tokio::test]
async fn all_tables_of_a_window_are_loaded_recorded_archived_and_restored() {
    let source = chain().serve();
    let world = World::around(&source).await;
    world.replay(1, 9).await.unwrap();

    let recorded = "select table_name, rows from contract_data.window_tables order by 1";
    assert_eq!(world.database.rows(recorded).await, ["assets | 4", "ttl | 9"]);
    assert_eq!(world.database.value("select count(*) from contract_data.ttl_changes").await, "9");
    let assets = "select asset_code, learnt_from from contract_data.contract_assets order by 2";
    assert_eq!(
        world.database.rows(assets).await,
        ["USDC | ledger", "- | network"],
        "the forged one is not believed"
    );
    let states = "select ledger_sequence, asset_code, liveness from contract_data.current_states order by 1";
    let states = world.database.rows(states).await;
    assert_eq!(states[4], "5 | USDC | archived");
    assert_eq!(states[5], "6 | USDC | live");
    let archived: Vec<String> = ["assets", "data", "ttl"]
        .map(|table| format!("archive/contract_{table}/v1/network=pubnet/ledger_range=0/1-9.parquet"))
        .to_vec();
    assert_eq!(world.objects("archive"), archived);
    assert_eq!(world.objects("staging"), Vec::<String>::new());
    world.verified().await;

    let folded = world.database.value(FOLDED).await;
    world.database.value("select contract_data.refresh_current_states()").await;
    assert_eq!(world.database.value(FOLDED).await, folded, "rebuilt");
    let empty = "truncate contract_data.entries, contract_data.key_states, contract_data.ttl_changes, contract_data.entry_ttls;
                 delete from contract_data.contract_assets where learnt_from <> 'network'";
    world.database.execute(&format!("{empty}; {FORGET_WINDOWS}")).await;
    world.replay_with(1, 9, from_archive()).await.unwrap();
    assert_eq!(world.database.value(FOLDED).await, folded, "restored");
    assert_eq!(world.objects("archive"), archived);
    world.verified().await;
}

#[tokio::test]
async fn a_part_of_an_archived_window_is_cut_in_all_its_tables() {
    let source = chain().serve();
    let world = World::around(&source).await;
    world.replay(1, 9).await.unwrap();
    let empty = "truncate contract_data.entries, contract_data.key_states, contract_data.ttl_changes, contract_data.entry_ttls";
    world.database.execute(&format!("{empty}; {FORGET_WINDOWS}")).await;
    world.replay(1, 4).await.unwrap();
    world.replay_with(1, 9, from_archive()).await.unwrap();
    let windows = "select start_ledger, end_ledger, table_name, rows
                   from contract_data.ingestion_progress join contract_data.window_tables on window_id = id order by 1, 3";
    let expected = ["1 | 4 | assets | 3", "1 | 4 | ttl | 4", "5 | 9 | assets | 1", "5 | 9 | ttl | 5"];
    assert_eq!(world.database.rows(windows).await, expected);
    pipeline::maintain(&world.config(), false).await.unwrap();
    world.verified().await;
}

#[tokio::test]
async fn a_source_with_data_alone_leaves_its_windows_marked() {
    let source = Source::of_rows(vec![Row::at(1).expires(5), Row::at(3).key(2).expires(2)]);
    let world = World::around(&source).await;
    world.replay(1, 3).await.unwrap();
    assert_eq!(world.database.rows("select * from contract_data.window_tables").await, Vec::<String>::new());
    let whole = "select newest_ledger, ttls_whole_from from contract_data.folded_ledgers";
    assert_eq!(world.database.value(whole).await, "3 | -");
    let states = "select live_until_ledger, liveness from contract_data.current_states order by 1";
    assert_eq!(world.database.rows(states).await, ["2 | unknown", "5 | live"], "extensions are not known");
    world.verified().await;
}

#[tokio::test]
async fn what_lives_is_what_the_model_says_after_every_window() {
    for seed in 0..6 {
        let history = History::new(seed, 60);
        let source = history.chain().serve();
        let world = World::around(&source).await;
        for start in (1..=55).step_by(6) {
            world.replay(start, start + 5).await.unwrap();
            let truth = history.truth(start + 5);
            assert_eq!(world.database.rows(STATES).await, truth, "seed {seed}, ledger {}", start + 5);
        }
        world.verified().await;
    }
}

#[tokio::test]
async fn windows_in_any_order_forced_retained_and_rebuilt_give_the_same_lives() {
    for seed in 100..104 {
        let (history, mut dice) = (History::new(seed, 60), Dice(seed));
        // Until it is mended, the source has lost the times to live of a window.
        let mut starts: Vec<u32> = (0..15).map(|n| 1 + 4 * n).collect();
        let lost = starts[dice.below(15) as usize];
        let kept = |ttl: &Ttl| !(lost..lost + 4).contains(&ttl.ledger_sequence);
        let ttls = history.ttls.iter().filter(|ttl| kept(ttl)).cloned().collect();
        let broken = Chain::of_rows(history.rows.clone()).with_sides(ttls, Vec::new()).range(1..=60);
        let source = broken.serve();
        let world = World::around(&source).await;
        world.database.execute("update contract_data.settings set partition_ledgers = 20").await;
        world.set("PARTITION_LEDGERS", "20");
        dice.shuffle(&mut starts);
        for start in starts {
            let end = (start + 3).min(60);
            // Windows end with their partition.
            let cut = start.next_multiple_of(20) - 1;
            if (start..end).contains(&cut) {
                world.replay(cut + 1, end).await.unwrap();
                world.replay(start, cut).await.unwrap();
            } else {
                world.replay(start, end).await.unwrap();
            }
        }
        world.verified().await;
        source.answer_with({
            let mended = history.chain();
            move |request| mended.answer(request)
        });
        world.replay_with(lost, (lost + 3).min(60), forced()).await.unwrap();
        let truth = history.truth(60);
        assert_eq!(world.database.rows(STATES).await, truth, "seed {seed}, forced from {lost}");
        world.verified().await;

        let folded = world.database.value(FOLDED).await;
        world.set("RETAIN_LEDGERS", "25");
        let maintained = pipeline::maintain(&world.config(), false).await.unwrap();
        let dropped: Vec<_> = maintained.dropped.iter().map(|d| d.partition.as_str()).collect();
        assert_eq!(dropped, ["entries_0000000000", "ttl_changes_0000000000"]);
        world.verified().await;
        world.database.value("select contract_data.refresh_current_states()").await;
        assert_eq!(world.database.value(FOLDED).await, folded, "seed {seed}: rebuilt from what is retained");
        world.replay_with(41, 44, forced()).await.unwrap();
        assert_eq!(world.database.rows(STATES).await, truth, "seed {seed}: forced above what is retained");
        world.verified().await;
    }
}

/// Serves the chain, with another answer for the table `ttl`.
fn with_ttl(answer: impl Fn(testkit::Info) -> Answer + Send + Sync + 'static) -> Source {
    let honest = chain();
    Source::serve(move |request| match (request, honest.answer(request)) {
        (Request::Side { table: "ttl", .. }, Answer::Info(info)) => answer(info),
        (_, honest) => honest,
    })
}

#[tokio::test]
async fn a_table_that_is_not_proven_stops_its_window() {
    let short = with_ttl(|info| testkit::Info { total_records: info.total_records + 1, ..info }.into());
    let uncounted = with_ttl(|info| testkit::Info { total_records: -1, ..info }.into());
    let behind = with_ttl(|info| {
        let mut range: serde_json::Value =
            serde_json::from_slice(&info.app_metadata.clone().unwrap()).unwrap();
        range["end_ledger"] = (range["end_ledger"].as_i64().unwrap() - 1).into();
        info.metadata(&range).into()
    });
    let missing = with_ttl(|_| tonic::Status::not_found("no such table").into());
    // A window that the source fails is tried again in parts: the ledgers of the error are those of one of them.
    for (source, problem) in [
        (short, "rows it declared for ledgers"),
        (uncounted, "total_records is not given"),
        (behind, "has no ttl for all of ledgers"),
        (missing, "does not answer for ttl of ledgers"),
    ] {
        let world = World::around(&source).await;
        let error = world.refused(1, 9).await;
        assert!(error.chain().contains(problem), "{}", error.chain());
        assert!(matches!(error, Error::Source { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_bad_value_of_another_table_fails_its_ledger_alone() {
    let hash = Row::at(4).ledger_key_hash.unwrap();
    let rows: Vec<Row> = (1..=9).map(Row::at).collect();
    let bad = vec![Ttl::at(3, &hash, "created", 9), Ttl::at(4, &hash, "prolonged", 12)];
    let source = Chain::of_rows(rows).with_sides(bad, Vec::new()).serve();
    let world = World::around(&source).await;
    let report = world.replay(1, 9).await.unwrap();
    assert_eq!(report.failed().count(), 1);
    let failed = "select start_ledger, end_ledger, error_message from contract_data.ingestion_progress where status = 'failed'";
    let failed = world.database.rows(failed).await;
    assert!(
        failed[0].starts_with("4 | 4 | bad data in ledger 4, column ttl.change: \"prolonged\" is none of"),
        "{failed:?}"
    );
    let kept = world.objects("staging");
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert!(kept[0].ends_with(".ttl.parquet"), "{kept:?}");
    assert_eq!(
        world.database.value("select count(distinct ledger_sequence) from contract_data.entries").await,
        "8"
    );
    world.verified().await;
}

#[tokio::test]
async fn a_later_failure_takes_the_place_of_an_earlier_one_with_all_its_objects() {
    let hash = Row::at(4).ledger_key_hash.unwrap();
    let bad = Named { asset_type: "pool".to_owned(), ..Named::at(4, &Asset::Native) };
    let chain = Chain::of_rows((1..=9).map(Row::at).collect());
    let source = chain.with_sides(vec![Ttl::at(4, &hash, "created", 9)], vec![bad]).serve();
    let world = World::around(&source).await;
    for _ in 0..2 {
        assert_eq!(world.replay(4, 4).await.unwrap().failed().count(), 1);
        let kept = world.objects("staging");
        let ends = |end: &str| kept.iter().filter(|name| name.ends_with(end)).count();
        assert_eq!((kept.len(), ends(".ttl.parquet"), ends(".assets.parquet")), (2, 1, 1), "{kept:?}");
    }
}

/// The findings of verify after this damage, in a world where all is well before.
async fn found_after(world: &World, damage: &str) -> Vec<String> {
    world.verified().await;
    world.database.execute(damage).await;
    world.verify().await.findings.into_iter().map(|finding| finding.problem).collect()
}

#[tokio::test]
async fn verify_finds_what_is_wrong_in_each_table() {
    let source = chain().serve();
    for (damage, expected) in [
        (
            "update contract_data.ttl_changes set live_until_ledger = 1000 where ledger_sequence = 9",
            "ttl_changes: 9 rows as recorded",
        ),
        (
            "delete from contract_data.ttl_changes where ledger_sequence = 3",
            "ttl_changes: 8 rows, but progress records 9",
        ),
        (
            "update contract_data.entry_ttls set live_until_ledger = 1000 where ledger_sequence = 9",
            "has another time to live",
        ),
        ("delete from contract_data.entry_ttls where ledger_sequence = 9", "is missing from entry_ttls"),
        (
            "insert into contract_data.entry_ttls values ('x', 'created', 5, null, 5, 0)",
            "is in entry_ttls and not in the history",
        ),
        ("update contract_data.folded_ledgers set with_ttls = '{[1,5)}'", "folded_ledgers: "),
        (
            "delete from contract_data.contract_assets where asset_code = 'USDC'",
            "which the database does not know",
        ),
        (
            "delete from contract_data.window_tables where table_name = 'ttl'",
            "it names other tables than progress records",
        ),
        (
            "update contract_data.window_tables set rows_digest = repeat('0', 64) where table_name = 'assets'",
            "it names other tables",
        ),
    ] {
        let world = World::around(&source).await;
        world.replay(1, 9).await.unwrap();
        let found = found_after(&world, damage).await;
        assert!(found.iter().any(|problem| problem.contains(expected)), "{damage}: {found:#?}");
    }
    let world = World::around(&source).await;
    world.replay(1, 9).await.unwrap();
    world.verified().await;
    let object =
        world.folder.path().join("archive/contract_ttl/v1/network=pubnet/ledger_range=0/1-9.parquet");
    let bytes = std::fs::read(&object).unwrap();
    std::fs::remove_file(&object).unwrap();
    let found = world.verify().await.findings;
    assert!(
        found.iter().any(|f| f.problem.contains("contract_ttl") && f.problem.contains("it is gone")),
        "{found:#?}"
    );
    std::fs::write(&object, bytes).unwrap();
    world.verified().await;
}

#[tokio::test]
async fn a_window_replaced_from_a_source_with_data_alone_loses_its_other_tables() {
    let source = chain().serve();
    let world = World::around(&source).await;
    world.replay(1, 9).await.unwrap();
    let rows: Vec<Row> = (1..=9).map(|ledger| Row::at(ledger).expires(20)).collect();
    source.answer_with(move |request| Chain::of_rows(rows.clone()).answer(request));
    world.replay_with(1, 9, forced()).await.unwrap();
    for table in ["window_tables", "ttl_changes", "entry_ttls"] {
        assert_eq!(
            world.database.value(&format!("select count(*) from contract_data.{table}")).await,
            "0",
            "{table}"
        );
    }
    let found: Vec<String> = world.verify().await.findings.into_iter().map(|f| f.problem).collect();
    assert_eq!(found.len(), 2, "the objects of the other tables are superseded: {found:#?}");
    let maintained = pipeline::maintain(&world.config(), false).await.unwrap();
    assert_eq!(maintained.moved_aside.len(), 2);
    world.verified().await;
}

#[tokio::test]
async fn the_hash_of_a_ledger_tells_another_chain_apart_without_its_rows() {
    let said = |hash: &'static str| {
        let honest = Chain::of_rows((1..=9).map(Row::at).collect());
        move |request: Request| match honest.answer(request) {
            Answer::Info(info) => {
                let mut metadata: serde_json::Value =
                    serde_json::from_slice(&info.app_metadata.clone().unwrap()).unwrap();
                metadata["latest_hash"] = hash.repeat(32).into();
                info.metadata(&metadata).into()
            }
            other => other,
        }
    };
    let source = Source::serve(said("0a"));
    let world = World::around(&source).await;
    let known = "select fingerprint_ledger, left(fingerprint_hash, 2) from contract_data.settings";
    world.replay(1, 3).await.unwrap();
    assert_eq!(world.database.value(known).await, "1 | -");
    world.replay(4, 6).await.unwrap();
    assert_eq!(world.database.value(known).await, "1 | 0a");
    let drains = source.drains();
    world.replay(7, 8).await.unwrap();
    assert_eq!(source.drains(), drains + 1, "the hash says it all");
    source.answer_with(said("0b"));
    let error = world.replay(9, 9).await.unwrap_err();
    assert!(matches!(error, Error::Schema(_)), "{error:?}");
    assert!(error.chain().contains("ledger 1 differs between source and database"), "{}", error.chain());
}
