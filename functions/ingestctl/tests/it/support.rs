//! A separate world for each test: a migrated database, a source, an object store, and the binary between them.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use testkit::{Bucket, Chain, Database, Output, Program, Row, Running, Source};

use crate::oracle;

/// The longest wait for something that should take moments.
const PATIENCE: Duration = Duration::from_secs(30);

/// The mark of the archive: the database that it belongs to.
pub(crate) const MARK: &str = "archive/contract_data/v1/network=pubnet/_database.json";

/// Where objects go.
pub(crate) enum Store {
    /// A folder of this machine.
    Folder(TempDir),
    /// A bucket of the local S3.
    Bucket(Bucket),
}

/// The environment of one test.
pub(crate) struct World {
    pub(crate) database: Database,
    pub(crate) source: Source,
    pub(crate) store: Store,
    pub(crate) rows: Vec<Row>,
    pub(crate) environment: Vec<(String, String)>,
}

impl World {
    /// An honest source of synthetic ledgers, an empty folder, a migrated database with 64 ledgers per partition.
    pub(crate) async fn new(ledgers: RangeInclusive<u32>) -> World {
        World::of(Chain::of_rows(oracle::ledgers(ledgers.clone())).range(ledgers.clone()), ledgers).await
    }

    /// A source that answers like this chain of synthetic ledgers.
    pub(crate) async fn of(chain: Chain, ledgers: RangeInclusive<u32>) -> World {
        World::with(Database::create().await, chain, oracle::ledgers(ledgers)).await
    }

    /// A source that answers like this chain of these rows, and the given database.
    pub(crate) async fn with(database: Database, chain: Chain, rows: Vec<Row>) -> World {
        let world = World::without_schema(database, chain.serve(), rows, Store::folder());
        world.succeeds("migrate").await;
        world
    }

    /// As [`World::new`], on S3.
    pub(crate) async fn on_s3(ledgers: RangeInclusive<u32>) -> World {
        let rows = oracle::ledgers(ledgers.clone());
        let source = Chain::of_rows(rows.clone()).range(ledgers).serve();
        let bucket = Store::Bucket(Bucket::create().await);
        let world = World::without_schema(Database::create().await, source, rows, bucket);
        world.succeeds("migrate").await;
        world
    }

    /// With a database that is still empty.
    pub(crate) fn without_schema(database: Database, source: Source, rows: Vec<Row>, store: Store) -> World {
        let mut environment = vec![
            ("DATABASE_URL".to_owned(), database.url()),
            ("FLIGHT_ENDPOINT".to_owned(), source.url()),
            ("STAGING_URL".to_owned(), store.url()),
            ("PARTITION_LEDGERS".to_owned(), oracle::PARTITION_LEDGERS.to_string()),
            ("WINDOW_LEDGERS".to_owned(), "16".to_owned()),
        ];
        if let Store::Bucket(bucket) = &store {
            environment.extend(bucket.env());
        }
        World { database, source, store, rows, environment }
    }

    /// The binary with these arguments, set up for this world.
    pub(crate) fn ingestctl(&self, line: &str) -> Program {
        let environment = self.environment.iter().map(|(name, value)| (name, value));
        Program::new(env!("CARGO_BIN_EXE_ingestctl")).args(line.split_whitespace()).envs(environment)
    }

    /// Runs it; it must succeed.
    pub(crate) async fn succeeds(&self, line: &str) -> Output {
        self.ingestctl(line).run().await.expect_code(0)
    }

    /// Runs it with these variables; it must end with this code and one error line, which is returned.
    pub(crate) async fn fails(&self, line: &str, variables: &[(&str, &str)], code: i32) -> String {
        let program = self.ingestctl(line).env("LOG_LEVEL", "error").env("MAX_RETRIES", "0");
        complaint(&program.envs(variables.iter().copied()).run().await.expect_code(code))
    }

    /// Runs it until this failpoint kills it, and the server has noticed: until then the next run would find this one at work.
    pub(crate) async fn is_killed(&self, line: &str, failpoints: &str) -> Output {
        let output = self.ingestctl(line).env("FAILPOINTS", failpoints).run().await;
        let Output { stdout, stderr, .. } = &output;
        assert_eq!(output.code, None, "not killed at {failpoints}: {stdout}{stderr}");
        let schedule = "select pg_try_advisory_xact_lock(hashtextextended('contract_data.schedule', 0))";
        until("the lock of the killed run is free", async || self.database.value(schedule).await == "t")
            .await;
        output
    }

    /// The objects, sorted, relative to the staging URL, without the mark of the archive.
    pub(crate) async fn objects(&self) -> Vec<String> {
        let mut objects = match &self.store {
            Store::Folder(folder) => files(folder.path()),
            Store::Bucket(bucket) => {
                let keys = bucket.keys("prefix").await;
                keys.iter().map(|key| key.trim_start_matches("prefix/").to_owned()).collect()
            }
        };
        objects.retain(|object| object != MARK);
        objects
    }

    /// The sealed objects in staging/, without abandoned attempts.
    pub(crate) async fn staged(&self) -> Vec<String> {
        let objects = self.objects().await;
        objects.into_iter().filter(|o| o.starts_with("staging/") && o.ends_with(".parquet")).collect()
    }

    /// The one sealed object in staging/.
    pub(crate) async fn the_staged(&self) -> String {
        let mut staged = self.staged().await;
        assert_eq!(staged.len(), 1, "{staged:?}");
        staged.remove(0)
    }

    /// The file of an object, where the store is a folder.
    pub(crate) fn file(&self, object: &str) -> PathBuf {
        match &self.store {
            Store::Folder(folder) => folder.path().join(object),
            Store::Bucket(_) => panic!("no file: the objects are in a bucket"),
        }
    }

    /// Completed windows, as `start-end`.
    pub(crate) async fn windows(&self) -> Vec<String> {
        let windows = "select start_ledger || '-' || end_ledger from contract_data.ingestion_progress
                       where status = 'completed' order by start_ledger";
        self.database.rows(windows).await
    }

    /// Fails the test unless nothing at all is loaded, recorded, archived or under way.
    pub(crate) async fn expect_nothing(&self) {
        let rows = "select (select count(*) from contract_data.entries), (select count(*) from contract_data.key_states),
                           (select count(*) from contract_data.ingestion_progress)";
        assert_eq!(self.database.value(rows).await, "0 | 0 | 0");
        assert_eq!(self.objects().await, Vec::<String>::new());
    }
}

impl Store {
    /// An empty folder.
    pub(crate) fn folder() -> Store {
        Store::Folder(tempfile::tempdir().unwrap())
    }

    fn url(&self) -> String {
        match self {
            Store::Folder(folder) => format!("file://{}", folder.path().display()),
            Store::Bucket(bucket) => bucket.url("prefix"),
        }
    }
}

/// The error line of a failed program: the only line, at LOG_LEVEL=error.
#[track_caller]
pub(crate) fn complaint(output: &Output) -> String {
    let lines: Vec<&str> = output.stderr.lines().collect();
    assert!(!output.stderr.contains("panicked"), "{}", output.stderr);
    match lines[..] {
        [line] if line.starts_with("ingestctl: ") => line.to_owned(),
        _ => panic!("not one line of complaint: {}", output.stderr),
    }
}

/// Waits until the condition holds.
pub(crate) async fn until(what: &str, question: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !question().await {
        assert!(begun.elapsed() < PATIENCE, "in vain: until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits for all of them; each must succeed.
pub(crate) async fn all_succeed(running: Vec<Running>) -> Vec<Output> {
    let mut outputs = Vec::new();
    for running in running {
        outputs.push(running.wait().await.expect_code(0));
    }
    outputs
}

/// The log lines of a program, which are JSON where no terminal is.
pub(crate) fn log(output: &Output) -> Vec<serde_json::Value> {
    let lines = output.stderr.lines();
    lines.map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"))).collect()
}

/// What `--json` printed: one line.
#[track_caller]
pub(crate) fn json(output: &Output) -> serde_json::Value {
    assert_eq!(output.stdout.lines().count(), 1, "{}", output.stdout);
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", output.stdout))
}

/// All files under a folder, sorted, relative to it.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        // A folder may disappear while it is read: other processes are running.
        for entry in std::fs::read_dir(next).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(folder).unwrap().display().to_string());
            }
        }
    }
    found.sort();
    found
}
