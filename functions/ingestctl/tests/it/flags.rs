//! Flags: each overrides its variable, and --dry-run writes nothing.

use testkit::port::closed_port;

use crate::support::{World, json};

#[tokio::test]
async fn a_dry_run_says_what_it_would_do_and_writes_nothing() {
    let world = World::new(1..=60).await;
    world.succeeds("replay -s 20 -e 40").await;
    let counts = "select relname, (xpath('/row/n/text()', query_to_xml(format('select count(*) as n from contract_data.%I', relname),
                    false, true, '')))[1] from pg_class where relnamespace = 'contract_data'::regnamespace and relkind in ('r', 'p') order by 1";
    let (before, objects) = (world.database.rows(counts).await, world.objects().await);
    assert!(before.contains(&"entries_0000000000 | 45".to_owned()), "{before:?}");
    let drains = world.source.drains();

    let output = world.succeeds("replay -s 1 -e 100 --dry-run").await;
    let plan = json(&world.succeeds("replay -s 1 -e 100 --dry-run --json").await);

    assert!(
        output.stdout.starts_with("Ledgers 1 to 100: the source has 39 missing ledgers, in 4 windows.\n"),
        "{}",
        output.stdout
    );
    assert!(
        output.stdout.ends_with("The source ends at ledger 60.\nDry run: nothing was written.\n"),
        "{}",
        output.stdout
    );
    let expected = serde_json::json!({
        "start_ledger": 1, "end_ledger": 100, "ledgers": 39, "windows": 4, "replaced": 0, "source_ends_at": 60,
        "invocations": 4, "put_requests": 8,
        "first_windows": [[1, 16], [17, 19], [41, 56], [57, 60]],
    });
    assert_eq!(plan, expected);
    assert_eq!(world.database.rows(counts).await, before);
    assert_eq!((world.objects().await, world.source.drains()), (objects, drains));
}

#[tokio::test]
async fn a_dry_run_makes_no_folder() {
    let world = World::new(1..=16).await;
    let url = format!("file://{}/not/yet", world.file("").display());
    world.ingestctl("replay -s 1 -e 16 --dry-run").env("STAGING_URL", url).run().await.expect_code(0);
    assert!(!world.file("not").exists());
    world.expect_nothing().await;
}

#[tokio::test]
async fn a_flag_wins_over_its_variable() {
    let world = World::new(1..=40).await;
    let closed = closed_port();
    let nowhere = format!("http://{}", closed.address());
    let url = world.database.url();
    let (staging, source) = (format!("file://{}", world.file("").display()), world.source.url());

    let line = format!(
        "run --database-url {url} --flight-endpoint {source} --staging-url {staging} --network pubnet \
         --window-ledgers 10 --max-windows 2 --log-level error"
    );
    let program = world.ingestctl(&line).env("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none");
    let program = program.env("FLIGHT_ENDPOINT", nowhere).env("STAGING_URL", "s3://no-bucket/at-all");
    let program = program.env("NETWORK", "testnet").env("WINDOW_LEDGERS", "7").env("MAX_WINDOWS", "1");
    let output = program.env("LOG_LEVEL", "debug").run().await.expect_code(0);

    assert_eq!(output.stderr, "", "--log-level error");
    assert_eq!(world.windows().await, ["1-10", "11-20"]);
    world.expect_whole(&[1..=20]).await;
}

#[tokio::test]
async fn a_flag_may_stand_before_the_command_and_is_checked_as_its_variable_is() {
    let world = World::new(1..=16).await;
    world.succeeds("--window-ledgers 4 replay -s 1 -e 8").await;
    assert_eq!(world.windows().await, ["1-4", "5-8"]);
    let told = world.fails("run --window-ledgers 0", &[], 2).await;
    assert_eq!(told, "ingestctl: configuration: WINDOW_LEDGERS: must be at least 1");
}
