//! PostgreSQL stops: in the middle of a COPY, between runs, and for longer than any retry lasts.

use testkit::{Chain, Database, PrivateServer, Row, Running, Stop};

use crate::support::{World, complaint, log, until};

/// Five batches, each slowed down: time enough to strike between them.
pub(crate) const SLOW: &str = "copying=sleep(150)";

/// A world of one window with 20,000 rows, on a server of its own.
pub(crate) async fn large_window() -> (PrivateServer, World) {
    let server = PrivateServer::start(&[]);
    let of_ledger = |l: u32| (0..2_000).map(move |n| Row::at(l).key(n % 500).value(u64::from(n)));
    let rows: Vec<Row> = (1..=10).flat_map(of_ledger).collect();
    let database = Database::create_on(server.url()).await;
    let world = World::with(database, Chain::of_rows(rows.clone()), rows).await;
    (server, world)
}

/// Waits until rows of the COPY have arrived at the server.
pub(crate) async fn in_the_middle_of_copy(world: &World) {
    let copying = "select count(*) from pg_stat_progress_copy where tuples_processed > 0";
    until("rows are being copied", async || world.database.value(copying).await != "0").await;
}

async fn copying(world: &World, line: &str, max_retries: &str) -> Running {
    let program = world.ingestctl(line).env("FAILPOINTS", SLOW).env("MAX_RETRIES", max_retries);
    let running = program.spawn();
    in_the_middle_of_copy(world).await;
    running
}

#[tokio::test]
async fn a_restart_in_the_middle_of_copy_is_survived_by_the_same_process() {
    let (server, world) = large_window().await;

    let running = copying(&world, "run", "6").await;
    server.restart(Stop::Immediate);
    let output = running.wait().await.expect_code(0);

    let steps: Vec<_> = log(&output).into_iter().filter(|line| line["message"] == "retrying").collect();
    assert!(steps.iter().any(|line| line["step"] == "load"), "{steps:?}");
    assert_eq!(world.source.drains(), 1, "the staged object was loaded again, not drained again");
    world.expect_whole(&[1..=10]).await;

    // Restarted while nothing runs.
    server.restart(Stop::Immediate);
    world.expect_whole(&[1..=10]).await;
}

#[tokio::test]
async fn a_session_ended_by_an_administrator_is_replaced() {
    let (_server, world) = large_window().await;

    let running = copying(&world, "replay -s 1 -e 10", "3").await;
    let terminate = "select count(pg_terminate_backend(pid)) from pg_stat_activity
                     where application_name like 'contract-data-loader%'";
    assert_ne!(world.database.value(terminate).await, "0");
    running.wait().await.expect_code(0);

    world.expect_whole(&[1..=10]).await;
}

#[tokio::test]
async fn a_server_that_stays_down_is_exit_code_5_and_its_return_is_enough() {
    let (server, world) = large_window().await;

    let running = copying(&world, "replay -s 1 -e 10", "1").await;
    server.stop(Stop::Immediate);
    let output = running.wait().await.expect_code(5);
    let told = output.stderr.lines().filter(|line| line.starts_with("ingestctl: database: ")).count();
    assert_eq!(told, 1, "{}", output.stderr);
    let program = world.ingestctl("run").env("LOG_LEVEL", "error").env("MAX_RETRIES", "0");
    let down = complaint(&program.run().await.expect_code(5));
    assert!(down.starts_with("ingestctl: database: cannot connect"), "{down}");

    server.start_again();
    assert_eq!(world.windows().await, Vec::<String>::new());
    let drains = world.source.drains();
    world.succeeds("run").await;

    assert_eq!(world.source.drains(), drains, "what was staged before the stop is loaded without the source");
    let source = "select source from contract_data.ingestion_progress";
    assert_eq!(world.database.value(source).await, "staging");
    world.expect_whole(&[1..=10]).await;
}

#[tokio::test]
async fn a_full_disk_loads_nothing_by_half_and_is_survived() {
    let Some(server) = PrivateServer::on_small_disk(300, &["max_wal_size=64MB"]) else { return };
    let of_ledger = |l: u32| (0..2_000).map(move |n| Row::at(l).key(n).value(u64::from(n)));
    let rows: Vec<Row> = (1..=16).flat_map(of_ledger).collect();
    let world =
        World::with(Database::create_on(server.url()).await, Chain::of_rows(rows.clone()), rows).await;
    world.succeeds("replay -s 1 -e 2").await;

    // What is left takes a window, and its WAL, by half.
    server.fill_disk(Some(4 << 10));
    let told = world.fails("replay -s 3 -e 16", &[("MAX_RETRIES", "0")], 5).await;
    // The last is how it looks where the WAL has no room: the server ends as in a crash.
    let full = ["No space left on device", "could not extend file", "could not write", "connection closed"];
    assert!(full.iter().any(|reason| told.contains(reason)), "{told}");
    server.fill_disk(None);

    server.restart(Stop::Immediate);
    assert_eq!(world.windows().await, ["1-2"]);
    assert_eq!(world.database.value("select count(*) from contract_data.entries").await, "4000");
    world.succeeds("replay -s 3 -e 16").await;
    world.expect_whole(&[1..=16]).await;
}
