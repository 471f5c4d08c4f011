//! The PostgreSQL address: `DATABASE_URL`, else `DB_*`, else `PG*`, else a local default. And its login: the given
//! password, else the secret of `DB_SECRET_ARN`, else an RDS token.

use std::fmt;
use std::path::PathBuf;

use tokio_postgres::config::Host;

use super::dsn::Dsn;
use super::flight::ClientIdentity;
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
    /// The client certificate.
    pub(crate) client: Option<ClientIdentity>,
    /// `PGPASSFILE` or `passfile`, if set.
    pub(crate) given_password_file: Option<PathBuf>,
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
    /// Encrypted; the server's identity is not checked. With a CA file, the same as `verify-ca`.
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
            .field("client", &self.client)
            .field("given_password_file", &self.given_password_file)
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
        const DB: [&str; 9] = [
            "DB_HOST",
            "DB_PORT",
            "DB_NAME",
            "DB_USER",
            "DB_PASSWORD",
            "DB_SSLMODE",
            "DB_CA_CERT",
            "DB_CLIENT_CERT",
            "DB_CLIENT_KEY",
        ];
        const PG: [&str; 9] = [
            "PGHOST",
            "PGPORT",
            "PGDATABASE",
            "PGUSER",
            "PGPASSWORD",
            "PGSSLMODE",
            "PGSSLROOTCERT",
            "PGSSLCERT",
            "PGSSLKEY",
        ];
        let password_file = get("PGPASSFILE").map(PathBuf::from);
        if let Some(url) = get("DATABASE_URL") {
            let config = Self::from_url("DATABASE_URL", &url)?;
            let given_password_file = config.given_password_file.or(password_file);
            return Ok(DatabaseConfig { given_password_file, ..config });
        }
        let is_set = |name: &&str| get(name).is_some();
        let login = ["DB_SECRET_ARN", "DB_IAM_AUTH"];
        let family = if DB.iter().chain(&login).any(is_set) { DB } else { PG };
        let [host, port, name, user, password, ssl_mode, ca_cert, certificate, key] = family;
        let mut postgres = tokio_postgres::Config::new();
        postgres
            .dbname(get(name).unwrap_or_else(|| "stellar_contracts".to_owned()))
            .user(get(user).unwrap_or_else(|| "postgres".to_owned()));
        // like libpq, several hosts and ports, separated by commas
        for host in get(host).as_deref().unwrap_or("localhost").split(',') {
            postgres.host(without_brackets(host));
        }
        for p in get(port).as_deref().unwrap_or("5432").split(',') {
            postgres.port(p.parse().map_err(|_| Error::config(port, format!("{p:?} is not a port")))?);
        }
        if let Some(password) = get(password) {
            postgres.password(password);
        }
        let mode = get(ssl_mode).map(|m| SslMode::parse(ssl_mode, &m)).transpose()?;
        let (mode, ca_cert) = trust(ca_cert, mode, get(ca_cert))?;
        Ok(DatabaseConfig {
            ca_cert,
            client: ClientIdentity::of((certificate, get(certificate)), (key, get(key)))?,
            given_password_file: password_file,
            ..Self::with_default_mode(postgres, mode)
        })
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
        if !matches!(self.postgres.get_hosts(), [Host::Tcp(_)]) {
            return Err(Error::config(NAME, "requires exactly one host, because a token is for one host"));
        }
        self.login = LoginSource::RdsToken(aws.clone());
        Ok(self)
    }

    /// Reads a URL or a key-value string.
    ///
    /// # Errors
    /// [`Error::Config`], which names `variable` and quotes nothing of the text.
    pub(crate) fn from_url(variable: &'static str, given: &str) -> Result<Self> {
        let dsn = Dsn::parse(variable, given)?;
        let mode = dsn.value("sslmode").map(|mode| SslMode::parse(variable, &mode)).transpose()?;
        let (mode, ca_cert) = trust(variable, mode, dsn.value("sslrootcert"))?;
        let client = ClientIdentity::of(
            (&format!("{variable}: sslcert"), dsn.value("sslcert")),
            (&format!("{variable}: sslkey"), dsn.value("sslkey")),
        )?;
        let given_password_file = dsn.value("passfile").map(PathBuf::from);
        let mut postgres = dsn.postgres;
        if postgres.get_hosts().is_empty() {
            // like libpq, an address alone is also the name that a certificate must have
            let addresses = postgres.get_hostaddrs().to_vec();
            for address in &addresses {
                postgres.host(address.to_string());
            }
            if addresses.is_empty() {
                postgres.host("localhost");
            }
        }
        if postgres.get_dbname().is_none() {
            postgres.dbname("stellar_contracts");
        }
        if postgres.get_user().is_none() {
            postgres.user("postgres");
        }
        let config = Self::with_default_mode(postgres, mode);
        Ok(DatabaseConfig { ca_cert, client, given_password_file, ..config })
    }

    /// Without an explicit mode: prefer on loopback and sockets, verify-full elsewhere. Without files and login.
    pub(crate) fn with_default_mode(postgres: tokio_postgres::Config, mode: Option<SslMode>) -> Self {
        let local = postgres.get_hosts().iter().all(|host| match host {
            Host::Tcp(name) => is_loopback(name),
            Host::Unix(_) => true,
        });
        let local = local && postgres.get_hostaddrs().iter().all(std::net::IpAddr::is_loopback);
        let ssl_mode = mode.unwrap_or(if local { SslMode::Prefer } else { SslMode::VerifyFull });
        DatabaseConfig {
            postgres,
            ssl_mode,
            ssl_mode_given: mode.is_some(),
            ca_cert: None,
            client: None,
            given_password_file: None,
            login: LoginSource::Given,
        }
    }

    /// The password file: the given one, or `.pgpass` in the home directory.
    pub(crate) fn password_file(&self) -> Option<PathBuf> {
        let default = || std::env::home_dir().map(|home| home.join(".pgpass"));
        self.given_password_file.clone().or_else(default)
    }

    /// `user@host:port/database` for messages; if a secret contains the login, the secret's name.
    pub fn describe(&self) -> String {
        if let LoginSource::Secret(secret) = &self.login {
            return format!("the database of {}", secret.id());
        }
        let host = self.postgres.get_hosts().first().map_or_else(String::new, |host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(path) => path.display().to_string(),
        });
        let port = self.postgres.get_ports().first().copied().unwrap_or(5432);
        let user = self.postgres.get_user().unwrap_or_default();
        let name = self.postgres.get_dbname().unwrap_or_default();
        format!("{user}@{host}:{port}/{name}")
    }
}

/// `[::1]` is an address in brackets, as URLs have it.
pub(crate) fn without_brackets(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// `system` as the CA file: as in libpq, the authorities of the system, and `verify-full`.
fn trust(
    variable: &str,
    mode: Option<SslMode>,
    ca_cert: Option<String>,
) -> Result<(Option<SslMode>, Option<String>)> {
    match (ca_cert.as_deref(), mode) {
        (Some("system"), None | Some(SslMode::VerifyFull)) => Ok((Some(SslMode::VerifyFull), None)),
        (Some("system"), Some(_)) => {
            Err(Error::config(variable, "system as the CA file wants sslmode verify-full"))
        }
        _ => Ok((mode, ca_cert)),
    }
}
