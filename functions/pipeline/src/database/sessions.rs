//! Sessions: connections to PostgreSQL that are kept for the next step, or the next run.

use std::time::{Duration, Instant};

use deadpool::managed::{Manager, Metrics, Object, Pool, PoolError, RecycleError, RecycleResult};
use tokio_postgres::{Client, SimpleQueryMessage};

use super::connect::{cancel, connect};
use crate::config::DatabaseConfig;
use crate::error::{Error, Result};

/// More than any run asks for at once: a bound that says when sessions are not given back.
const SESSIONS: usize = 256;

/// How long a kept session may be at something before it is told to stop.
const PATIENCE: Duration = Duration::from_millis(200);

/// How long it may take then to prove that it is alive.
const PROOF: Duration = Duration::from_secs(2);

/// The longest wait for sessions to be given back and to come to rest.
const REST: Duration = Duration::from_secs(1);

/// A connection on loan; given back when it is dropped.
pub(crate) type Session = Object<Connections>;

/// Lends sessions that are alive: kept ones if they answer, else new ones.
#[derive(Debug)]
pub(crate) struct Sessions(Pool<Connections>);

/// Makes connections, and tells the living from the dead.
#[derive(Debug)]
pub(crate) struct Connections(DatabaseConfig);

impl Manager for Connections {
    type Type = Client;
    type Error = Error;

    async fn create(&self) -> Result<Client> {
        connect(&self.0).await
    }

    /// A question, answered in time, and as a server does that may be written to: one that has become a standby keeps its
    /// sessions. The answer also says that the transaction before, should it have been dropped in the middle, has been rolled
    /// back: answers come in the order of the questions. What is still at a statement that nobody waits for is told to stop.
    async fn recycle(&self, client: &mut Client, _: &Metrics) -> RecycleResult<Error> {
        let answer = client.simple_query("show transaction_read_only");
        tokio::pin!(answer);
        let answered = match tokio::time::timeout(PATIENCE, &mut answer).await {
            Ok(answered) => Ok(answered),
            Err(_) => {
                let cancelled = tokio::time::timeout(PROOF, cancel(&self.0, client)).await;
                tracing::debug!(?cancelled, "a statement that nobody waits for");
                tokio::time::timeout(PROOF, answer).await
            }
        };
        match answered {
            Ok(Ok(answer)) if is_off(&answer) => Ok(()),
            Ok(Ok(_)) => Err(RecycleError::message("the session may only read")),
            Ok(Err(error)) => Err(RecycleError::message(format!("the session has ended: {error}"))),
            Err(_) => Err(RecycleError::message("the session does not answer")),
        }
    }
}

/// Whether a setting that was asked for is off.
fn is_off(answer: &[SimpleQueryMessage]) -> bool {
    answer.iter().any(|message| matches!(message, SimpleQueryMessage::Row(row) if row.get(0) == Some("off")))
}

impl Sessions {
    /// Sessions of this database; the first connection is made when the first is asked for.
    pub(crate) fn new(config: &DatabaseConfig) -> Result<Self> {
        let pool = Pool::builder(Connections(config.clone())).max_size(SESSIONS).build();
        pool.map(Sessions).map_err(|e| Error::Unexpected(format!("no pool of sessions: {e}")))
    }

    /// A session that is alive.
    ///
    /// # Errors
    /// Those of [`connect`].
    pub(crate) async fn get(&self) -> Result<Session> {
        self.0.get().await.map_err(|error| match error {
            PoolError::Backend(error) => error,
            other => Error::Unexpected(format!("no session: {other}")),
        })
    }

    /// Waits until what was dropped in the middle of its work has been rolled back by the server, for a second at most: a
    /// host that is frozen before that would hold its locks meanwhile.
    pub(crate) async fn settle(&self) {
        let begun = Instant::now();
        while self.0.status().available < self.0.status().size && begun.elapsed() < REST {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let kept = self.0.status().available;
        let at_rest = futures::future::join_all((0..kept).map(|_| self.get()));
        if tokio::time::timeout(REST, at_rest).await.is_err() {
            tracing::warn!("a session does not come to rest: its locks last until its connection ends");
        }
    }
}
