//! The PostgreSQL address: `DATABASE_URL`, else `DB_*`, else `PG*`, else a local default. And its login: the given
//! password, else the secret of `DB_SECRET_ARN`, else an RDS token.

use std::fmt;

use super::values::{boolean, is_loopback};
use crate::aws::Aws;
use crate::error::{Error, Result};
use crate::secret::StoredSecret;

/// A PostgreSQL to connect to. Its `Debug` shows host, port, database and user, never the password.
#[derive(Clone)]
pub struct DatabaseConfig {
    /// Everything except TLS, for tokio-postgres.
    pub(crate) postgres: tokio_postgres::Config,
    /// How the connection is encrypted, and which servers it trusts.
    pub ssl_mode: SslMode,
    /// Whether the mode was set explicitly; otherwise it depends on the host, which a secret may contain.
    pub(crate) ssl_mode_given: bool,
    /// Path of a PEM file with the authorities to trust instead of the system's.
    pub ca_cert: Option<String>,
    /// The source of user and password.
    pub(crate) login: LoginSource,
}

/// The source of a connection's login.
#[derive(Clone, Debug)]
pub(crate) enum LoginSource {
    /// The configuration contains user and password.
    Given,
    /// `DB_SECRET_ARN`: a secret contains them, and possibly the host.
    Secret(StoredSecret),
    /// `DB_IAM_AUTH`: an RDS token, made for each connection.
    RdsToken(Aws),
}

/// How a connection to PostgreSQL is encrypted; the names are libpq's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    /// Unencrypted.
    Disable,
    /// Encrypted if the server supports it; the server's identity is not checked.
    Prefer,
    /// Encrypted; the server's identity is not checked.
    Require,
    /// Encrypted, with a certificate of a trusted authority.
    VerifyCa,
    /// Encrypted, with a certificate of a trusted authority for this host name.
    VerifyFull,
}

impl SslMode {
    /// Reads libpq's spelling; the error names `variable`.
    fn parse(variable: &str, value: &str) -> Result<Self> {
        match value {
            "disable" => Ok(SslMode::Disable),
            "prefer" => Ok(SslMode::Prefer),
            "require" => Ok(SslMode::Require),
            "verify-ca" => Ok(SslMode::VerifyCa),
            "verify-full" => Ok(SslMode::VerifyFull),
            other => Err(Error::config(
                variable,
                format!("sslmode {other:?} is none of disable, prefer, require, verify-ca, verify-full"),
            )),
        }
    }
}

impl fmt::Debug for DatabaseConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseConfig")
            .field("hosts", &self.postgres.get_hosts())
            .field("ports", &self.postgres.get_ports())
            .field("dbname", &self.postgres.get_dbname())
            .field("user", &self.postgres.get_user())
            .field("ssl_mode", &self.ssl_mode)
            .field("ca_cert", &self.ca_cert)
            .field("login", &self.login)
            .finish_non_exhaustive()
    }
}

impl DatabaseConfig {
    /// Reads the variables in their order of precedence: the first family with any variable set is used.
    pub(super) fn from_lookup(get: &impl Fn(&str) -> Option<String>, aws: &Aws) -> Result<Self> {
        let config = Self::without_login(get)?;
        let secret = get("DB_SECRET_ARN");
        let iam = boolean(get, "DB_IAM_AUTH")?;
        if config.postgres.get_password().is_some() {
            for (name, set) in [("DB_SECRET_ARN", secret.is_some()), ("DB_IAM_AUTH", iam)] {
                if set {
                    return Err(Error::config(
                        name,
                        "contradicts the password, which is also set: unset one of them",
                    ));
                }
            }
        }
        match (secret, iam) {
            (None, false) => Ok(config),
            (Some(_), true) => {
                Err(Error::config("DB_IAM_AUTH", "contradicts DB_SECRET_ARN: unset one of them"))
            }
            (Some(id), false) => {
                let secret = StoredSecret::new("DB_SECRET_ARN", id, aws.clone());
                Ok(DatabaseConfig { login: LoginSource::Secret(secret), ..config })
            }
            (None, true) => config.with_rds_tokens(aws),
        }
    }

    /// The address, and the password if one is given.
    fn without_login(get: &impl Fn(&str) -> Option<String>) -> Result<Self> {
        const DB: [&str; 7] =
            ["DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "DB_PASSWORD", "DB_SSLMODE", "DB_CA_CERT"];
        const PG: [&str; 7] =
            ["PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGPASSWORD", "PGSSLMODE", "PGSSLROOTCERT"];
        if let Some(url) = get("DATABASE_URL") {
            return Self::from_url("DATABASE_URL", &url);
        }
        let is_set = |name: &&str| get(name).is_some();
        let login = ["DB_SECRET_ARN", "DB_IAM_AUTH"];
        let family = if DB.iter().chain(&login).any(is_set) { DB } else { PG };
        let [host, port, name, user, password, ssl_mode, ca_cert] = family;
        let mut postgres = tokio_postgres::Config::new();
        postgres
            .host(get(host).unwrap_or_else(|| "localhost".to_owned()))
            .dbname(get(name).unwrap_or_else(|| "stellar_contracts".to_owned()))
            .user(get(user).unwrap_or_else(|| "postgres".to_owned()));
        let port_number = match get(port) {
            None => 5432,
            Some(p) => p.parse().map_err(|_| Error::config(port, format!("{p:?} is not a port")))?,
        };
        postgres.port(port_number);
        if let Some(password) = get(password) {
            postgres.password(password);
        }
        let mode = get(ssl_mode).map(|m| SslMode::parse(ssl_mode, &m)).transpose()?;
        Ok(Self::with_default_mode(postgres, mode, get(ca_cert)))
    }

    /// With an RDS token for each connection. A token is valid for 15 minutes, so it is never sent unencrypted, and by
    /// default only to the host that it is for.
    fn with_rds_tokens(mut self, aws: &Aws) -> Result<Self> {
        const NAME: &str = "DB_IAM_AUTH";
        if !self.ssl_mode_given {
            self.ssl_mode = SslMode::VerifyFull;
        }
        if matches!(self.ssl_mode, SslMode::Disable | SslMode::Prefer) {
            return Err(Error::config(
                NAME,
                "would send its token unencrypted: use sslmode verify-full, and DB_CA_CERT for the RDS authorities",
            ));
        }
        if !matches!(self.postgres.get_hosts(), [tokio_postgres::config::Host::Tcp(_)]) {
            return Err(Error::config(NAME, "requires exactly one host, because a token is for one host"));
        }
        self.login = LoginSource::RdsToken(aws.clone());
        Ok(self)
    }

    /// Reads a URL or a key-value string. `sslmode` and `sslrootcert` are taken out first: tokio-postgres supports
    /// neither the verifying modes nor the file.
    ///
    /// # Errors
    /// [`Error::Config`], which names `variable` and quotes nothing of the text.
    pub(crate) fn from_url(variable: &'static str, given: &str) -> Result<Self> {
        let mut mode = None;
        let mut ca_cert = None;
        let mut take = |key: &str, value: &str| -> Result<bool> {
            match key {
                "sslmode" => mode = Some(SslMode::parse(variable, value)?),
                "sslrootcert" => ca_cert = Some(value.to_owned()),
                _ => return Ok(false),
            }
            Ok(true)
        };
        let stripped = if given.starts_with("postgres://") || given.starts_with("postgresql://") {
            match given.split_once('?') {
                None => given.to_owned(),
                Some((base, query)) => {
                    let mut kept = Vec::new();
                    for pair in query.split('&') {
                        let parsed = url::form_urlencoded::parse(pair.as_bytes()).next();
                        let taken = match parsed {
                            Some((key, value)) => take(&key, &value)?,
                            None => true,
                        };
                        if !taken {
                            kept.push(pair);
                        }
                    }
                    if kept.is_empty() { base.to_owned() } else { format!("{base}?{}", kept.join("&")) }
                }
            }
        } else {
            let mut kept = Vec::new();
            for word in given.split_whitespace() {
                let taken = match word.split_once('=') {
                    Some((key, value)) => take(key, value.trim_matches('\''))?,
                    None => false,
                };
                if !taken {
                    kept.push(word);
                }
            }
            kept.join(" ")
        };
        // The parser's message describes the syntax and never quotes the text: no password leaks.
        let mut postgres: tokio_postgres::Config = stripped.parse().map_err(|e: tokio_postgres::Error| {
            let cause = std::error::Error::source(&e).map_or_else(|| e.to_string(), ToString::to_string);
            Error::config(variable, format!("is not a connection string: {cause}"))
        })?;
        if postgres.get_hosts().is_empty() {
            postgres.host("localhost");
        }
        if postgres.get_dbname().is_none() {
            postgres.dbname("stellar_contracts");
        }
        if postgres.get_user().is_none() {
            postgres.user("postgres");
        }
        Ok(Self::with_default_mode(postgres, mode, ca_cert))
    }

    /// Without an explicit mode: prefer on loopback and sockets, verify-full elsewhere.
    pub(crate) fn with_default_mode(
        postgres: tokio_postgres::Config,
        mode: Option<SslMode>,
        ca_cert: Option<String>,
    ) -> Self {
        let local = postgres.get_hosts().iter().all(|host| match host {
            tokio_postgres::config::Host::Tcp(name) => is_loopback(name),
            tokio_postgres::config::Host::Unix(_) => true,
        });
        let ssl_mode = mode.unwrap_or(if local { SslMode::Prefer } else { SslMode::VerifyFull });
        DatabaseConfig {
            postgres,
            ssl_mode,
            ssl_mode_given: mode.is_some(),
            ca_cert,
            login: LoginSource::Given,
        }
    }

    /// `user@host:port/database` for messages; if a secret contains the login, the secret's name.
    pub fn describe(&self) -> String {
        if let LoginSource::Secret(secret) = &self.login {
            return format!("the database of {}", secret.id());
        }
        let host = self.postgres.get_hosts().first().map_or_else(String::new, |host| match host {
            tokio_postgres::config::Host::Tcp(name) => name.clone(),
            tokio_postgres::config::Host::Unix(path) => path.display().to_string(),
        });
        let port = self.postgres.get_ports().first().copied().unwrap_or(5432);
        let user = self.postgres.get_user().unwrap_or_default();
        let name = self.postgres.get_dbname().unwrap_or_default();
        format!("{user}@{host}:{port}/{name}")
    }
}
