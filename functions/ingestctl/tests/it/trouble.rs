//! Transient errors of PostgreSQL: locks, deadlocks, a full server, a standby. They are retried; if one lasts too long,
//! that is exit code 5, and nothing is half done.

use testkit::database::{connect, rows};
use testkit::{Chain, Database, Output, PrivateServer, Stop};

use crate::oracle;
use crate::support::{World, until};

/// The number of retries of a step, from the log.
fn attempts_again(output: &Output, step: &str) -> usize {
    let step = format!("\"step\":\"{step}\"");
    let lines = output.stderr.lines();
    lines.filter(|line| line.contains("\"message\":\"retrying\"") && line.contains(&step)).count()
}

/// Whether a session of the loader waits for a lock.
async fn a_loader_waits(world: &World) -> bool {
    let waiting = "select count(*) from pg_stat_activity where datname = current_database()
                   and wait_event_type = 'Lock' and application_name like 'contract-data-loader%'";
    world.database.value(waiting).await != "0"
}

/// Makes every load execute this before its first row.
async fn before_each_copy(world: &World, statements: &str) {
    let trigger = format!(
        "create function public.meddle() returns trigger language plpgsql as
           $$ begin {statements} return null; end $$;
         create trigger meddle before insert on contract_data.entries for each statement execute function public.meddle()"
    );
    world.database.execute(&trigger).await;
}

#[tokio::test]
async fn a_table_that_an_administrator_holds_is_waited_for() {
    let world = World::new(1..=16).await;
    let administrator = world.database.connect().await;
    let lock = "begin; lock table contract_data.entries in access exclusive mode";
    administrator.batch_execute(lock).await.unwrap();

    let running = world.ingestctl("run").spawn();
    until("the loader waits", async || a_loader_waits(&world).await).await;
    administrator.batch_execute("rollback").await.unwrap();
    running.wait().await.expect_code(0);

    world.expect_whole(&[1..=16]).await;
}

#[tokio::test]
async fn no_session_waits_for_ever_or_keeps_its_locks_when_its_host_is_gone() {
    let world = World::new(1..=16).await;
    world.database.execute("create table public.seen (name text, setting text)").await;
    before_each_copy(
        &world,
        "insert into public.seen select name, setting from pg_settings
         where name in ('lock_timeout', 'statement_timeout', 'idle_in_transaction_session_timeout')
            or name like 'tcp_keepalives%';",
    )
    .await;
    world.succeeds("run").await;
    assert_eq!(
        world.database.rows("select distinct name, setting from public.seen order by name").await,
        [
            "idle_in_transaction_session_timeout | 900000",
            "lock_timeout | 30000",
            "statement_timeout | 900000",
            "tcp_keepalives_count | 4",
            "tcp_keepalives_idle | 20",
            "tcp_keepalives_interval | 5",
        ]
    );
}

#[tokio::test]
async fn a_lock_that_is_not_given_in_time_is_asked_for_again() {
    let world = World::new(1..=16).await;
    world.database.execute("create table public.held ()").await;
    before_each_copy(&world, "set local lock_timeout = '100ms'; lock table public.held;").await;
    let analyst = world.database.connect().await;
    analyst.batch_execute("begin; lock table public.held").await.unwrap();

    let told = world.fails("run", &[], 5).await;
    assert!(told.starts_with("ingestctl: database: cannot ") && told.contains("lock timeout"), "{told}");
    assert_eq!(world.windows().await, Vec::<String>::new());
    let mut running = world.ingestctl("run").env("MAX_RETRIES", "6").spawn();
    running.wait_for_line("retrying").await;
    analyst.batch_execute("rollback").await.unwrap();
    let output = running.wait().await.expect_code(0);

    assert!(attempts_again(&output, "load") > 0);
    assert_eq!(world.source.drains(), 1, "the sealed object is loaded, however often");
    world.expect_whole(&[1..=16]).await;
}

#[tokio::test]
async fn a_deadlock_is_survived_by_trying_again() {
    let world = World::new(1..=16).await;
    // The loader must be the victim: it checks for a deadlock before the other session.
    let patience = format!("alter database {} set deadlock_timeout = '2s'", world.database.name());
    world.database.execute(&format!("create table public.crossed (); {patience}")).await;
    before_each_copy(&world, "lock table public.crossed;").await;
    let other = world.database.connect().await;
    other.batch_execute("set deadlock_timeout = '60s'; begin; lock table public.crossed").await.unwrap();

    let running = world.ingestctl("run").spawn();
    until("the loader waits", async || a_loader_waits(&world).await).await;
    other.batch_execute("lock table contract_data.ingestion_progress").await.expect("the loader gives way");
    other.batch_execute("rollback").await.unwrap();
    let output = running.wait().await.expect_code(0);

    assert!(output.stderr.contains("deadlock detected"), "{}", output.stderr);
    assert_eq!(attempts_again(&output, "load"), 1);
    world.expect_whole(&[1..=16]).await;
}

#[tokio::test]
async fn a_serialisation_failure_is_survived_by_trying_again() {
    let world = World::new(1..=16).await;
    world.database.execute("create sequence public.times").await;
    before_each_copy(
        &world,
        "if nextval('public.times') <= 2 then raise exception 'could not serialize' using errcode = '40001'; end if;",
    )
    .await;
    let output = world.succeeds("run").await;
    assert_eq!(attempts_again(&output, "load"), 2);
    world.expect_whole(&[1..=16]).await;
}

#[tokio::test]
async fn a_session_that_does_not_know_a_new_partition_is_replaced() {
    for (code, message) in [
        ("23514", "no partition of relation \"entries\" found for row"),
        ("42P07", "relation already exists"),
    ] {
        let world = World::new(1..=16).await;
        // The first session to load never finds the partition; any other does.
        let sequence = "create sequence public.outdated minvalue 0; create table public.seen (pid integer)";
        world.database.execute(sequence).await;
        let meddling = format!(
            "if nextval('public.outdated') = 0 then perform setval('public.outdated', pg_backend_pid(), false); end if;
             if (select last_value from public.outdated) in (pg_backend_pid(), pg_backend_pid() + 1)
               then perform setval('public.outdated', pg_backend_pid(), false);
                    raise exception '{message}' using errcode = '{code}'; end if;
             insert into public.seen values (pg_backend_pid());"
        );
        before_each_copy(&world, &meddling).await;
        let output = world.succeeds("run").await;
        assert_eq!(attempts_again(&output, "load"), 1, "{code}: {}", output.stderr);
        world.expect_whole(&[1..=16]).await;
    }
}

#[tokio::test]
async fn a_server_without_a_free_connection_is_waited_for() {
    let server = PrivateServer::start(&["max_connections=8", "superuser_reserved_connections=0"]);
    let ledgers = oracle::ledgers(1..=16);
    let chain = Chain::of_rows(ledgers.clone()).range(1..=16);
    let world = World::with(Database::create_on(server.url()).await, chain, ledgers).await;
    let mut crowd = vec![connect(server.url()).await];
    let sessions = "select count(*) from pg_stat_activity where backend_type = 'client backend'";
    until("nobody else is left", async || rows(&crowd[0], sessions).await == ["1"]).await;
    for _ in 0..7 {
        crowd.push(connect(server.url()).await);
    }

    let told = world.fails("run", &[], 5).await;
    assert!(told.contains("cannot connect") && told.contains("too many clients"), "{told}");
    let mut running = world.ingestctl("run").env("MAX_RETRIES", "6").spawn();
    running.wait_for_line("retrying").await;
    drop(crowd);
    running.wait().await.expect_code(0);

    world.expect_whole(&[1..=16]).await;
}

#[tokio::test]
async fn a_server_that_has_become_a_standby_is_tried_again_until_it_is_none() {
    let server = PrivateServer::start(&[]);
    let ledgers = oracle::ledgers(1..=48);
    let chain = Chain::of_rows(ledgers.clone()).range(1..=48);
    let world = World::with(Database::create_on(server.url()).await, chain, ledgers).await;
    world.succeeds("replay -s 17 -e 32").await;
    let data = world.database.value("show data_directory").await;
    server.stop(Stop::Fast);
    std::fs::write(std::path::Path::new(&data).join("standby.signal"), "").unwrap();
    server.start_again();
    assert_eq!(world.database.value("select pg_is_in_recovery()").await, "t");

    for line in ["replay -s 1 -e 16", "replay -s 17 -e 32 --force"] {
        let output = world.ingestctl(line).env("MAX_RETRIES", "1").run().await.expect_code(5);
        assert_eq!(attempts_again(&output, "connect"), 1, "{line}: {}", output.stderr);
        assert!(output.stderr.contains("the server is a standby"), "{line}: {}", output.stderr);
    }
    assert_eq!(world.windows().await, ["17-32"]);
    let mut running = world.ingestctl("replay -s 1 -e 16").env("MAX_RETRIES", "8").spawn();
    running.wait_for_line("retrying").await;
    world.database.execute("select pg_promote()").await;
    running.wait().await.expect_code(0);
    world.succeeds("replay -s 33 -e 48").await;
    crate::doubt::expire_what_no_window_has(&world).await;
    world.expect_whole(&[1..=48]).await;
}

#[tokio::test]
async fn a_session_that_may_not_write_is_left_for_a_new_one() {
    // The partition must be created outside of the transaction that requests read-write.
    let world = World::new(65..=80).await;
    let administrator = world.database.connect().await;
    administrator.batch_execute("set default_transaction_read_only = off").await.unwrap();
    let name = world.database.name();
    let read_only = async |on: &str| {
        let statement = format!("alter database {name} set default_transaction_read_only = {on}");
        administrator.batch_execute(&statement).await.unwrap();
    };
    read_only("on").await;

    let told = world.fails("replay -s 65 -e 80", &[], 5).await;
    assert!(told.contains("default_transaction_read_only is on"), "{told}");
    assert_eq!(world.windows().await, Vec::<String>::new());
    // A session keeps its initial settings: only a new one has the server's current ones.
    let mut running = world.ingestctl("replay -s 65 -e 80").env("MAX_RETRIES", "6").spawn();
    running.wait_for_line("retrying").await;
    read_only("off").await;
    running.wait().await.expect_code(0);

    world.expect_whole(&[65..=80]).await;
}
