//! Sessions: PostgreSQL connections that are kept for the next step or the next run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use deadpool::managed::{Manager, Metrics, Object, Pool, PoolError, RecycleError, RecycleResult};
use tokio_postgres::SimpleQueryMessage;

use super::backend::pooled;
use super::client::Client;
use super::connect::connect_with;
use super::patience::Patience;
use crate::config::DatabaseConfig;
use crate::error::{Error, Result};

/// More than any run needs at once; reaching the limit means that sessions leak.
const SESSIONS: usize = 256;

/// How long a returned session may stay busy before its statement is cancelled.
const BRIEF: Duration = Duration::from_millis(200);

/// How long it may take after that to answer.
const PROOF: Duration = Duration::from_secs(2);

/// The longest wait for sessions to be returned and become idle.
const REST: Duration = Duration::from_secs(1);

/// A borrowed connection; returned to the pool on drop.
pub(crate) type Session = Object<Connections>;

/// Lends live sessions: kept ones if they answer, else new ones.
#[derive(Debug)]
pub(crate) struct Sessions(Pool<Connections>);

/// Creates connections, and checks that kept ones are alive.
#[derive(Debug)]
pub(crate) struct Connections {
    config: DatabaseConfig,
    patience: Arc<Patience>,
    /// Whether a session was found on another process of the server than before.
    is_pooled: AtomicBool,
}

/// Asks whether the session may write, and which process serves it.
const WHAT_IT_IS: &str =
    "select current_setting('transaction_read_only') as read_only, pg_backend_pid() as pid";

impl Manager for Connections {
    type Type = Client;
    type Error = Error;

    async fn create(&self) -> Result<Client> {
        if self.is_pooled.load(Ordering::Relaxed) {
            return Err(pooled());
        }
        let client = connect_with(&self.config, &self.patience).await?;
        if client.is_read_only() {
            let problem = "it is read only: the server is a standby, or default_transaction_read_only is on";
            return Err(Error::Database {
                action: "use the session",
                transient: true,
                source: problem.into(),
            });
        }
        Ok(client)
    }

    /// The session must answer a query in time, and must be writable: a server that became a standby keeps its
    /// sessions. Answers come in order, so this answer also proves that an abandoned transaction has been rolled back.
    /// A statement that nobody waits for is cancelled.
    async fn recycle(&self, client: &mut Client, _: &Metrics) -> RecycleResult<Error> {
        if client.is_closed() {
            client.abandon();
            return Err(RecycleError::message("the session has ended"));
        }
        let limits = self.patience.limits();
        let question = format!("{}; {WHAT_IT_IS}", limits.sql());
        let answer = client.simple_query(&question);
        tokio::pin!(answer);
        let answered = match tokio::time::timeout(BRIEF, &mut answer).await {
            Ok(answered) => Ok(answered),
            Err(_) => {
                let cancelled = tokio::time::timeout(PROOF, client.cancel()).await;
                tracing::debug!(?cancelled, "cancelled an abandoned statement");
                tokio::time::timeout(PROOF, answer).await
            }
        };
        match answered {
            Ok(Ok(answer)) => match what_it_is(&answer) {
                Some((_, pid)) if pid != client.pid() => {
                    self.is_pooled.store(true, Ordering::Relaxed);
                    Err(RecycleError::message("the session is another one"))
                }
                Some(("off", _)) => {
                    client.note_limits(limits);
                    Ok(())
                }
                _ => Err(RecycleError::message("the session is read-only")),
            },
            Ok(Err(failure)) => {
                client.abandon();
                Err(RecycleError::message(format!("the session has ended: {failure:?}")))
            }
            Err(_) => {
                client.abandon();
                Err(RecycleError::message("the session does not answer"))
            }
        }
    }
}

/// Reads the answer to [`WHAT_IT_IS`]: `on` or `off`, and the process.
fn what_it_is(answer: &[SimpleQueryMessage]) -> Option<(&str, i32)> {
    answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some((row.get("read_only")?, row.get("pid")?.parse().ok()?)),
        _ => None,
    })
}

impl Sessions {
    /// Sessions of this database; the first connection is established on first use.
    pub(crate) fn new(config: &DatabaseConfig) -> Result<Self> {
        let pool = Pool::builder(Connections {
            config: config.clone(),
            patience: Arc::default(),
            is_pooled: AtomicBool::new(false),
        })
        .max_size(SESSIONS)
        .build();
        pool.map(Sessions).map_err(|e| Error::Unexpected(format!("cannot create the session pool: {e}")))
    }

    /// A live session.
    ///
    /// # Errors
    /// Those of [`connect`](super::connect::connect).
    pub(crate) async fn get(&self) -> Result<Session> {
        let session = self.0.get().await.map_err(|error| match error {
            PoolError::Backend(error) => error,
            other => Error::Unexpected(format!("cannot get a session: {other}")),
        })?;
        // Abandoned sessions may still hold locks, which this one needs.
        for backend in self.0.manager().patience.take_abandoned() {
            if let Err(error) = session.end(&backend).await {
                tracing::warn!(error = %error.chain(), "an abandoned session may keep its locks");
            }
        }
        Ok(session)
    }

    /// Ends abandoned sessions, if there are any: their locks would outlast this process.
    pub(crate) async fn end_abandoned(&self) {
        let has_ended = !self.0.manager().patience.has_abandoned()
            || tokio::time::timeout(REST, self.get()).await.is_ok_and(|session| session.is_ok());
        if !has_ended {
            tracing::warn!("cannot end an abandoned session: its locks last until its connection ends");
        }
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
