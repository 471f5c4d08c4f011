//! A separate world for each test: database, staging folder, source.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use pipeline::{Clients, Config, Error, LedgerWindow, ReplayOptions, Report, Result, Verification};
use tempfile::TempDir;
use testkit::{Database, Source};

/// Makes a database that has lost its windows.
pub(crate) const FORGET_WINDOWS: &str = "truncate contract_data.ingestion_progress cascade;
    update contract_data.folded_ledgers set ledgers = '{}', with_ttls = '{}', ttls_whole_from = null";

/// A migrated database, a staging folder, and the variables.
pub(crate) struct World {
    pub(crate) database: Database,
    pub(crate) folder: TempDir,
    variables: Mutex<Vec<(String, String)>>,
}

impl World {
    /// A world around a source.
    pub(crate) async fn around(source: &Source) -> World {
        World::at(&source.url()).await
    }

    /// A world whose source is at this URL.
    pub(crate) async fn at(source: &str) -> World {
        let world = World::without_schema(source).await;
        pipeline::migrate(&world.config()).await.unwrap();
        world
    }

    /// A world before its first migration.
    pub(crate) async fn without_schema(source: &str) -> World {
        let database = Database::create().await;
        let folder = tempfile::tempdir().unwrap();
        let variables = [
            ("DATABASE_URL", database.url()),
            ("FLIGHT_ENDPOINT", source.to_owned()),
            ("STAGING_URL", format!("file://{}", folder.path().display())),
            ("FLIGHT_TIMEOUT", "2s".to_owned()),
            ("MAX_RETRIES", "0".to_owned()),
            ("PARTITION_LEDGERS", "1000".to_owned()),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value)).to_vec();
        World { database, folder, variables: Mutex::new(variables) }
    }

    /// Sets a variable.
    pub(crate) fn set(&self, name: &str, value: &str) {
        let mut variables = self.variables.lock().unwrap();
        variables.retain(|(n, _)| n != name);
        variables.push((name.to_owned(), value.to_owned()));
    }

    /// The configuration that the variables give.
    pub(crate) fn config(&self) -> Config {
        let variables = self.variables.lock().unwrap().clone();
        Config::from_lookup(|name| variables.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone())).unwrap()
    }

    /// Clients of that configuration.
    pub(crate) fn clients(&self) -> Arc<Clients> {
        Clients::open(self.config()).unwrap()
    }

    /// Replays a range.
    pub(crate) async fn replay(&self, start: u32, end: u32) -> Result<Report> {
        self.replay_with(start, end, ReplayOptions::default()).await
    }

    /// Replays a range in another way.
    pub(crate) async fn replay_with(&self, start: u32, end: u32, options: ReplayOptions) -> Result<Report> {
        let range = LedgerWindow::new(start, end).unwrap();
        pipeline::replay(&self.clients(), range, options, None, Arc::new(|_| {})).await
    }

    /// Replays a range that must fail, and checks that nothing is recorded, loaded or left in staging.
    pub(crate) async fn refused(&self, start: u32, end: u32) -> Error {
        let error = self.replay(start, end).await.expect_err("the replay is refused");
        assert_eq!(self.database.value("select count(*) from contract_data.entries").await, "0");
        assert_eq!(self.database.value("select count(*) from contract_data.ingestion_progress").await, "0");
        assert_eq!(self.objects("staging"), Vec::<String>::new());
        error
    }

    /// Does a scheduled run.
    pub(crate) async fn run(&self) -> Result<Report> {
        self.run_until(None).await
    }

    /// Does a scheduled run on a host that ends at this moment.
    pub(crate) async fn run_until(&self, until: Option<Instant>) -> Result<Report> {
        pipeline::run(&self.clients(), until, Arc::new(|_| {})).await
    }

    /// Verifies everything.
    pub(crate) async fn verify(&self) -> Verification {
        pipeline::verify(&self.config(), None, Arc::new(|_| {})).await.unwrap()
    }

    /// Verifies everything and expects to find nothing wrong.
    pub(crate) async fn verified(&self) {
        let verification = self.verify().await;
        assert!(verification.findings.is_empty(), "{:#?}", verification.findings);
    }

    /// The entries in order, as `ledger/change_index` and the key's value.
    pub(crate) async fn entries(&self) -> Vec<String> {
        self.database
            .rows(
                "select format('%s/%s %s', ledger_sequence, change_index, val_xdr) from contract_data.entries
                 order by ledger_sequence, change_index",
            )
            .await
    }

    /// The objects below a folder of the staging URL, sorted, without the mark of the archive.
    pub(crate) fn objects(&self, folder: &str) -> Vec<String> {
        let mut found = Vec::new();
        let mut open = vec![self.folder.path().join(folder)];
        while let Some(path) = open.pop() {
            let Ok(entries) = std::fs::read_dir(&path) else { continue };
            for entry in entries {
                let entry = entry.unwrap().path();
                if entry.is_dir() {
                    open.push(entry);
                } else if !entry.ends_with("_database.json") {
                    found.push(entry.strip_prefix(self.folder.path()).unwrap().display().to_string());
                }
            }
        }
        found.sort();
        found
    }
}

/// A file of real ledgers, where there are any.
#[allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "the data stays outside of the repository"
)]
pub(crate) fn real_data(name: &str) -> Option<std::path::PathBuf> {
    let Some(folder) = std::env::var_os("REAL_DATA_DIR") else {
        eprintln!("REAL_DATA_DIR is not set: no real ledgers are loaded");
        return None;
    };
    Some(std::path::Path::new(&folder).join(name))
}
