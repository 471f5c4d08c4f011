//! The clients of a process, which serve many runs, and the context of one run.

use std::sync::{Arc, Mutex, PoisonError};

use super::budget::Budget;
use super::pace;
use crate::config::Config;
use crate::contract::wire::SourceRange;
use crate::database::settings::Settings;
use crate::database::{Client, Session, Sessions, hints};
use crate::error::Result;
use crate::retry::retry;
use crate::source::{Flight, Trust};
use crate::store::Store;

/// The clients of a process, shared by all its runs.
///
/// A host may be frozen for hours between two runs, so connections may have died: a PostgreSQL session must answer a
/// query before it is used, and each run opens its own connection to the source.
#[derive(Debug)]
pub struct Clients {
    pub(super) config: Config,
    pub(super) store: Store,
    pub(super) sessions: Sessions,
    flight: Flight,
    /// When the server started whose database was compared with the archive.
    compared: Mutex<Option<String>>,
}

impl Clients {
    /// Prepares the clients. Nothing is sent before the first run.
    ///
    /// # Errors
    /// [`crate::Error::Config`] for an invalid configuration, [`crate::Error::Staging`] when the folder of a `file://`
    /// URL cannot be created.
    pub fn open(config: Config) -> Result<Arc<Self>> {
        Ok(Arc::new(Clients {
            store: Store::open(&config.staging, config.max_retries)?,
            sessions: Sessions::new(&config.database)?,
            flight: Flight::new(&config.flight)?,
            compared: Mutex::new(None),
            config,
        }))
    }

    /// Whether the database on this server was not compared with the archive yet.
    pub(super) fn is_new_server(&self, started: &str) -> bool {
        self.compared.lock().unwrap_or_else(PoisonError::into_inner).as_deref() != Some(started)
    }

    /// Remembers that the database on this server was compared with the archive.
    pub(super) fn note_server(&self, started: String) {
        *self.compared.lock().unwrap_or_else(PoisonError::into_inner) = Some(started);
    }

    /// The configuration that the clients were built from.
    pub fn config(&self) -> &Config {
        &self.config
    }
}

/// The context of one run.
pub(super) struct Context {
    pub(super) clients: Arc<Clients>,
    pub(super) flight: Flight,
    pub(super) settings: Settings,
    pub(super) trust: Trust,
    pub(super) budget: Arc<Budget>,
}

impl Context {
    /// Opens everything that a run needs, and refuses a database of another configuration. Also returns the session
    /// used for the check.
    ///
    /// # Errors
    /// Those of a connection, and of [`Settings::checked`].
    pub(super) async fn open(
        clients: &Arc<Clients>,
        budget: &Arc<Budget>,
        trust: Trust,
    ) -> Result<(Arc<Self>, Session)> {
        let client = retry(clients.config.max_retries, "connect", |_| clients.sessions.get()).await?;
        // Every run needs a second session soon. Here it shows a pooler that gives both the same session of the server.
        drop(clients.sessions.get().await?);
        let settings = Settings::checked(&client, &clients.config).await?;
        let (clients, budget) = (Arc::clone(clients), Arc::clone(budget));
        // A new connection, established on first use: a host may have been frozen since the last run.
        let flight = clients.flight.reconnected();
        Ok((Arc::new(Context { clients, flight, settings, trust, budget }), client))
    }

    /// The object store.
    pub(super) fn store(&self) -> &Store {
        &self.clients.store
    }

    /// The network's name.
    pub(super) fn network(&self) -> &str {
        &self.clients.config.network.name
    }

    /// Reads the pace and the abandoned windows of earlier runs, if this run's time is limited.
    pub(super) async fn learn(&self, client: &Client) -> Result<()> {
        if self.budget.ends() {
            self.budget.learn(pace::pace(client).await?, hints::given_up_windows(client).await?);
        }
        Ok(())
    }

    /// Asks the source for its ledgers, with retries.
    pub(super) async fn source_range(&self) -> Result<Option<SourceRange>> {
        self.retry("ask the source", |_| self.flight.range()).await
    }

    /// A live, writable session.
    pub(super) async fn session(&self) -> Result<Session> {
        self.clients.sessions.get().await
    }

    /// [`retry`] with the configured number of retries.
    pub(super) async fn retry<T, F: Future<Output = Result<T>>>(
        &self,
        step: &'static str,
        attempt: impl FnMut(u32) -> F,
    ) -> Result<T> {
        retry(self.clients.config.max_retries, step, attempt).await
    }

    /// [`retry`] for work that needs a session: each attempt gets a checked one.
    pub(super) async fn retry_on_session<T, F: Future<Output = Result<T>>>(
        &self,
        step: &'static str,
        attempt: impl Fn(Session, u32) -> F,
    ) -> Result<T> {
        let attempt = &attempt;
        self.retry(step, move |number| async move { attempt(self.session().await?, number).await }).await
    }
}
