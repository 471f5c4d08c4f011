//! Connections to PostgreSQL.

use std::time::Duration;

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};

use super::{credentials, tls};
use crate::config::{DatabaseConfig, SslMode};
use crate::error::{DatabaseContext, Error, Result};

/// Settings of every session, whatever server, database or role have as defaults. Keepalives free the locks of a client that
/// vanished from the network within 40 seconds, and a statement outlives its client by at most 5; the lock timeout bounds every
/// wait for another claim; an idle transaction belongs to a dead client. Statements outside of our transactions read what was
/// committed a moment ago, so isolation is READ COMMITTED there too. Sessions may idle, and the transaction that holds a lock
/// for a whole run may last: PostgreSQL 17 has a timeout for that. A default of read only stays: it is the operator's brake.
const SESSION: &str = "
    set tcp_keepalives_idle = 20; set tcp_keepalives_interval = 5; set tcp_keepalives_count = 4;
    set client_connection_check_interval = '5s';
    set lock_timeout = '30s'; set statement_timeout = '15min'; set idle_in_transaction_session_timeout = '15min';
    set default_transaction_isolation = 'read committed'; set idle_session_timeout = 0;
    set timezone = 'UTC'; set search_path = pg_catalog, pg_temp; set client_encoding = 'UTF8';
    select set_config(name, '0', false) from pg_settings where name = 'transaction_timeout'";

/// The default of `connect_timeout`.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Connects and sets up the session. A password from a secret is cached, and read once more when PostgreSQL refuses it,
/// because it may have been rotated.
///
/// # Errors
/// [`Error::Database`] when the server is unreachable or refuses, [`Error::Config`] when the CA file or the secret
/// cannot be used.
pub(crate) async fn connect(config: &DatabaseConfig) -> Result<Client> {
    let login = credentials::login(config).await?;
    let client = match open(&login.config).await {
        Err(refusal) if is_refused_login(&refusal) => match login.after_refusal().await? {
            Some(login) => open(&login.config).await?,
            None => return Err(refusal),
        },
        opened => opened?,
    };
    within(patience(config), async { client.batch_execute(SESSION).await.database("set up the session") })
        .await?;
    Ok(client)
}

/// The longest wait for a connection: `connect_timeout` for each host, since an address that accepts a connection may never
/// answer on it.
fn patience(config: &DatabaseConfig) -> Duration {
    let each = config.postgres.get_connect_timeout().copied().unwrap_or(CONNECT_TIMEOUT);
    each.saturating_mul(u32::try_from(config.postgres.get_hosts().len()).unwrap_or(1).max(1))
}

/// The outcome, or the error that there was none in time.
async fn within<T>(patience: Duration, step: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(patience, step).await.unwrap_or_else(|_| {
        Err(Error::Database {
            action: "connect",
            transient: true,
            source: format!("no answer within {}", humantime::format_duration(patience)).into(),
        })
    })
}

/// Opens a connection with a complete login, in time.
async fn open(config: &DatabaseConfig) -> Result<Client> {
    within(patience(config), Box::pin(log_in(config))).await
}

/// Opens a connection with a complete login.
async fn log_in(config: &DatabaseConfig) -> Result<Client> {
    let mut postgres = config.postgres.clone();
    postgres.application_name("contract-data-loader");
    postgres.keepalives_idle(Duration::from_secs(20));
    postgres.ssl_mode(match config.ssl_mode {
        SslMode::Disable => tokio_postgres::config::SslMode::Disable,
        SslMode::Prefer => tokio_postgres::config::SslMode::Prefer,
        _ => tokio_postgres::config::SslMode::Require,
    });
    if postgres.get_connect_timeout().is_none() {
        postgres.connect_timeout(CONNECT_TIMEOUT);
    }
    if config.ssl_mode == SslMode::Disable {
        let (client, connection) = postgres.connect(NoTls).await.database("connect")?;
        tokio::spawn(async move { log_end(connection.await) });
        Ok(client)
    } else {
        let (client, connection) = postgres.connect(tls::connector(config)?).await.database("connect")?;
        tokio::spawn(async move { log_end(connection.await) });
        Ok(client)
    }
}

/// Whether the server refused user or password: 28P01 and 28000.
fn is_refused_login(error: &Error) -> bool {
    let Error::Database { source, .. } = error else { return false };
    let code = source.downcast_ref::<tokio_postgres::Error>().and_then(tokio_postgres::Error::code);
    [SqlState::INVALID_PASSWORD, SqlState::INVALID_AUTHORIZATION_SPECIFICATION]
        .iter()
        .any(|c| code == Some(c))
}

/// Asks the server to cancel this session's statement. If that fails, the server's own limits apply.
pub(crate) async fn cancel(config: &DatabaseConfig, client: &Client) -> Result<()> {
    let token = client.cancel_token();
    let login = credentials::login(config).await?;
    if login.config.ssl_mode == SslMode::Disable {
        token.cancel_query(NoTls).await.database("cancel a statement")
    } else {
        token.cancel_query(tls::connector(&login.config)?).await.database("cancel a statement")
    }
}

/// A broken connection surfaces as an error of the running statement; the log has the connection's own error.
fn log_end(end: Result<(), tokio_postgres::Error>) {
    if let Err(error) = end {
        tracing::debug!(%error, "the connection to PostgreSQL ended");
    }
}
