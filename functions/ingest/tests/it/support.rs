//! A separate world for each test: a migrated database, a source, and the function between them.

use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;
use testkit::lambda::Function;
use testkit::{Chain, Database, Program, Row, Source};

/// The environment of one test.
pub(crate) struct World {
    pub(crate) database: Database,
    pub(crate) source: Source,
    folder: TempDir,
    variables: Vec<(String, String)>,
}

impl World {
    /// A source of the ledgers 1 to `last`, three rows in each, and an empty, migrated database.
    pub(crate) async fn new(last: u32) -> World {
        let rows =
            (1..=last).flat_map(|ledger| (0..3).map(move |n| Row::at(ledger).contract(n).value(n.into())));
        World::of(Chain::of_rows(rows.collect()).range(1..=last)).await
    }

    /// A source that answers like this chain.
    pub(crate) async fn of(chain: Chain) -> World {
        let source = chain.serve();
        let database = Database::create().await;
        let folder = tempfile::tempdir().unwrap();
        let variables = vec![
            ("DATABASE_URL".to_owned(), database.url()),
            ("FLIGHT_ENDPOINT".to_owned(), source.url()),
            ("STAGING_URL".to_owned(), format!("file://{}", folder.path().display())),
            ("PARTITION_LEDGERS".to_owned(), "1000".to_owned()),
            ("WINDOW_LEDGERS".to_owned(), "16".to_owned()),
            ("MAX_RETRIES".to_owned(), "0".to_owned()),
        ];
        let world = World { database, source, folder, variables };
        let names = world.variables.clone();
        let config = pipeline::Config::from_lookup(|name| {
            names.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone())
        });
        pipeline::migrate(&config.unwrap()).await.unwrap();
        world
    }

    /// The function, started cold with these variables on top.
    pub(crate) async fn function(&self, variables: &[(&str, &str)]) -> Function {
        let environment = self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let program = Program::new(env!("CARGO_BIN_EXE_ingest")).current_dir(self.folder.path());
        Function::start(program.envs(environment).envs(variables.iter().copied()), "ingest").await
    }

    /// Completed windows, as `start-end`.
    pub(crate) async fn windows(&self) -> Vec<String> {
        let windows = "select start_ledger || '-' || end_ledger from contract_data.ingestion_progress
                       where status = 'completed' order by start_ledger";
        self.database.rows(windows).await
    }

    /// Fails the test unless every ledger up to this one is loaded, once.
    pub(crate) async fn expect_loaded(&self, last: u32) {
        let ledgers =
            "select count(*), count(distinct (ledger_sequence, change_index)), min(ledger_sequence),
                       max(ledger_sequence) from contract_data.entries";
        let rows = last * 3;
        assert_eq!(self.database.value(ledgers).await, format!("{rows} | {rows} | 1 | {last}"));
    }
}

/// An event of the local stack.
pub(crate) fn event(name: &str) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../localstack/events");
    let file = folder.join(name);
    let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    serde_json::from_str(&text).unwrap()
}

/// The lines of JSON on the function's output that have this field.
pub(crate) fn lines_with(function: &Function, field: &str) -> Vec<Value> {
    let stdout = function.process.stdout();
    let lines = stdout.lines().map(|line| {
        serde_json::from_str::<Value>(line).unwrap_or_else(|e| panic!("{e}, not a line of JSON: {line}"))
    });
    lines.filter(|line| line.get(field).is_some()).collect()
}
