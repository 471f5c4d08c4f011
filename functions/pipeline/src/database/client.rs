//! Client: a connection whose every wait ends on this side too.
//!
//! The server limits each statement; this side waits a little longer, because a server or a network that has fallen silent
//! enforces nothing. A connection that stays silent is given up: its socket is closed, and the next attempt gets another.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{FutureExt, SinkExt, TryStreamExt};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{CancelToken, CopyInSink, CopyOutStream, NoTls, Row, SimpleQueryMessage};

use super::backend::{Backend, Live};
use super::patience::{Limits, Patience};
use super::tls;
use crate::config::{DatabaseConfig, SslMode};
use crate::error::{DatabaseContext, Error, Result, is_outdated_catalogue};

/// The server's limit for a whole COPY; on this side each message is limited.
const COPY_LIMIT: Duration = Duration::from_secs(15 * 60);

/// How long a connection may take to end after its client is dropped.
const CLOSING: Duration = Duration::from_secs(5);

/// Why a statement has no result.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The server answered with an error, or the connection ended.
    Answer(tokio_postgres::Error),
    /// Nothing arrived in this time, and the connection is given up.
    Silence(Duration),
}

impl<T> DatabaseContext<T> for Result<T, Failure> {
    fn database(self, action: &'static str) -> Result<T> {
        self.or_else(|failure| match failure {
            Failure::Answer(error) => Err(error).database(action),
            Failure::Silence(bound) => Err(silent(action, bound)),
        })
    }
}

/// The error that no answer came in time.
pub(super) fn silent(action: &'static str, bound: Duration) -> Error {
    let source = format!("no answer within {}", humantime::format_duration(bound)).into();
    Error::Database { action, transient: true, source }
}

/// A connection and its limits.
pub(crate) struct Client {
    // Dropped first: the driver then only has to say goodbye.
    inner: tokio_postgres::Client,
    driver: Driver,
    login: Arc<DatabaseConfig>,
    patience: Arc<Patience>,
    limits: std::sync::Mutex<Limits>,
    server: Server,
}

/// What the server said of this session when it was set up.
#[derive(Debug)]
pub(super) struct Server {
    /// Whether it may write.
    pub(super) is_read_only: bool,
    /// How the database stores text.
    pub(super) encoding: String,
    /// Its process, which no other client of this process uses.
    pub(super) live: Live,
}

/// The task that moves bytes between socket and client.
#[derive(Debug)]
pub(super) struct Driver {
    task: AbortHandle,
    _closed: oneshot::Sender<()>,
}

impl Driver {
    /// Starts the task. It ends with the connection, at most a few seconds after this handle.
    pub(super) fn start(
        connection: impl Future<Output = Result<(), tokio_postgres::Error>> + Send + 'static,
    ) -> Self {
        let (closed, when_closed) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            let mut connection = Box::pin(connection);
            let end = tokio::select! {
                end = &mut connection => Ok(end),
                _ = when_closed => tokio::time::timeout(CLOSING, connection).await,
            };
            // A broken connection surfaces as an error of the running statement; the log has the connection's own error.
            match end {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "the connection to PostgreSQL ended"),
                Err(_) => tracing::debug!("closed a silent connection to PostgreSQL"),
            }
        });
        Driver { task: task.abort_handle(), _closed: closed }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Client {
    /// A client whose session is set up with these limits.
    pub(super) fn new(
        inner: tokio_postgres::Client,
        driver: Driver,
        login: DatabaseConfig,
        patience: Arc<Patience>,
        limits: Limits,
        server: Server,
    ) -> Self {
        Client { inner, driver, login: Arc::new(login), patience, limits: limits.into(), server }
    }

    /// Whether the session is one of a standby, or read only by default.
    pub(super) fn is_read_only(&self) -> bool {
        self.server.is_read_only
    }

    /// The number of the server's process.
    pub(super) fn pid(&self) -> i32 {
        self.server.live.backend().pid
    }

    /// How the database stores text, such as `UTF8`.
    pub(super) fn encoding(&self) -> &str {
        &self.server.encoding
    }

    /// Whether the connection has ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.inner.is_closed() || self.driver.task.is_finished()
    }

    /// Changes the limits of this session.
    pub(crate) async fn limit(&self, limits: Limits) -> Result<()> {
        self.batch_execute(&limits.sql()).await.database("set up the session")?;
        self.note_limits(limits);
        Ok(())
    }

    /// Notes limits that this session has already.
    pub(super) fn note_limits(&self, limits: Limits) {
        *self.limits.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = limits;
    }

    /// The server's limit for a statement.
    fn statement_limit(&self) -> Duration {
        self.limits.lock().unwrap_or_else(std::sync::PoisonError::into_inner).statement
    }

    /// Asks the server to cancel the statement under way. If that fails, the server's own limits apply.
    pub(super) async fn cancel(&self) -> Result<()> {
        cancel(&self.login, self.inner.cancel_token()).await
    }

    /// Waits for an answer, a little longer than the server may take. A session that is silent, or whose view of the tables
    /// is outdated, is not used again.
    async fn bounded<T>(
        &self,
        limit: Duration,
        answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Failure> {
        let begun = Instant::now();
        let bound = limit + slack(limit);
        match tokio::time::timeout(bound, answer).await {
            Ok(answer) => {
                let timed_out = answer.as_ref().is_err_and(|error| {
                    error.code() == Some(&SqlState::QUERY_CANCELED) && begun.elapsed() >= limit
                });
                self.patience.answered(begun.elapsed(), timed_out);
                answer.map_err(|error| {
                    if is_outdated_catalogue(&error) {
                        self.driver.task.abort();
                    }
                    Failure::Answer(error)
                })
            }
            Err(_) => {
                self.give_up();
                Err(Failure::Silence(bound))
            }
        }
    }

    /// Closes the socket. The server may not notice, so it is asked to cancel the statement, and the next connection ends
    /// the session, which may hold locks.
    fn give_up(&self) {
        tracing::warn!("PostgreSQL does not answer: gave up a connection");
        self.patience.fell_silent();
        self.abandon();
        let (login, token) = (Arc::clone(&self.login), self.inner.cancel_token());
        tokio::spawn(async move {
            let cancelled = tokio::time::timeout(CLOSING, cancel(&login, token)).await;
            tracing::debug!(?cancelled, "cancelled the statement of the connection");
        });
        self.driver.task.abort();
    }

    /// Leaves it to the next session to end this one, whose server may not notice that the connection ends.
    pub(super) fn abandon(&self) {
        self.patience.abandon(self.server.live.backend().clone());
    }

    /// The rows of a query.
    pub(crate) async fn query(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Failure> {
        self.bounded(self.statement_limit(), self.inner.query(sql, params)).await
    }

    /// The one row of a query.
    pub(crate) async fn query_one(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Row, Failure> {
        self.bounded(self.statement_limit(), self.inner.query_one(sql, params)).await
    }

    /// The row of a query, if it has one.
    pub(crate) async fn query_opt(
        &self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>, Failure> {
        self.bounded(self.statement_limit(), self.inner.query_opt(sql, params)).await
    }

    /// Executes a statement; returns the number of rows.
    pub(crate) async fn execute(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<u64, Failure> {
        self.bounded(self.statement_limit(), self.inner.execute(sql, params)).await
    }

    /// Executes statements without parameters.
    pub(crate) async fn batch_execute(&self, sql: &str) -> Result<(), Failure> {
        self.bounded(self.statement_limit(), self.inner.batch_execute(sql)).await
    }

    /// Executes statements without parameters, and returns their rows as text.
    pub(super) async fn simple_query(&self, sql: &str) -> Result<Vec<SimpleQueryMessage>, Failure> {
        self.bounded(self.statement_limit(), self.inner.simple_query(sql)).await
    }

    /// Begins to read the result of a COPY.
    pub(crate) async fn copy_out(&self, sql: &str) -> Result<CopyOut<'_>, Failure> {
        let stream = self.bounded(self.statement_limit(), self.inner.copy_out(sql)).await?;
        Ok(CopyOut { client: self, stream: Box::pin(stream) })
    }

    /// Hands the connection to other code, with a bound for all that it does.
    pub(super) async fn lend<T, E>(
        &mut self,
        work: impl AsyncFnOnce(&mut tokio_postgres::Client) -> Result<T, E>,
    ) -> Result<Result<T, E>, Failure> {
        let limit = self.statement_limit();
        let bound = limit + slack(limit);
        match tokio::time::timeout(bound, work(&mut self.inner)).await {
            Ok(outcome) => Ok(outcome),
            Err(_) => {
                self.give_up();
                Err(Failure::Silence(bound))
            }
        }
    }

    /// Begins a transaction with this statement.
    pub(super) async fn transaction(&mut self, begin: &str) -> Result<Transaction<'_>, Failure> {
        let tx = Transaction { client: self, is_open: true };
        tx.client.batch_execute(begin).await?;
        Ok(tx)
    }
}

/// The time that an answer may take beyond the server's limit.
fn slack(limit: Duration) -> Duration {
    (limit / 6).clamp(Duration::from_secs(1), Duration::from_secs(60))
}

/// Asks the server to cancel the statement of a session.
async fn cancel(login: &DatabaseConfig, token: CancelToken) -> Result<()> {
    if login.ssl_mode == SslMode::Disable {
        token.cancel_query(NoTls).await.database("cancel a statement")
    } else {
        token.cancel_query(tls::connector(login)?).await.database("cancel a statement")
    }
}

/// An open transaction; rolled back on drop.
pub(crate) struct Transaction<'a> {
    client: &'a Client,
    is_open: bool,
}

impl std::ops::Deref for Transaction<'_> {
    type Target = Client;

    fn deref(&self) -> &Client {
        self.client
    }
}

impl Drop for Transaction<'_> {
    /// Sends ROLLBACK without waiting for its answer, which comes before any other.
    fn drop(&mut self) {
        if self.is_open {
            // The first poll sends it.
            let _ = self.client.inner.batch_execute("rollback").now_or_never();
        }
    }
}

impl Transaction<'_> {
    /// The client, for statements that need no transaction of their own.
    pub(crate) fn client(&self) -> &Client {
        self.client
    }

    /// Commits. Its Ok proves nothing, see [`super::commit`].
    pub(super) async fn commit(mut self) -> Result<(), Failure> {
        self.is_open = false;
        self.client.batch_execute("COMMIT").await?;
        self.client.patience.committed();
        Ok(())
    }

    /// Rolls back, and waits for it.
    pub(crate) async fn rollback(mut self) -> Result<(), Failure> {
        self.is_open = false;
        self.client.batch_execute("rollback").await
    }

    /// Begins a COPY into a table. It may take longer than other statements, as long as it moves on.
    pub(crate) async fn copy_in(&self, sql: &str) -> Result<CopyIn<'_>, Failure> {
        let limit = COPY_LIMIT.max(self.client.statement_limit());
        let raised = format!("set local statement_timeout = {}", limit.as_millis());
        self.client.batch_execute(&raised).await?;
        let sink = self.client.bounded(self.client.statement_limit(), self.client.inner.copy_in(sql)).await?;
        Ok(CopyIn { client: self.client, sink: Box::pin(sink) })
    }
}

/// A COPY into a table; it fails unless it is finished.
pub(crate) struct CopyIn<'a> {
    client: &'a Client,
    sink: Pin<Box<CopyInSink<Bytes>>>,
}

impl CopyIn<'_> {
    /// Sends bytes.
    pub(crate) async fn send(&mut self, bytes: Bytes) -> Result<(), Failure> {
        self.client.bounded(self.client.statement_limit(), self.sink.feed(bytes)).await
    }

    /// Ends the COPY, and returns the number of rows that the server stored.
    pub(crate) async fn finish(mut self) -> Result<u64, Failure> {
        let limit = self.client.statement_limit();
        let rows = self.client.bounded(limit, self.sink.as_mut().finish()).await?;
        self.client.batch_execute(&format!("set local statement_timeout = {}", limit.as_millis())).await?;
        Ok(rows)
    }
}

/// The result of a COPY, which the server may take long to produce, as long as it moves on.
pub(crate) struct CopyOut<'a> {
    client: &'a Client,
    stream: Pin<Box<CopyOutStream>>,
}

impl CopyOut<'_> {
    /// The next bytes; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        let limit = self.client.statement_limit().min(COPY_LIMIT);
        self.client.bounded(limit, self.stream.try_next()).await
    }
}

impl Client {
    /// Ends an abandoned session, if it still exists.
    pub(super) async fn end(&self, backend: &Backend) -> Result<()> {
        self.batch_execute(&backend.end_sql()).await.database("end an abandoned session")
    }
}
