//! Connections to PostgreSQL.

use std::time::Duration;

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls, Transaction};

use crate::config::{DatabaseConfig, SslMode};
use crate::error::{DatabaseContext, Error, Result};

mod credentials;
mod sessions;
mod tls;

pub(crate) use sessions::{Session, Sessions};

/// What every session of the loader sets. Keepalives free the locks of a client that vanished from the network within 40
/// seconds, and a statement does not outlive its client by more than 5; the lock timeout bounds every wait for another's
/// claim; an idle transaction is a dead client's.
const SESSION: &str = "
    set tcp_keepalives_idle = 20; set tcp_keepalives_interval = 5; set tcp_keepalives_count = 4;
    set client_connection_check_interval = '5s';
    set lock_timeout = '30s'; set statement_timeout = '15min'; set idle_in_transaction_session_timeout = '15min';
    set timezone = 'UTC'; set search_path = pg_catalog, pg_temp; set client_encoding = 'UTF8'";

/// How long a connection may take to come up, unless `connect_timeout` says otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Connects and sets up the session. A password from a secret is kept, and read again once when PostgreSQL refuses it: it
/// may have been rotated since.
///
/// # Errors
/// [`Error::Database`] when the server is out of reach or refuses, [`Error::Config`] when the CA file or the secret cannot
/// be used.
pub(crate) async fn connect(config: &DatabaseConfig) -> Result<Client> {
    let login = credentials::login(config).await?;
    let client = match open(&login.config).await {
        Err(refusal) if is_refused_login(&refusal) => match login.after_refusal().await? {
            Some(login) => open(&login.config).await?,
            None => return Err(refusal),
        },
        opened => opened?,
    };
    client.batch_execute(SESSION).await.database("set up the session")?;
    Ok(client)
}

/// Opens a connection with a complete login.
async fn open(config: &DatabaseConfig) -> Result<Client> {
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

/// Whether the server took user or password for wrong: 28P01 and 28000.
fn is_refused_login(error: &Error) -> bool {
    let Error::Database { source, .. } = error else { return false };
    let code = source.downcast_ref::<tokio_postgres::Error>().and_then(tokio_postgres::Error::code);
    [SqlState::INVALID_PASSWORD, SqlState::INVALID_AUTHORIZATION_SPECIFICATION]
        .iter()
        .any(|c| code == Some(c))
}

/// Tells the server to stop whatever this session is at. An error leaves it to the server's own limits.
pub(crate) async fn cancel(config: &DatabaseConfig, client: &Client) -> Result<()> {
    let token = client.cancel_token();
    let login = credentials::login(config).await?;
    if login.config.ssl_mode == SslMode::Disable {
        token.cancel_query(NoTls).await.database("cancel a statement")
    } else {
        token.cancel_query(tls::connector(&login.config)?).await.database("cancel a statement")
    }
}

/// A broken connection shows as an error of whatever statement runs; the log has the connection's own words.
fn log_end(end: Result<(), tokio_postgres::Error>) {
    if let Err(error) = end {
        tracing::debug!(%error, "the connection to PostgreSQL ended");
    }
}

/// A read-write transaction at READ COMMITTED, whatever the server's default: a snapshot taken before the wait for a claim
/// would be stale. A standby refuses it, in words that elsewhere mean a feature that is missing: it may be promoted, or the
/// next connection may lead to the primary, so another attempt may go better.
pub(crate) async fn begin(client: &mut Client) -> Result<Transaction<'_>> {
    let begun = client
        .build_transaction()
        .isolation_level(tokio_postgres::IsolationLevel::ReadCommitted)
        .read_only(false)
        .start()
        .await;
    match begun {
        Err(error) if error.code() == Some(&SqlState::FEATURE_NOT_SUPPORTED) => {
            Err(Error::Database { action: "begin a transaction", transient: true, source: error.into() })
        }
        begun => begun.database("begin a transaction"),
    }
}

/// Takes an advisory lock for as long as the transaction is open, which may idle; `None` when another session holds it.
pub(crate) async fn try_lock<'a>(client: &'a mut Client, name: &str) -> Result<Option<Transaction<'a>>> {
    let tx = client.transaction().await.database("begin a transaction")?;
    let row = tx
        .query_one(
            "select set_config('idle_in_transaction_session_timeout', '0', true),
                    pg_try_advisory_xact_lock(hashtextextended($1, 0)) as held",
            &[&name],
        )
        .await
        .database("take a lock")?;
    // Until the next statement, this one has a snapshot, for which VACUUM and the end of a detach would wait. A simple query
    // leaves none.
    tx.batch_execute("select 1").await.database("take a lock")?;
    Ok(get::<bool>(&row, "held")?.then_some(tx))
}

/// Reads a column that a query of ours must have.
pub(crate) fn get<'a, T: tokio_postgres::types::FromSql<'a>>(
    row: &'a tokio_postgres::Row,
    column: &str,
) -> Result<T> {
    row.try_get(column).map_err(|e| Error::Database {
        action: "read what a query answered",
        transient: false,
        source: e.into(),
    })
}
