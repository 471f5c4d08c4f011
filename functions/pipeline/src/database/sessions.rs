//! Sessions: PostgreSQL connections that are kept for the next step or the next run.

use std::time::{Duration, Instant};

use deadpool::managed::{Manager, Metrics, Object, Pool, PoolError, RecycleError, RecycleResult};
use tokio_postgres::{Client, SimpleQueryMessage};

use super::connect::{cancel, connect};
use crate::config::DatabaseConfig;
use crate::error::{DatabaseContext, Error, Result};

/// More than any run needs at once; reaching the limit means that sessions leak.
const SESSIONS: usize = 256;

/// How long a returned session may stay busy before its statement is cancelled.
const PATIENCE: Duration = Duration::from_millis(200);

/// How long it may take after that to answer.
const PROOF: Duration = Duration::from_secs(2);

/// The longest wait for sessions to be returned and become idle.
const REST: Duration = Duration::from_secs(1);

/// A borrowed connection; returned to the pool on drop.
pub(crate) type Session = Object<Connections>;

/// Lends live sessions: kept ones if they answer, else new ones.
#[derive(Debug)]
pub(crate) struct Sessions(Pool<Connections>);

/// Asks whether the session may write.
const IS_READ_ONLY: &str = "show transaction_read_only";

/// Creates connections, and checks that kept ones are alive.
#[derive(Debug)]
pub(crate) struct Connections(DatabaseConfig);

impl Manager for Connections {
    type Type = Client;
    type Error = Error;

    async fn create(&self) -> Result<Client> {
        let client = connect(&self.0).await?;
        let answer = client.simple_query(IS_READ_ONLY).await.database("set up the session")?;
        if is_off(&answer) {
            return Ok(client);
        }
        let problem = "it is read only: the server is a standby, or default_transaction_read_only is on";
        Err(Error::Database { action: "use the session", transient: true, source: problem.into() })
    }

    /// The session must answer a query in time, and must be writable: a server that became a standby keeps its
    /// sessions. Answers come in order, so this answer also proves that an abandoned transaction has been rolled back.
    /// A statement that nobody waits for is cancelled.
    async fn recycle(&self, client: &mut Client, _: &Metrics) -> RecycleResult<Error> {
        let answer = client.simple_query(IS_READ_ONLY);
        tokio::pin!(answer);
        let answered = match tokio::time::timeout(PATIENCE, &mut answer).await {
            Ok(answered) => Ok(answered),
            Err(_) => {
                let cancelled = tokio::time::timeout(PROOF, cancel(&self.0, client)).await;
                tracing::debug!(?cancelled, "cancelled an abandoned statement");
                tokio::time::timeout(PROOF, answer).await
            }
        };
        match answered {
            Ok(Ok(answer)) if is_off(&answer) => Ok(()),
            Ok(Ok(_)) => Err(RecycleError::message("the session is read-only")),
            Ok(Err(error)) => Err(RecycleError::message(format!("the session has ended: {error}"))),
            Err(_) => Err(RecycleError::message("the session does not answer")),
        }
    }
}

/// Whether the queried setting is off.
fn is_off(answer: &[SimpleQueryMessage]) -> bool {
    answer.iter().any(|message| matches!(message, SimpleQueryMessage::Row(row) if row.get(0) == Some("off")))
}

impl Sessions {
    /// Sessions of this database; the first connection is established on first use.
    pub(crate) fn new(config: &DatabaseConfig) -> Result<Self> {
        let pool = Pool::builder(Connections(config.clone())).max_size(SESSIONS).build();
        pool.map(Sessions).map_err(|e| Error::Unexpected(format!("cannot create the session pool: {e}")))
    }

    /// A live session.
    ///
    /// # Errors
    /// Those of [`connect`].
    pub(crate) async fn get(&self) -> Result<Session> {
        self.0.get().await.map_err(|error| match error {
            PoolError::Backend(error) => error,
            other => Error::Unexpected(format!("cannot get a session: {other}")),
        })
    }

    /// Waits, for a second at most, until the server has rolled back abandoned work: a host that is frozen before that
    /// would keep holding its locks.
    pub(crate) async fn settle(&self) {
        let begun = Instant::now();
        while self.0.status().available < self.0.status().size && begun.elapsed() < REST {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let kept = self.0.status().available;
        let at_rest = futures::future::join_all((0..kept).map(|_| self.get()));
        if tokio::time::timeout(REST, at_rest).await.is_err() {
            tracing::warn!("a session is still busy: its locks last until its connection ends");
        }
    }
}
