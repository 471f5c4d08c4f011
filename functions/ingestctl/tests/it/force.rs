//! `replay --force`: whole windows replaced, each in one transaction. Killed anywhere: old or new, never neither.

use testkit::{Chain, Row};

use crate::oracle;
use crate::support::{World, json};

const FORCE: &str = "replay -s 1 -e 40 --force";

/// Ledgers 1 to 40 of a source that has corrected ledger 20 and later: other values, one ledger less, one key more.
fn mended() -> Vec<Row> {
    let mut rows = oracle::ledgers(1..=40);
    rows.retain(|row| row.ledger_sequence != 22);
    let plain = |row: &&mut Row| row.ledger_sequence > 19 && row.balance_holder.is_none() && !row.deleted;
    rows.iter_mut().filter(plain).for_each(|row| row.last_modified_ledger -= 1);
    rows.push(Row::at(40).contract(5).key(5).value(5));
    rows
}

/// A world where ledgers 1 to 40 are loaded, and whose source has changed its values.
async fn loaded() -> World {
    let mut world = World::new(1..=40).await;
    world.succeeds("replay -s 1 -e 40").await;
    world.rows = mended();
    let chain = Chain::of_rows(mended()).range(1..=40);
    world.source.answer_with(move |request| chain.answer(request));
    world
}

/// The sealed object of an abandoned replacement: nothing uses it, and it expires.
async fn expire(world: &World) {
    for object in world.staged().await {
        std::fs::remove_file(world.file(&object)).unwrap();
    }
}

#[tokio::test]
async fn a_forced_replay_replaces_rows_state_and_objects() {
    let world = loaded().await;
    // Without --force nothing happens.
    world.succeeds("replay -s 1 -e 40").await;
    let removed = "select count(*) from contract_data.entries where ledger_sequence = 22";
    assert_ne!(world.database.value(removed).await, "0");

    let report = json(&world.succeeds(&format!("{FORCE} --json")).await);

    let windows = report["windows"].as_array().unwrap();
    assert!(windows.len() == 3 && windows.iter().all(|window| window["status"] == "replaced"), "{report}");
    world.expect_whole(&[1..=40]).await;
}

#[tokio::test]
async fn a_forced_replay_is_widened_to_whole_windows_and_says_so() {
    let world = loaded().await;

    let output = world.succeeds("replay -s 20 -e 34 --force").await;

    assert!(output.stdout.starts_with("Widened to whole windows: ledgers 17 to 40.\n"), "{}", output.stdout);
    world.expect_whole(&[1..=40]).await;
}

#[tokio::test]
async fn a_forced_replay_killed_anywhere_leaves_old_or_new_and_never_neither() {
    let points =
        ["staged", "removed", "copied", "before_commit", "committed", "archive_moved", "archive_recorded"];
    for (n, point) in points.into_iter().enumerate() {
        eprintln!("{FORCE}, killed at {point}");
        let world = loaded().await;
        let hit = if n % 2 == 0 { "return" } else { "1*off->return" };
        world.is_killed(FORCE, &format!("{point}={hit}")).await;
        assert_eq!(world.windows().await, ["1-16", "17-32", "33-40"]);
        world.succeeds("verify").await;

        world.succeeds(FORCE).await;

        expire(&world).await;
        world.expect_whole(&[1..=40]).await;
    }
}

/// Tables whose rows may be published and have neither a key nor another identity: no such row can be deleted.
const WITHOUT_IDENTITY: &str = "
    select c.relname from pg_class c where c.relnamespace = 'contract_data'::regnamespace and c.relkind in ('r', 'p')
      and c.relpersistence = 'p' and c.relreplident = 'd'
      and not exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary)
    order by c.relname collate \"C\"";

#[tokio::test]
async fn a_forced_replay_works_where_a_publication_covers_all_tables() {
    let world = loaded().await;
    world.database.execute("create publication everything for all tables").await;
    assert_eq!(world.database.rows(WITHOUT_IDENTITY).await, Vec::<String>::new());

    world.succeeds(FORCE).await;

    world.database.value("select contract_data.refresh_current_states()").await;
    world.expect_whole(&[1..=40]).await;
}

#[tokio::test]
async fn the_migration_gives_partitions_of_earlier_releases_an_identity() {
    let world = loaded().await;
    let earlier = "alter table contract_data.entries replica identity default;
                   alter table contract_data.entries_0000000000 replica identity default";
    world.database.execute(earlier).await;
    let without = world.database.rows(WITHOUT_IDENTITY).await;
    assert_eq!(without, ["entries", "entries_0000000000"]);
    let migration = include_str!("../../../../sql/migrations/V0004__rights_of_the_loader.sql");
    let (_, identity) = migration.split_once("-- Rows of entries have no key.").unwrap();
    world.database.execute(&format!("--{identity}")).await;
    assert_eq!(world.database.rows(WITHOUT_IDENTITY).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_source_that_fails_replaces_nothing() {
    let mut world = loaded().await;
    let cut = Chain::of_rows(mended()).range(1..=40).end_after(0);
    world.source.answer_with(move |request| cut.answer(request));

    world.fails(FORCE, &[], 3).await;

    world.rows = oracle::ledgers(1..=40);
    world.expect_whole(&[1..=40]).await;
}
