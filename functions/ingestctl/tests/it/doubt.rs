//! COMMIT in doubt: never answered, answered but not received, or answered falsely. In every case each ledger is there
//! once, and only the database decides.

use std::ops::RangeInclusive;

use testkit::proxy::postgres::{Fault, Message};
use testkit::{Chain, Database, PostgresProxy, PrivateServer, Row, Running};

use crate::oracle;
use crate::support::{World, complaint, json, log, until};

const LEDGERS: RangeInclusive<u32> = 1..=16;

/// The operator's commands, and how each reports that the one window is there.
const LINES: [(&str, &str); 3] = [
    ("run --json", "completed"),
    ("replay -s 1 -e 16 --json", "completed"),
    ("replay -s 1 -e 16 --force --json", "replaced"),
];

/// A world of one window; for a replacement, it is already loaded from a source with other values.
async fn world_for(line: &str, database: Database) -> World {
    let rows = oracle::ledgers(LEDGERS);
    let chain = Chain::of_rows(rows.clone()).range(LEDGERS);
    if !line.contains("--force") {
        return World::with(database, chain, rows).await;
    }
    let told_before = |row: Row| Row { last_modified_ledger: 1, ..row };
    let before = rows.iter().cloned().map(told_before).filter(|row| row.ledger_sequence != 7).collect();
    let world = World::with(database, Chain::of_rows(before).range(LEDGERS), rows).await;
    world.succeeds("replay -s 1 -e 16").await;
    world.source.answer_with(move |request| chain.answer(request));
    world
}

/// Waits until the server has no session of the loader any more.
async fn nobody_is_at_it(world: &World) {
    let sessions = "select count(*) from pg_stat_activity where datname = current_database()
                    and application_name like 'contract-data-loader%'";
    until("the server is done", async || world.database.value(sessions).await == "0").await;
}

/// Removes the objects in staging/ without a window: those of an abandoned replacement, which expire.
pub(crate) async fn expire_what_no_window_has(world: &World) {
    let progress = world.database.rows("select object from contract_data.ingestion_progress").await;
    for object in world.staged().await {
        if !progress.contains(&object) {
            std::fs::remove_file(world.file(&object)).unwrap();
        }
    }
}

/// Fails unless exactly the one window is there, equal to the source, after a run has finished the rest.
async fn expect_whole(world: &World) {
    world.succeeds("run").await;
    expire_what_no_window_has(world).await;
    world.expect_whole(&[LEDGERS]).await;
}

const CUTS: [Fault; 3] = [Fault::CutBefore, Fault::CutAfter, Fault::CutAnswer];

#[tokio::test]
async fn a_commit_that_is_cut_is_settled_by_the_same_process() {
    for (line, status) in LINES {
        for cut in CUTS {
            let world = world_for(line, Database::create().await).await;
            let proxy = PostgresProxy::before(&world.database.url());
            proxy.at_next(Message::Commit, cut);

            let program = world.ingestctl(line).env("DATABASE_URL", proxy.url());
            let output = program.run().await.expect_code(0);

            proxy.struck().await;
            let again = log(&output).into_iter().filter(|line| line["message"] == "retrying").count();
            assert_eq!(again, 1, "{line}, {cut:?}: {}", output.stderr);
            assert_eq!(json(&output)["windows"][0]["status"], status, "{line}, {cut:?}");
            world.expect_whole(&[LEDGERS]).await;
        }
    }
}

#[tokio::test]
async fn a_commit_that_is_cut_is_settled_by_the_next_process() {
    for (line, _) in LINES {
        for cut in CUTS {
            let world = world_for(line, Database::create().await).await;
            let drains = world.source.drains();
            let proxy = PostgresProxy::before(&world.database.url());
            proxy.at_next(Message::Commit, cut);

            let told = world.fails(line, &[("DATABASE_URL", &proxy.url())], 5).await;

            assert!(told.starts_with("ingestctl: database: cannot commit the window: "), "{told}");
            assert_eq!(world.staged().await.len(), 1, "{line}, {cut:?}: kept while it may be needed");
            nobody_is_at_it(&world).await;
            world.succeeds("verify").await;
            if line.contains("--force") {
                world.succeeds(line).await;
            } else {
                world.succeeds("run").await;
                assert_eq!(world.source.drains(), drains + 1, "{line}, {cut:?}: the sealed object is enough");
            }
            expect_whole(&world).await;
        }
    }
}

#[tokio::test]
async fn a_commit_that_was_none_is_found_out() {
    for (line, status) in LINES {
        let world = world_for(line, Database::create().await).await;
        let proxy = PostgresProxy::before(&world.database.url());
        let url = proxy.url();
        proxy.at_next(Message::Commit, Fault::RollBack);
        let told = world.fails(line, &[("DATABASE_URL", &url)], 5).await;
        assert!(told.contains("COMMIT succeeded, but the row of ledgers 1-16 is missing"), "{told}");
        world.succeeds("verify").await;

        proxy.at_next(Message::Commit, Fault::RollBack);
        let output = world.ingestctl(line).env("DATABASE_URL", &url).run().await.expect_code(0);
        assert_eq!(json(&output)["windows"][0]["status"], status, "{line}");
        expect_whole(&world).await;
    }
}

#[tokio::test]
async fn a_copy_that_counts_other_rows_than_were_sent_is_rolled_back() {
    for (line, _) in LINES {
        let world = world_for(line, Database::create().await).await;
        let before = world.database.rows("select * from contract_data.entries order by 11, 19").await;
        let proxy = PostgresProxy::before(&world.database.url());
        proxy.at_next(Message::CopyDone, Fault::Miscount);
        let program = world.ingestctl(line).env("DATABASE_URL", proxy.url()).env("LOG_LEVEL", "error");
        let told = complaint(&program.run().await.expect_code(5));
        assert!(told.contains("37 rows were sent, PostgreSQL stored 36"), "{told}");
        let after = world.database.rows("select * from contract_data.entries order by 11, 19").await;
        assert_eq!(after, before, "{line}");
        world.succeeds("verify").await;
        world.succeeds(line).await;
        expect_whole(&world).await;
    }
}

#[tokio::test]
async fn a_copy_that_is_cut_at_its_end_is_loaded_again() {
    for (line, _) in LINES {
        let world = world_for(line, Database::create().await).await;
        let proxy = PostgresProxy::before(&world.database.url());
        proxy.at_next(Message::CopyDone, Fault::CutAnswer);
        world.ingestctl(line).env("DATABASE_URL", proxy.url()).run().await.expect_code(0);
        proxy.struck().await;
        world.expect_whole(&[LEDGERS]).await;
    }
}

/// Makes the next COMMIT of a window wait, while `public.doubt` says so: for a missing standby, which is after the
/// transaction is committed, or for a deferred check, which is before.
const WAITING: &str = "
    create table public.doubt (for_standby boolean not null, for_check boolean not null);
    insert into public.doubt values (false, false);
    create function public.want_standby() returns trigger language plpgsql as $$ begin
      if (select for_standby from public.doubt) then perform set_config('synchronous_commit', 'on', true); end if;
      return new;
    end $$;
    create function public.check_slowly() returns trigger language plpgsql as $$ begin
      if (select for_check from public.doubt) then perform pg_sleep(100); end if;
      return null;
    end $$;
    create trigger want_standby before insert or update on contract_data.ingestion_progress
      for each row when (new.status = 'completed') execute function public.want_standby();
    create constraint trigger check_slowly after insert or update on contract_data.ingestion_progress
      deferrable initially deferred for each row when (new.status = 'completed') execute function public.check_slowly();
    grant all on public.doubt to public";

/// Where a COMMIT waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    /// Committed, not acknowledged.
    ForStandby,
    /// Not committed yet.
    ForCheck,
}

impl Waits {
    fn event(self) -> &'static str {
        match self {
            Waits::ForStandby => "SyncRep",
            Waits::ForCheck => "PgSleep",
        }
    }
}

/// The number of the loader's sessions that wait for this.
async fn waiting(world: &World, what: &str) -> String {
    let count = format!(
        "select count(*) from pg_stat_activity where datname = current_database() and {what}
         and application_name like 'contract-data-loader%'"
    );
    world.database.value(&count).await
}

/// A world whose server commits with a standby that never answers, and a first process whose COMMIT waits.
async fn in_doubt(server: &PrivateServer, line: &str, waits: Waits, retries: &str) -> (World, Running) {
    let world = world_for(line, Database::create_on(server.url()).await).await;
    world.database.execute(WAITING).await;
    let (standby, check) = (waits == Waits::ForStandby, waits == Waits::ForCheck);
    let set = format!("update public.doubt set for_standby = {standby}, for_check = {check}");
    world.database.execute(&set).await;
    let first = world.ingestctl(line).env("MAX_RETRIES", retries).spawn();
    let event = format!("wait_event = '{}'", waits.event());
    until("COMMIT waits", async || waiting(&world, &event).await == "1").await;
    world.database.execute("update public.doubt set for_standby = false, for_check = false").await;
    assert_eq!(world.staged().await.len(), 1, "kept while the outcome is open");
    (world, first)
}

/// A server that waits for a standby that does not exist.
fn server() -> PrivateServer {
    PrivateServer::start(&["synchronous_standby_names=nobody", "synchronous_commit=local"])
}

async fn terminate(world: &World, waits: Waits) {
    let terminate = format!(
        "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = current_database()
         and wait_event = '{}'",
        waits.event()
    );
    assert_eq!(world.database.value(&terminate).await, "1");
}

/// The second process, waiting for the transaction in doubt and unable to see its window.
async fn second(world: &World, line: &str) -> Running {
    let line = if line.starts_with("run") { "replay -s 1 -e 16 --json" } else { line };
    let running = world.ingestctl(line).spawn();
    until("the second waits", async || waiting(world, "wait_event_type = 'Lock'").await == "1").await;
    running
}

#[tokio::test]
async fn a_client_that_dies_in_commit_is_waited_for_by_the_next() {
    let server = server();
    for (line, _) in LINES {
        for waits in [Waits::ForStandby, Waits::ForCheck] {
            let (world, first) = in_doubt(&server, line, waits, "3").await;
            let second = second(&world, line).await;
            first.kill9().await;
            // The server does not notice: the transaction goes on, and so does the wait for it.
            let event = format!("wait_event = '{}'", waits.event());
            assert_eq!(waiting(&world, &event).await, "1", "{line}, {waits:?}");
            assert_eq!(waiting(&world, "wait_event_type = 'Lock'").await, "1", "{line}, {waits:?}");
            terminate(&world, waits).await;

            let output = second.wait().await.expect_code(0);

            let status = json(&output)["windows"][0]["status"].clone();
            let expected = match (line.split(' ').next(), line.contains("--force"), waits) {
                (_, true, _) => "replaced".into(),
                (_, _, Waits::ForCheck) => "completed".into(),
                // A scheduled run also holds the fold's lock: the second run waits for it, and finds nothing to do.
                (Some("run"), ..) => serde_json::Value::Null,
                _ => "already_loaded".into(),
            };
            assert_eq!(status, expected, "{line}, {waits:?}");
            expect_whole(&world).await;
        }
    }
}

#[tokio::test]
async fn a_backend_that_ends_in_commit_leaves_its_client_to_find_out() {
    let server = server();
    for (line, status) in LINES {
        for waits in [Waits::ForStandby, Waits::ForCheck] {
            let (world, first) = in_doubt(&server, line, waits, "3").await;
            let second = second(&world, line).await;
            terminate(&world, waits).await;

            let output = first.wait().await.expect_code(0);

            assert_eq!(json(&output)["windows"][0]["status"], status, "{line}, {waits:?}");
            second.wait().await.expect_code(0);
            expect_whole(&world).await;

            let (world, first) = in_doubt(&server, line, waits, "0").await;
            terminate(&world, waits).await;
            let output = first.wait().await.expect_code(5);
            assert!(output.stderr.contains("cannot commit the window"), "{}", output.stderr);
            world.succeeds("verify").await;
            world.succeeds(line).await;
            expect_whole(&world).await;
        }
    }
}

#[tokio::test]
async fn a_standby_that_comes_late_settles_what_was_in_doubt() {
    let server = server();
    let (world, first) = in_doubt(&server, "run", Waits::ForStandby, "3").await;
    let second = second(&world, "run").await;
    // Another scheduled run finds one active.
    let busy = world.succeeds("run").await.stdout;
    assert_eq!(busy, "Another scheduled run is active; nothing was done.\n");
    assert_eq!(world.windows().await, Vec::<String>::new(), "not to be seen yet");
    world.database.execute("alter system set synchronous_standby_names = ''").await;
    world.database.execute("select pg_reload_conf()").await;
    first.wait().await.expect_code(0);
    let output = second.wait().await.expect_code(0);
    assert_eq!(json(&output)["windows"], serde_json::json!([]), "nothing is left to do");
    world.expect_whole(&[LEDGERS]).await;
}
