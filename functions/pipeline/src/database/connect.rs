//! Connections to PostgreSQL.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::error::SqlState;
use tokio_postgres::{NoTls, SimpleQueryMessage};

use super::backend::{Backend, Live};
use super::client::{Client, Driver, Server, silent};
use super::patience::Patience;
use super::{credentials, tls};
use crate::config::{DatabaseConfig, SslMode};
use crate::error::{DatabaseContext, Error, Result};

/// Settings of every session, whatever server, database or role have as defaults: all that change what a statement of ours
/// means, how long it may last, or what a commit is worth. What only changes speed or the place of data is the operator's.
///
/// Keepalives free the locks of a client that vanished from the network within 40 seconds, and a statement outlives its client
/// by at most 5; an idle transaction belongs to a dead client. Statements outside of our transactions read what was committed a
/// moment ago, so isolation is READ COMMITTED there too. Sessions may idle. A default of read only stays: it is the operator's
/// brake. The last statement changes what not every server has, or not everybody may change, only where it differs, and the
/// answer says what this session is.
const SESSION: &str = "
    set quote_all_identifiers = off; set search_path = pg_catalog, pg_temp; set client_encoding = 'UTF8';
    set standard_conforming_strings = on;
    set tcp_keepalives_idle = 20; set tcp_keepalives_interval = 5; set tcp_keepalives_count = 4; set tcp_user_timeout = '40s';
    set client_connection_check_interval = '5s';
    set idle_in_transaction_session_timeout = '15min'; set idle_session_timeout = 0;
    set default_transaction_isolation = 'read committed'; set default_transaction_deferrable = off; set exit_on_error = off;
    set timezone = 'UTC'; set datestyle = 'ISO'; set intervalstyle = 'postgres'; set extra_float_digits = 1;
    set bytea_output = 'hex'; set array_nulls = on; set transform_null_equals = off;
    set check_function_bodies = on; set default_table_access_method = 'heap';
    select set_config(name, ours, false) from pg_settings join (values
        ('transaction_timeout', '0'), ('restrict_nonsystem_relation_kind', ''), ('session_replication_role', 'origin'),
        ('synchronous_commit', 'on')) as wanted (name, ours) using (name)
      where setting <> ours and (name <> 'synchronous_commit' or setting = 'off');
    select current_setting('transaction_read_only') as read_only, current_setting('server_encoding') as encoding,
        pid, backend_start as begun
      from pg_stat_activity where pid = pg_backend_pid()";

/// The default of `connect_timeout`.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Connects and sets up the session. A password from a secret is cached, and read once more when
/// PostgreSQL refuses it, because it may have been rotated.
///
/// # Errors
/// [`Error::Database`] when the server is unreachable or refuses, [`Error::Config`] when the CA file or the secret
/// cannot be used.
pub(crate) async fn connect(config: &DatabaseConfig) -> Result<Client> {
    connect_with(config, &Arc::default()).await
}

/// [`connect`], for one of many sessions that share their patience.
pub(super) async fn connect_with(config: &DatabaseConfig, patience: &Arc<Patience>) -> Result<Client> {
    let login = credentials::login(config).await?;
    match open(&login.config, patience).await {
        Err(refusal) if is_refused_login(&refusal) => match login.after_refusal().await? {
            Some(login) => open(&login.config, patience).await,
            None => Err(refusal),
        },
        opened => opened,
    }
}

/// The longest wait for a connection: `connect_timeout` for each host, since an address that accepts a connection may never
/// answer on it.
fn longest_wait(config: &DatabaseConfig) -> Duration {
    let each = config.postgres.get_connect_timeout().copied().unwrap_or(CONNECT_TIMEOUT);
    each.saturating_mul(u32::try_from(config.postgres.get_hosts().len()).unwrap_or(1).max(1))
}

/// Opens a connection with a complete login and sets up its session, in time.
async fn open(config: &DatabaseConfig, patience: &Arc<Patience>) -> Result<Client> {
    let (bound, limits) = (longest_wait(config), patience.limits());
    let opening = async {
        let (client, driver) = Box::pin(log_in(config)).await?;
        let session = format!("{}; {SESSION}", limits.sql());
        let answer = client.simple_query(&session).await.database("set up the session")?;
        let server = server(&answer)?;
        Ok(Client::new(client, driver, config.clone(), Arc::clone(patience), limits, server))
    };
    tokio::time::timeout(bound, opening).await.unwrap_or_else(|_| Err(silent("connect", bound)))
}

/// Reads the answer of [`SESSION`].
fn server(answer: &[SimpleQueryMessage]) -> Result<Server> {
    let described = answer.iter().rev().find_map(|message| {
        let SimpleQueryMessage::Row(row) = message else { return None };
        Some((
            row.get("read_only")? == "on",
            row.get("encoding")?.to_owned(),
            row.get("pid")?.parse().ok()?,
            row.get("begun")?.to_owned(),
        ))
    });
    let (is_read_only, encoding, pid, begun) = described.ok_or_else(|| {
        Error::Unexpected("PostgreSQL does not list the session in pg_stat_activity".to_owned())
    })?;
    Ok(Server { is_read_only, encoding, live: Live::new(Backend { pid, begun })? })
}

/// Opens a connection with a complete login.
async fn log_in(config: &DatabaseConfig) -> Result<(tokio_postgres::Client, Driver)> {
    let mut postgres = config.postgres.clone();
    postgres.application_name("contract-data-loader");
    // A server that vanished from the network is noticed within 40 seconds, whether or not something is being sent.
    postgres.keepalives_idle(Duration::from_secs(20));
    postgres.keepalives_interval(Duration::from_secs(5));
    postgres.keepalives_retries(4);
    postgres.tcp_user_timeout(Duration::from_secs(40));
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
        Ok((client, Driver::start(connection)))
    } else {
        let (client, connection) = postgres.connect(tls::connector(config)?).await.database("connect")?;
        Ok((client, Driver::start(connection)))
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
