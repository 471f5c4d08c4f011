//! What runs stand on: the clients of a process, which serve many runs, and the context of one run.

use std::sync::Arc;

use tokio_postgres::Client;

use super::budget::Budget;
use super::pace;
use crate::config::Config;
use crate::database::settings::Settings;
use crate::database::{Session, Sessions, hints};
use crate::error::Result;
use crate::retry::retry;
use crate::source::{Flight, SourceRange, Trust};
use crate::store::Store;

/// The clients of a process, for as many runs as it makes.
///
/// A host may be frozen between two runs, for hours. What may have died meanwhile is proven alive or made anew: a session
/// of PostgreSQL answers a question before it is used, and each run opens a connection of its own to the source.
#[derive(Debug)]
pub struct Clients {
    pub(super) config: Config,
    pub(super) store: Store,
    pub(super) sessions: Sessions,
    flight: Flight,
}

impl Clients {
    /// Prepares the clients. Nothing is sent to anybody before the first run.
    ///
    /// # Errors
    /// [`crate::Error::Config`] for what the configuration cannot mean, [`crate::Error::Staging`] when the folder of a
    /// `file://` URL cannot be made.
    pub fn open(config: Config) -> Result<Arc<Self>> {
        Ok(Arc::new(Clients {
            store: Store::open(&config.staging, config.max_retries)?,
            sessions: Sessions::new(&config.database)?,
            flight: Flight::new(&config.flight)?,
            config,
        }))
    }

    /// The configuration they were built from.
    pub fn config(&self) -> &Config {
        &self.config
    }
}

/// What one run stands on.
pub(super) struct Context {
    pub(super) clients: Arc<Clients>,
    pub(super) flight: Flight,
    pub(super) settings: Settings,
    pub(super) trust: Trust,
    pub(super) budget: Arc<Budget>,
}

impl Context {
    /// Opens what a run needs, and refuses databases that are not ours. Also returns the session that was asked.
    ///
    /// # Errors
    /// Those of a connection, and of [`Settings::checked`].
    pub(super) async fn open(
        clients: &Arc<Clients>,
        budget: &Arc<Budget>,
        trust: Trust,
    ) -> Result<(Arc<Self>, Session)> {
        let client = retry(clients.config.max_retries, "connect", |_| clients.sessions.get()).await?;
        let settings = Settings::checked(&client, &clients.config).await?;
        let (clients, budget) = (Arc::clone(clients), Arc::clone(budget));
        // A connection of its own, made when it is first used: a host may have been frozen since the last run.
        let flight = clients.flight.reconnected();
        Ok((Arc::new(Context { clients, flight, settings, trust, budget }), client))
    }

    /// The object store.
    pub(super) fn store(&self) -> &Store {
        &self.clients.store
    }

    /// The name of the network.
    pub(super) fn network(&self) -> &str {
        &self.clients.config.network.name
    }

    /// Takes over what earlier runs have measured and given up, where the time of this one is bounded.
    pub(super) async fn learn(&self, client: &Client) -> Result<()> {
        if self.budget.ends() {
            self.budget.learn(pace::pace(client).await?, hints::given_up_windows(client).await?);
        }
        Ok(())
    }

    /// Asks the source what it has, until it answers or the retries are used up.
    pub(super) async fn source_range(&self) -> Result<Option<SourceRange>> {
        self.retry("ask the source", |_| self.flight.range()).await
    }

    /// A session that is alive and may write.
    pub(super) async fn session(&self) -> Result<Session> {
        self.clients.sessions.get().await
    }

    /// [`retry`] with the retries of the configuration.
    pub(super) async fn retry<T, F: Future<Output = Result<T>>>(
        &self,
        step: &'static str,
        attempt: impl FnMut(u32) -> F,
    ) -> Result<T> {
        retry(self.clients.config.max_retries, step, attempt).await
    }

    /// [`retry`] of what needs a session: each attempt gets one that has proven to be alive.
    pub(super) async fn retry_on_session<T, F: Future<Output = Result<T>>>(
        &self,
        step: &'static str,
        attempt: impl Fn(Session, u32) -> F,
    ) -> Result<T> {
        let attempt = &attempt;
        self.retry(step, move |number| async move { attempt(self.session().await?, number).await }).await
    }
}
