//! The archive is enough to rebuild the database.

use testkit::{Chain, Database};

use crate::oracle;
use crate::support::World;

const RESTORE: &str = "replay -s 1 -e 100 --from-archive";

/// A migrated, empty database, the archive of a lost one, and a source without ledgers.
async fn after_the_loss(lost: World) -> World {
    lost.succeeds("run").await;
    let nothing = Chain::of_rows(vec![]).serve();
    let world =
        World::without_schema(Database::create().await, nothing, oracle::ledgers(1..=100), lost.store);
    world.succeeds("migrate").await;
    world
}

#[tokio::test]
async fn a_database_is_rebuilt_from_the_archive_without_the_source() {
    let world = after_the_loss(World::new(1..=100).await).await;
    let objects = world.objects().await;

    world.succeeds(RESTORE).await;

    assert_eq!((world.source.windows(), world.objects().await), (vec![], objects));
    world.expect_whole(&[1..=100]).await;
}

/// Kills a restore in its windows; the loaded windows and the archive are whole after each kill, and at the end.
async fn survives_kills(world: World) {
    let objects = world.objects().await;
    for failpoint in ["claimed=return", "copied=1*off->return", "committed=return", "committed=1*off->return"]
    {
        world.is_killed(RESTORE, failpoint).await;
        assert_eq!(world.objects().await, objects, "after {failpoint}");
        world.succeeds("verify").await;
    }

    world.succeeds(&format!("{RESTORE} --parallel 4")).await;

    assert_eq!((world.source.windows(), world.objects().await), (vec![], objects));
    world.expect_whole(&[1..=100]).await;
}

#[tokio::test]
async fn a_restore_may_be_killed_and_goes_on() {
    survives_kills(after_the_loss(World::new(1..=100).await).await).await;
}

#[tokio::test]
async fn a_restore_from_s3_may_be_killed_and_goes_on() {
    survives_kills(after_the_loss(World::on_s3(1..=100).await).await).await;
}

#[tokio::test]
async fn an_object_that_was_damaged_stops_the_restore_with_exit_code_4() {
    let world = after_the_loss(World::new(1..=100).await).await;
    let object = world.objects().await.remove(2);
    let mut bytes = std::fs::read(world.file(&object)).unwrap();
    let place = bytes.len() / 3;
    bytes[place] ^= 1;
    std::fs::write(world.file(&object), bytes).unwrap();

    let told = world.fails(RESTORE, &[], 4).await;

    assert!(told.starts_with(&format!("ingestctl: staging: {object} cannot be trusted: ")), "{told}");
    assert!(world.file(&object).exists(), "the only copy is kept");
    world.succeeds("verify").await;
}
