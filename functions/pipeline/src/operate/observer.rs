//! The observer: checks database and source outside of the runs, on its own connections, with short timeouts.

use std::time::Duration;

use super::gauges;
use super::overview::{Overview, overview};
use super::status::{Answer, read};
use crate::config::Config;
use crate::contract::wire::SourceRange;
use crate::database::settings::Settings;
use crate::database::{Client, Limits, connect};
use crate::error::{Error, Result};
use crate::source::Flight;

/// The longest wait for database or source; after that it counts as unreachable.
const PATIENCE: Duration = Duration::from_secs(5);

/// The longest time to read an overview. Databases that need longer have none.
const OVERVIEW_PATIENCE: Duration = Duration::from_secs(30);

/// Whether database and source answer, and the source's ledgers.
#[derive(Debug, Clone)]
pub struct Reachable {
    /// Why the database is unusable; `None` if it is usable.
    pub database_error: Option<String>,
    /// Why its schema is unsuitable, although the database answers.
    pub schema_error: Option<String>,
    /// Why the source is unreachable; `None` if it answers.
    pub source_error: Option<String>,
    /// The source's ledgers; `None` if it does not declare them.
    pub source: Option<SourceRange>,
}

/// Checks the database and the source of a configuration. Use one observer per kind of check: it keeps its connection,
/// and reconnects after an error.
#[derive(Debug)]
pub struct Observer {
    config: Config,
    client: Option<Client>,
    flight: Flight,
}

impl Observer {
    /// Prepares the checks; nothing is sent before the first.
    ///
    /// # Errors
    /// [`Error::Config`] for an invalid configuration.
    pub fn new(config: &Config) -> Result<Self> {
        let mut flight = config.flight.clone();
        flight.timeout = flight.timeout.min(PATIENCE);
        Ok(Observer { config: config.clone(), client: None, flight: Flight::new(&flight)? })
    }

    /// Checks both at the same time, in 5 seconds at most. Also sets the metrics.
    pub async fn look(&mut self) -> Reachable {
        let flight = &self.flight;
        let source = async { within(PATIENCE, "source", flight.range()).await };
        let database = async {
            let client = taken(&mut self.client, &self.config).await?;
            Settings::checked(client, &self.config).await.map(drop)
        };
        let database = within(PATIENCE, "database", database);
        let (database, source) = tokio::join!(database, source);
        let (database_error, schema_error) = match database {
            Ok(()) => (None, None),
            Err(error @ Error::Schema(_)) => (None, Some(error.chain())),
            Err(error) => {
                self.client = None;
                (Some(error.chain()), None)
            }
        };
        let (source, source_error) = match source {
            Ok(source) => (source, None),
            Err(error) => {
                self.flight = self.flight.reconnected();
                (None, Some(error.chain()))
            }
        };
        gauges::reachable(database_error.is_none(), source_error.is_none(), source.as_ref());
        Reachable { database_error, schema_error, source_error, source }
    }

    /// Reads the overview, given the result of a [look](Self::look); `bins` for the coverage. Also sets the metrics.
    ///
    /// # Errors
    /// [`Error::Database`] also if it takes longer than half a minute, [`Error::Schema`].
    pub async fn overview(&mut self, seen: &Reachable, bins: u16) -> Result<Overview> {
        let source: Answer = match &seen.source_error {
            Some(error) => Err(error.clone()),
            None => Ok(seen.source.clone()),
        };
        let reading = async {
            let client = taken(&mut self.client, &self.config).await?;
            let status = read(client, &self.config, source).await?;
            overview(client, status, bins).await
        };
        let overview = within(OVERVIEW_PATIENCE, "database", reading).await;
        match &overview {
            Ok(overview) => gauges::overview(overview),
            Err(_) => self.client = None,
        }
        overview
    }
}

/// The kept connection, or a new one.
async fn taken<'a>(kept: &'a mut Option<Client>, config: &Config) -> Result<&'a Client> {
    let client = match kept.take() {
        Some(client) if !client.is_closed() => client,
        _ => {
            let client = connect(&config.database).await?;
            // No caller waits longer for an answer, nor for another session's lock.
            client.limit(Limits { lock: PATIENCE, statement: OVERVIEW_PATIENCE }).await?;
            client
        }
    };
    Ok(kept.insert(client))
}

/// The outcome, or a timeout error.
async fn within<T>(patience: Duration, who: &str, question: impl Future<Output = Result<T>>) -> Result<T> {
    match tokio::time::timeout(patience, question).await {
        Ok(outcome) => outcome,
        Err(_) => {
            let problem = format!("the {who} does not answer within {} s", patience.as_secs());
            Err(match who {
                "source" => Error::source_transient(problem),
                _ => Error::Database {
                    action: "check that it answers",
                    transient: true,
                    source: problem.into(),
                },
            })
        }
    }
}
