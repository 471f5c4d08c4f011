//! Retention: old partitions are dropped, and nothing else changes: neither the current state, nor a refresh or a
//! forced replay of it, nor later loads.

use testkit::asset::PUBNET;
use testkit::{Asset, Chain, Database, Row};

use crate::oracle;
use crate::support::{World, json};

/// What `maintain` did, in a few words: partitions dropped, boundary, things postponed.
fn told(report: &serde_json::Value) -> (Vec<String>, serde_json::Value, usize) {
    let dropped = report["dropped"].as_array().unwrap().iter();
    let dropped = dropped.map(|partition| partition["partition"].as_str().unwrap().to_owned()).collect();
    (dropped, report["retained_from"].clone(), report["postponed"].as_array().unwrap().len())
}

/// A world that has loaded all of its ledgers.
async fn loaded(last: u32) -> World {
    let world = World::new(1..=last).await;
    world.succeeds(&format!("replay -s 1 -e {last}")).await;
    world
}

#[tokio::test]
async fn partitions_below_the_boundary_go_and_the_state_stays() {
    let world = loaded(300).await;
    let windows = world.windows().await;
    let archive = world.objects().await;
    let rows = "select count(*) from contract_data.entries where ledger_sequence < 192";
    let below = world.database.value(rows).await;

    let dry = world.succeeds("maintain --retain-ledgers 100 --dry-run").await.stdout;
    for line in
        ["Would retain the ledgers from 192 on.", "entries_0000000128", "Dry run: nothing was written."]
    {
        assert!(dry.contains(line), "{dry}");
    }
    assert_eq!(world.database.value(rows).await, below);
    world.expect_whole(&[1..=300]).await;

    let report = json(&world.succeeds("maintain --retain-ledgers 100 --json").await);

    let gone = [0, 64, 128].into_iter();
    let gone = gone.flat_map(|low| ["entries", "ttl_changes"].map(|table| format!("{table}_{low:010}")));
    assert_eq!(told(&report), (gone.collect(), 192.into(), 0));
    let sum: i64 = report["dropped"].as_array().unwrap().iter().map(|p| p["rows"].as_i64().unwrap()).sum();
    assert_eq!(sum.to_string(), below);
    assert!(report["dropped"][0]["bytes"].as_i64().unwrap() > 0);
    world.expect_retained(&[1..=300], 192).await;
    assert_eq!(world.windows().await, windows, "the record of windows stays");
    assert_eq!(world.objects().await, archive, "the archive stays");
    let verified = world.succeeds("verify").await.stdout;
    assert!(
        verified.contains("Ledgers below 192 are not retained: 12 windows were not compared."),
        "{verified}"
    );
    let status = json(&world.succeeds("status --json").await);
    assert_eq!((&status["retained_from"], &status["first_ledger"]), (&192.into(), &192.into()));
    assert_eq!(status["gap_count"], 0);

    let again = json(&world.succeeds("maintain --retain-ledgers 100 --json").await);
    assert_eq!(told(&again), (vec![], 192.into(), 0));
    assert_eq!((&again["made"], &again["tended"]), (&serde_json::json!([]), &serde_json::json!([])));

    // Higher: the retained versions of keys merge. Lower, or unset: nothing changes.
    let higher = json(&world.succeeds("maintain --retain-ledgers 40 --json").await);
    let gone = ["entries_0000000192", "ttl_changes_0000000192"].map(str::to_owned);
    assert_eq!(told(&higher), (gone.to_vec(), 256.into(), 0));
    world.expect_retained(&[1..=300], 256).await;
    for line in ["maintain --retain-ledgers 1000 --json", "maintain --json"] {
        assert_eq!(told(&json(&world.succeeds(line).await)), (vec![], 256.into(), 0));
    }
    world.expect_retained(&[1..=300], 256).await;
}

#[tokio::test]
async fn a_forced_replay_above_the_boundary_folds_with_what_is_retained() {
    let world = loaded(300).await;
    world.succeeds("maintain --retain-ledgers 100").await;
    // The source no longer has these rows: their keys fall back to versions in retained_states.
    let mut rows = world.rows.clone();
    rows.retain(|row| !(193..=300).contains(&row.ledger_sequence));
    let chain = Chain::of_rows(rows.clone()).range(1..=300);
    world.source.answer_with(move |request| chain.answer(request));

    world.succeeds("replay -s 193 -e 300 --force").await;

    let world = World { rows, ..world };
    world.expect_retained(&[1..=300], 192).await;
}

#[tokio::test]
async fn what_was_said_last_below_the_boundary_still_holds() {
    let usdc = Asset::credit("USDC", 1);
    let of_usdc = |ledger| Row::at(ledger).of_contract(usdc.contract_id(PUBNET));
    let rows = vec![
        of_usdc(1).instance(&usdc),
        of_usdc(2).balance(1, 100),
        Row::at(1).key(1).value(1),
        Row::at(2).key(1).value(2).deleted(),
        Row::at(3).key(2).value(3),
        Row::at(70).key(2).value(4).deleted(),
        Row::at(71).key(3).value(5).deleted(),
        Row::at(71).key(3).value(6),
        Row::at(72).key(4).value(7),
        Row::at(130).key(4).value(8).deleted(),
        Row::at(131).key(1).value(9),
        Row::at(132).key(5).value(10),
    ];
    let chain = Chain::of_rows(rows.clone()).range(1..=200);
    let world = World::with(Database::create().await, chain, rows.clone()).await;
    world.succeeds("replay -s 1 -e 200").await;
    world.succeeds("maintain --retain-ledgers 70").await;
    world.expect_retained(&[1..=200], 128).await;
    // Key 1 was never there again, and key 4 never removed.
    let rows: Vec<Row> = rows.into_iter().filter(|row| ![130, 131].contains(&row.ledger_sequence)).collect();
    let chain = Chain::of_rows(rows.clone()).range(1..=200);
    world.source.answer_with(move |request| chain.answer(request));
    world.succeeds("replay -s 130 -e 131 --force").await;
    let world = World { rows, ..world };
    world.expect_retained(&[1..=200], 128).await;
    let living = "select string_agg(ledger_sequence::text, ' ' order by ledger_sequence) from contract_data.current_states";
    assert_eq!(world.database.value(living).await, "1 2 71 72 132");
}

#[tokio::test]
async fn what_is_not_retained_is_refused_and_a_part_of_it_left_out() {
    let world = loaded(300).await;
    world.succeeds("maintain --retain-ledgers 100").await;
    let lines = [
        "replay -s 1 -e 191",
        "replay -s 1 -e 191 --dry-run",
        "replay -s 100 -e 110 --force",
        "replay -s 0 -e 191 --from-archive",
    ];
    let asked = world.source.windows().len();
    for line in lines {
        let told = world.fails(line, &[], 2).await;
        assert!(told.contains("are not retained: this database keeps ledgers from 192 on"), "{line}: {told}");
    }
    assert_eq!(world.source.windows().len(), asked);

    world.database.execute("delete from contract_data.ingestion_progress where start_ledger = 192").await;
    world
        .database
        .execute("delete from contract_data.entries where ledger_sequence between 192 and 207")
        .await;
    let plan = json(&world.succeeds("replay -s 100 -e 300 --dry-run --json").await);
    assert_eq!((&plan["ledgers"], &plan["retained_from"]), (&16.into(), &192.into()));
    let part = world.succeeds("replay -s 100 -e 300").await.stdout;
    assert!(part.contains("Ledgers below 192 are not retained; starting at 192."), "{part}");
    world.succeeds("replay -s 0 -e 4294967295 --from-archive").await;
    world.succeeds("replay -s 100 -e 200 --force").await;
    world.expect_retained(&[1..=300], 192).await;
}

#[tokio::test]
async fn the_schedule_and_the_gaps_begin_at_the_boundary() {
    let world = World::new(1..=300).await;
    world.succeeds("replay -s 70 -e 80").await;
    world.succeeds("replay -s 120 -e 210").await;
    world.succeeds("replay -s 230 -e 300").await;
    world.database.execute("update contract_data.settings set schedule_start = 1").await;
    let failed = "insert into contract_data.ingestion_progress (batch_id, start_ledger, end_ledger, completed_at, status)
        values (gen_random_uuid(), 1, 16, now(), 'failed'), (gen_random_uuid(), 220, 221, now() - interval '1 day', 'failed')";
    world.database.execute(failed).await;

    world.succeeds("maintain --retain-ledgers 100").await;

    let gaps = "select start_ledger, end_ledger from contract_data.ledger_gaps";
    assert_eq!(world.database.rows(gaps).await, ["211 | 229"]);
    let left = "select start_ledger from contract_data.ingestion_progress where status = 'failed'";
    assert_eq!(world.database.rows(left).await, ["220"], "what failed below the boundary is forgotten");
    let asked = world.source.windows().len();
    let report = json(&world.succeeds("run --json").await);
    assert_eq!(report["next_ledger"], 301);
    let asked = world.source.windows().split_off(asked);
    // ledger 71 is the fingerprint's
    assert!(asked.iter().all(|(start, _)| *start == 71 || *start >= 211), "{asked:?}");
    world.expect_retained(&[70..=80, 120..=300], 192).await;
}

#[tokio::test]
async fn days_count_back_from_the_newest_row_and_the_longer_wish_wins() {
    const DAY: i64 = 86_400_000_000;
    let mut rows = oracle::ledgers(1..=300);
    for row in rows.iter_mut().filter(|row| row.ledger_sequence < 130) {
        row.closed_at -= 10 * DAY;
    }
    let chain = Chain::of_rows(rows.clone()).range(1..=300);
    let world = World::with(Database::create().await, chain, rows).await;
    world.succeeds("replay -s 1 -e 300").await;
    for (line, boundary) in [
        ("--retain-days 12", None),
        ("--retain-days 5 --retain-ledgers 290", None),
        ("--retain-days 12 --retain-ledgers 10", None),
        ("--retain-days 5 --retain-ledgers 200", Some(64)),
        ("--retain-days 5", Some(128)),
        ("--retain-days 4294967295", Some(128)),
        ("--retain-days 5 --retain-ledgers 1", Some(128)),
    ] {
        let report = json(&world.succeeds(&format!("maintain --json {line}")).await);
        assert_eq!(report["retained_from"], serde_json::json!(boundary), "{line}");
    }
    world.expect_retained(&[1..=300], 128).await;
    let program = world.ingestctl("maintain --json").env("RETAIN_LEDGERS", "1");
    let report = json(&program.run().await.expect_code(0));
    assert_eq!(report["retained_from"], 256, "never beyond the newest ledger's partition");
    world.expect_retained(&[1..=300], 256).await;
    for (flag, problem) in [("0", "must be at least 1"), ("x", "is not a whole number")] {
        let told = world.fails(&format!("maintain --retain-days {flag}"), &[], 2).await;
        assert!(told.contains("RETAIN_DAYS") && told.contains(problem), "{told}");
    }
}

#[tokio::test]
async fn killed_anywhere_the_next_maintain_goes_on() {
    let points = [
        "boundary_committed=return",
        "condensed=return",
        "condensed=1*off->return",
        "detached=return",
        "dropped=return",
        "detached=1*off->return",
    ];
    for point in points {
        eprintln!("killed at {point}");
        let world = loaded(300).await;
        // Unfolded windows, above and below, as a killed replay leaves them.
        world.database.execute(
            "delete from contract_data.key_states where ledger_sequence in (select ledger_sequence from contract_data.entries
               where ledger_sequence between 17 and 32 or ledger_sequence between 208 and 223);
             update contract_data.ingestion_progress set folded = false where start_ledger in (17, 208);
             select contract_data.note_folded('{[17,33), [208,224)}', '{}', '{}')",
        ).await;
        world.is_killed("maintain --retain-ledgers 100", point).await;
        world.succeeds("verify").await;
        world.database.value("select contract_data.refresh_current_states()").await;
        world.succeeds("verify").await;
        world.succeeds("replay -s 193 -e 200 --force").await;

        let report = json(&world.succeeds("maintain --json").await);

        assert_eq!((&report["retained_from"], &report["postponed"]), (&192.into(), &serde_json::json!([])));
        world.expect_retained(&[1..=300], 192).await;
    }
}
