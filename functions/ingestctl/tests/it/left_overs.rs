//! Left-overs in staging/: `maintain` removes objects that will never be loaded, and keeps those that a COMMIT in doubt
//! may need.

use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::support::{Store, World, json};

const UUID: &str = "00000000-0000-4000-8000-000000000007";

/// Makes a file look as old as this.
fn aged(file: &Path, hours: u64) {
    let then = SystemTime::now() - Duration::from_secs(hours * 3600);
    std::fs::File::options().write(true).open(file).unwrap().set_modified(then).unwrap();
}

/// What `maintain` removed.
async fn removed(world: &World, line: &str) -> Vec<String> {
    let report = json(&world.succeeds(&format!("{line} --json")).await);
    let removed = report["removed"].as_array().unwrap().iter();
    removed.map(|left_over| left_over["object"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn what_may_be_needed_is_kept_however_old() {
    for point in ["staged", "copied", "committed"] {
        let world = World::new(1..=16).await;
        world.is_killed("run", &format!("{point}=return")).await;
        let object = world.the_staged().await;
        aged(&world.file(&object), 1000);
        assert_eq!(removed(&world, "maintain").await, Vec::<String>::new(), "{point}");
        world.succeeds("run").await;
        assert_eq!(world.source.drains(), 1, "{point}: the sealed object is enough");
        world.expect_whole(&[1..=16]).await;
    }
}

#[tokio::test]
async fn what_others_have_loaded_goes_unless_somebody_is_at_it() {
    let world = World::new(1..=16).await;
    world.is_killed("run", "staged=return").await;
    let object = world.the_staged().await;
    let bytes = std::fs::read(world.file(&object)).unwrap();
    std::fs::remove_file(world.file(&object)).unwrap();
    world.succeeds("run").await;
    std::fs::write(world.file(&object), bytes).unwrap();
    let hint = "insert into contract_data.ingestion_progress (batch_id, start_ledger, end_ledger, status, expires_at)
        values (gen_random_uuid(), 16, 20, 'processing', now() + interval '1 hour')";
    world.database.execute(hint).await;
    assert_eq!(removed(&world, "maintain").await, Vec::<String>::new(), "a hint that lives");
    world
        .database
        .execute("update contract_data.ingestion_progress set expires_at = now() where status = 'processing'")
        .await;
    assert_eq!(removed(&world, "maintain --dry-run").await, std::slice::from_ref(&object));
    assert_eq!(world.staged().await, std::slice::from_ref(&object), "a dry run removes nothing");
    assert_eq!(removed(&world, "maintain").await, [object]);
    world.expect_whole(&[1..=16]).await;
}

#[tokio::test]
async fn half_objects_and_uploads_go_after_a_day() {
    let world = World::new(1..=64).await;
    world.is_killed("run", "drained=return").await;
    let folder = world.file("staging/network=pubnet");
    std::fs::create_dir_all(&folder).unwrap();
    let names = [
        format!("33-48-{UUID}.parquet"),
        format!("49-64-{UUID}.parquet"),
        format!("1-2-{UUID}.parquet#1"),
        format!("3-4-{UUID}.parquet#2"),
        "notes.txt".to_owned(),
    ];
    for (n, name) in names.iter().enumerate() {
        std::fs::write(folder.join(name), if n == 0 { &b""[..] } else { b"PAR1 and then nothing PAR1" })
            .unwrap();
    }
    assert_eq!(removed(&world, "maintain").await, Vec::<String>::new(), "young");
    for name in [&names[0], &names[1], &names[2], &names[4]] {
        aged(&folder.join(name), 25);
    }
    let mut expected =
        [&names[0], &names[1], &names[2]].map(|name| format!("staging/network=pubnet/{name}")).to_vec();
    expected.sort();
    let mut found = removed(&world, "maintain").await;
    found.sort();
    assert_eq!(found, expected);
    assert!(folder.join(&names[3]).exists() && folder.join(&names[4]).exists());
}

#[tokio::test]
async fn a_replacement_that_was_given_up_goes_after_a_day() {
    let world = World::new(1..=16).await;
    world.succeeds("run").await;
    world.is_killed("replay -s 1 -e 16 --force", "staged=return").await;
    let object = world.the_staged().await;
    world.database.execute("delete from contract_data.ingestion_progress where status = 'processing'").await;
    assert_eq!(removed(&world, "maintain").await, Vec::<String>::new(), "young");
    aged(&world.file(&object), 25);
    assert_eq!(removed(&world, "maintain").await, [object]);
    world.expect_whole(&[1..=16]).await;
}

#[tokio::test]
async fn what_is_another_databases_is_none_of_ours() {
    let other = World::new(1..=16).await;
    other.is_killed("run", "staged=return").await;
    let object = other.the_staged().await;
    let world = World::new(1..=16).await;
    world.succeeds("run").await;
    std::fs::copy(other.file(&object), world.file(&object)).unwrap();
    aged(&world.file(&object), 1000);
    assert_eq!(removed(&world, "maintain").await, Vec::<String>::new());
}

#[tokio::test]
async fn below_the_boundary_a_sealed_object_goes_after_a_day() {
    let world = World::new(1..=300).await;
    world.is_killed("replay -s 1 -e 16", "staged=return").await;
    let object = world.the_staged().await;
    world.succeeds("replay -s 65 -e 300 ").await;
    world.database.execute("delete from contract_data.ingestion_progress where status = 'processing'").await;
    assert_eq!(removed(&world, "maintain --retain-ledgers 100").await, Vec::<String>::new(), "young");
    world.succeeds("run").await;
    aged(&world.file(&object), 25);
    assert_eq!(removed(&world, "maintain").await, [object]);
    world.expect_retained(&[65..=300], 192).await;
}

#[tokio::test]
async fn on_s3_as_well() {
    let world = World::on_s3(1..=16).await;
    world.is_killed("run", "staged=return").await;
    let object = world.the_staged().await;
    let Store::Bucket(bucket) = &world.store else { panic!("on S3") };
    let bytes = bucket.get(&format!("prefix/{object}")).await;
    assert_eq!(removed(&world, "maintain").await, Vec::<String>::new(), "it waits for its load");
    world.succeeds("run").await;
    bucket.put(&format!("prefix/{object}"), &bytes).await;
    let other = format!("staging/network=pubnet/17-32-{UUID}.parquet");
    bucket.put(&format!("prefix/{other}"), b"half").await;
    // The object loaded before has this very batch, and is archived: a copy that its move left behind.
    assert_eq!(removed(&world, "maintain").await, [object]);
    assert_eq!(world.staged().await, [other], "a half object may be of today");
}
