//! The archive: it belongs to one database, has one object per completed window, and is enough to load from.

use testkit::{Chain, Database};

use crate::support::{MARK, Store, World, json, until};

/// Another database with the object store of the first, and a source with the same ledgers, from 1 to the given one.
async fn beside(world: &World, last: u32) -> World {
    let source = Chain::of_rows(world.rows.clone()).range(1..=last).serve();
    let mut other =
        World::without_schema(Database::create().await, source, world.rows.clone(), Store::folder());
    for (name, value) in &world.environment {
        if name == "STAGING_URL" || name.starts_with("AWS_") {
            other.environment.retain(|(other, _)| other != name);
            other.environment.push((name.clone(), value.clone()));
        }
    }
    other.succeeds("migrate").await;
    other
}

async fn id(world: &World) -> String {
    world.database.value("select database_id from contract_data.settings").await
}

async fn one_database(world: World) {
    world.succeeds("run").await;
    let objects = world.objects().await;
    let other = beside(&world, 40).await;

    for line in ["run", "replay -s 1 -e 16", "replay -s 1 -e 16 --force"] {
        let told = other.fails(line, &[], 4).await;
        assert!(told.contains(&format!("belongs to database {} since ", id(&world).await)), "{told}");
        assert!(told.contains("take the archive over with `ingestctl archive adopt`"), "{told}");
    }
    assert_eq!((other.windows().await, other.source.drains()), (vec![], 0), "refused before any drain");
    assert_eq!(world.objects().await, objects);

    let adoption = json(&other.succeeds("archive adopt --json").await);
    assert_eq!(adoption["before"], id(&world).await.as_str());
    assert_eq!(adoption["database_id"], id(&other).await.as_str());
    let told = other.succeeds("archive adopt").await.stdout;
    assert!(told.contains("already belongs to this database"), "{told}");
    other.succeeds("replay -s 1 -e 40 --from-archive").await;
    other.succeeds("run").await;
    assert_eq!((world.objects().await, other.source.drains()), (objects, 0));
    other.succeeds("verify").await;

    let told = world.fails("run", &[], 4).await;
    assert!(told.contains(&format!("belongs to database {}", id(&other).await)), "{told}");
}

#[tokio::test]
async fn an_archive_belongs_to_one_database_until_another_adopts_it() {
    one_database(World::new(1..=40).await).await;
}

#[tokio::test]
async fn an_archive_on_s3_belongs_to_one_database_until_another_adopts_it() {
    one_database(World::on_s3(1..=40).await).await;
}

#[tokio::test]
async fn an_archive_without_a_mark_belongs_to_the_database_that_wrote_it() {
    let world = World::new(1..=40).await;
    world.succeeds("run --max-windows 1").await;
    std::fs::remove_file(world.file(MARK)).unwrap();
    let other = beside(&world, 40).await;
    let told = other.fails("run", &[], 4).await;
    assert!(told.contains(&format!("has objects of database {}, such as ", id(&world).await)), "{told}");
    world.succeeds("run").await;
    assert!(world.file(MARK).exists());
    world.expect_whole(&[1..=40]).await;

    std::fs::remove_file(world.file(MARK)).unwrap();
    let told = other.succeeds("archive adopt").await.stdout;
    assert!(told.contains("had no mark, and has objects of database"), "{told}");
    other.succeeds("replay -s 1 -e 40 --from-archive").await;
    other.succeeds("verify").await;
}

#[tokio::test]
async fn a_first_move_that_is_late_does_not_undo_a_forced_replay() {
    let world = World::new(1..=16).await;
    let late = world.ingestctl("run").env("FAILPOINTS", "archiving=sleep(10000)").spawn();
    until("the window is loaded", async || world.windows().await == ["1-16"]).await;
    let object = world.the_staged().await;
    let bytes = std::fs::read(world.file(&object)).unwrap();
    world.succeeds("replay -s 1 -e 16 --force").await;
    // The forced replay has archived this one, and then replaced it; here it is again, as if both had come a moment later.
    std::fs::write(world.file(&object), bytes).unwrap();
    late.wait().await.expect_code(0);
    assert_eq!(world.staged().await, Vec::<String>::new(), "the old rows are superfluous");
    world.expect_whole(&[1..=16]).await;
}

async fn restored(world: World) {
    world.succeeds("run").await;
    let gone = "archive/contract_data/v1/network=pubnet/ledger_range=0/33-48.parquet";
    match &world.store {
        Store::Folder(_) => std::fs::remove_file(world.file(gone)).unwrap(),
        Store::Bucket(bucket) => bucket.remove(&format!("prefix/{gone}")).await,
    }
    let other = beside(&world, 100).await;
    let told = other.ingestctl("replay -s 1 -e 120 --from-archive").run().await.expect_code(3).stdout;
    assert!(told.contains("Not in the archive: ledgers 33-48, 101-120.\n"), "{told}");
    assert_eq!(other.windows().await, ["1-16", "17-32", "49-63", "64-79", "80-95", "96-100"]);
    let everything = "replay -s 0 -e 4294967295 --from-archive --json";
    let report = json(&other.ingestctl(everything).run().await.expect_code(3));
    assert_eq!(report["not_in_archive"], serde_json::json!([{"start_ledger": 33, "end_ledger": 48}]));
    assert_eq!(other.source.requests(), vec![], "the source is not even asked for its range");
    other.succeeds("verify").await;
}

#[tokio::test]
async fn a_restore_names_what_the_archive_lacks_and_asks_no_source() {
    restored(World::new(1..=100).await).await;
}

#[tokio::test]
async fn a_restore_from_s3_names_what_the_archive_lacks_and_asks_no_source() {
    restored(World::on_s3(1..=100).await).await;
}

#[tokio::test]
async fn an_object_is_cut_to_the_missing_ledgers_and_moved_aside_then() {
    for world in [World::new(1..=48).await, World::on_s3(1..=48).await] {
        world.succeeds("run").await;
        let other = beside(&world, 48).await;
        other.succeeds("archive adopt").await;
        other.succeeds("replay -s 5 -e 20").await;
        let asked = other.source.requests();

        // Nobody may write to the archive of another database, not even a part of what is there.
        world.succeeds("archive adopt").await;
        let told = other.fails("replay -s 1 -e 48 --from-archive --parallel 1", &[], 4).await;
        assert!(told.contains("1-16.parquet would be cut to ledgers 1-4"), "{told}");
        other.succeeds("archive adopt").await;
        other.succeeds("replay -s 1 -e 48 --from-archive").await;
        assert_eq!(other.windows().await, ["1-4", "5-20", "21-32", "33-48"]);
        assert_eq!(other.source.requests(), asked);

        let found = other.ingestctl("verify").run().await.expect_code(7).stdout;
        let problem = "1-16.parquet: other windows have its ledgers: `ingestctl maintain` moves it aside";
        assert!(found.contains(problem) && found.contains("compared: 2 differences"), "{found}");
        let dry = json(&other.succeeds("maintain --dry-run --json").await);
        let moved = json(&other.succeeds("maintain --json").await);
        for report in [&dry, &moved] {
            assert_eq!(report["moved_aside"].as_array().unwrap().len(), 2, "{report}");
            assert_eq!(report["moved_aside"][0]["kind"], "superseded");
        }
        let aside = world.objects().await;
        let aside = aside.iter().filter(|object| object.starts_with("archive/superseded/network=pubnet/"));
        assert_eq!(aside.count(), 2, "kept");
        other.succeeds("verify").await;
        let rows = other.database.value("select count(*) from contract_data.entries").await;
        assert_eq!(rows, world.rows.len().to_string());
    }
}

#[tokio::test]
async fn a_restore_that_meets_another_process_asks_no_source() {
    let world = World::new(1..=16).await;
    world.succeeds("run").await;
    let other = beside(&world, 16).await;
    other.succeeds("archive adopt").await;
    let blocker = other.database.connect().await;
    blocker
        .batch_execute("begin; select pg_advisory_xact_lock(hashtextextended('contract_data.load', 0))")
        .await
        .unwrap();
    let restore = other.ingestctl("replay -s 1 -e 16 --from-archive").spawn();
    let waits = "select count(*) > 0 from pg_locks where locktype = 'advisory' and not granted";
    until("the restore waits", async || other.database.value(waits).await == "t").await;
    other
        .database
        .execute(
            "insert into contract_data.ingestion_progress (batch_id, start_ledger, end_ledger, status, completed_at)
             values (gen_random_uuid(), 5, 8, 'completed', now())",
        )
        .await;
    blocker.batch_execute("commit").await.unwrap();
    restore.wait().await.expect_code(0);
    assert_eq!(other.windows().await, ["1-4", "5-8", "9-16"]);
    assert_eq!(other.source.requests(), vec![]);
}

async fn promoted(world: World) {
    world.succeeds("run").await;
    let objects = world.objects().await;
    // The last two commits never reached the replica.
    world
        .database
        .execute(
            "delete from contract_data.entries where ledger_sequence >= 33;
             delete from contract_data.ingestion_progress where start_ledger >= 33;
             select contract_data.refresh_current_states()",
        )
        .await;
    let asked = world.source.windows().len();
    world.succeeds("run --window-ledgers 7").await;
    let asked = &world.source.windows()[asked..];
    assert!(asked.iter().all(|(start, end)| start == end), "only for the fingerprint: {asked:?}");
    assert_eq!(world.windows().await, ["1-16", "17-32", "33-48", "49-63"]);
    assert_eq!(world.objects().await, objects);
    world.expect_whole(&[1..=63]).await;
}

#[tokio::test]
async fn after_a_promotion_the_lost_windows_come_from_the_archive() {
    promoted(World::new(1..=63).await).await;
}

#[tokio::test]
async fn after_a_promotion_the_lost_windows_come_from_the_archive_on_s3() {
    promoted(World::on_s3(1..=63).await).await;
}

#[tokio::test]
async fn what_is_not_of_this_archive_is_named_and_stays() {
    let world = World::new(1..=40).await;
    world.succeeds("run").await;
    let stranger = World::new(1..=60).await;
    stranger.succeeds("replay -s 1 -e 60 --window-ledgers 10").await;
    let folder = "archive/contract_data/v1/network=pubnet/ledger_range=0";
    std::fs::copy(
        stranger.file(&format!("{folder}/11-20.parquet")),
        world.file(&format!("{folder}/11-20.parquet")),
    )
    .unwrap();
    std::fs::write(world.file(&format!("{folder}/1-8.parquet")), "no Parquet").unwrap();
    std::fs::write(world.file(&format!("{folder}/notes.txt")), "by hand").unwrap();
    let objects = world.objects().await;

    let found = world.ingestctl("verify").run().await.expect_code(7).stdout;
    assert!(
        found.contains(&format!("11-20.parquet: database {} wrote it, to which", id(&stranger).await)),
        "{found}"
    );
    assert!(found.contains("ledgers 1-8: archive: object "), "{found}");
    assert!(found.contains("notes.txt: its name is not that of a window"), "{found}");
    assert!(found.contains("compared: 3 differences"), "{found}");

    let report = json(&world.succeeds("maintain --json").await);
    let kinds: Vec<_> = report["strays"].as_array().unwrap().iter().map(|stray| &stray["kind"]).collect();
    assert_eq!(kinds, ["unreadable", "foreign", "unreadable"]);
    assert_eq!((report["strays"][1]["start_ledger"].as_u64(), world.objects().await), (Some(11), objects));
}
