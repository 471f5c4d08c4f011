//! The login: a password from the configuration, a password file or a secret, or an RDS token.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign};
use aws_sigv4::sign::v4;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio_postgres::config::Host;

use super::password_file;
use crate::aws::Aws;
use crate::config::{DatabaseConfig, LoginSource, without_brackets};
use crate::error::{BoxError, Error, Result, chain};
use crate::secret::{Reading, StoredSecret, Unreadable};

/// The validity of an RDS token; RDS checks it only when the connection is established.
const TOKEN_LIFE: Duration = Duration::from_secs(15 * 60);

/// A complete configuration for one connection, and the source of its password.
pub(super) struct Login {
    pub(super) config: DatabaseConfig,
    reading: Option<(StoredSecret, Reading)>,
}

/// Completes the configuration: reads the secret unless it is cached, or makes the token.
///
/// # Errors
/// [`Error::Config`] when the secret cannot be read or is malformed, or AWS credentials are missing;
/// [`Error::Database`] when AWS is unreachable.
pub(super) async fn login(config: &DatabaseConfig) -> Result<Login> {
    match &config.login {
        LoginSource::Given => {
            let mut config = config.clone();
            if config.postgres.get_password().is_none()
                && let Some(password) = password_file::find(&config)?
            {
                config.postgres.password(password.expose_secret());
            }
            Ok(Login { config, reading: None })
        }
        LoginSource::Secret(secret) => {
            let reading = secret.read().await.map_err(of_database)?;
            of_secret(config, secret, reading)
        }
        LoginSource::RdsToken(aws) => {
            let token = Box::pin(rds_token(config, aws)).await?;
            let mut config = config.clone();
            config.postgres.password(token.expose_secret());
            Ok(Login { config, reading: None })
        }
    }
}

impl Login {
    /// The login to try after PostgreSQL refused this one, if the secret has changed since. `None` if there is no
    /// other.
    ///
    /// # Errors
    /// As [`login`].
    pub(super) async fn after_refusal(&self) -> Result<Option<Login>> {
        let Some((secret, refused)) = &self.reading else { return Ok(None) };
        let reading = secret.read_again(refused).await.map_err(of_database)?;
        if reading.value.expose_secret() == refused.value.expose_secret() {
            return Ok(None);
        }
        of_secret(&self.config, secret, reading).map(Some)
    }
}

fn of_database(unreadable: Unreadable) -> Error {
    unreadable.into_error(|unreadable| Error::Database {
        action: "log in",
        source: unreadable.into(),
        transient: true,
    })
}

fn of_secret(config: &DatabaseConfig, secret: &StoredSecret, reading: Reading) -> Result<Login> {
    let config = merge(config, &reading.value)?;
    Ok(Login { config, reading: Some((secret.clone(), reading)) })
}

/// Applies the secret to the configuration: `url`, or `username`, `password`, `host`, `port` and `dbname`, the format
/// of secrets made by RDS. The parser's message would quote the secret, so it is not used.
fn merge(config: &DatabaseConfig, secret: &SecretString) -> Result<DatabaseConfig> {
    const NAME: &str = "DB_SECRET_ARN";
    let bad = |problem: &str| Error::config(NAME, format!("the secret {problem}"));
    let fields: serde_json::Map<String, Value> = serde_json::from_str(secret.expose_secret())
        .map_err(|_| bad("is not a JSON object such as {\"username\": …, \"password\": …}"))?;
    let text = |name: &str| match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if !text.is_empty() => Ok(Some(text.as_str())),
        Some(_) => Err(bad(&format!("has a {name} that is not a string"))),
    };
    let mode = config.ssl_mode_given.then_some(config.ssl_mode);
    if let Some(url) = text("url")? {
        let given = DatabaseConfig::from_url(NAME, url)?;
        let of_url = given.ssl_mode_given.then_some(given.ssl_mode);
        return Ok(DatabaseConfig {
            ca_cert: given.ca_cert.or_else(|| config.ca_cert.clone()),
            client: given.client.or_else(|| config.client.clone()),
            ..DatabaseConfig::with_default_mode(given.postgres, of_url.or(mode))
        });
    }
    let mut postgres = tokio_postgres::Config::new();
    let (user, password) = (text("username")?, text("password")?);
    postgres.user(user.ok_or_else(|| bad("has no username"))?);
    postgres.password(password.ok_or_else(|| bad("has no password"))?);
    match text("host")? {
        Some(host) => {
            postgres.host(without_brackets(host));
        }
        None => config.postgres.get_hosts().iter().for_each(|host| match host {
            Host::Tcp(name) => {
                postgres.host(name);
            }
            Host::Unix(path) => {
                postgres.host_path(path);
            }
        }),
    }
    match fields.get("port") {
        None | Some(Value::Null) => config.postgres.get_ports().iter().for_each(|port| {
            postgres.port(*port);
        }),
        Some(Value::Number(port)) => {
            let port = port.as_u64().and_then(|port| u16::try_from(port).ok());
            postgres.port(port.ok_or_else(|| bad("has an invalid port"))?);
        }
        Some(Value::String(port)) => {
            postgres.port(port.parse().map_err(|_| bad("has an invalid port"))?);
        }
        Some(_) => return Err(bad("has an invalid port")),
    }
    postgres.dbname(text("dbname")?.or(config.postgres.get_dbname()).unwrap_or("stellar_contracts"));
    if let Some(timeout) = config.postgres.get_connect_timeout() {
        postgres.connect_timeout(*timeout);
    }
    if let Some(options) = config.postgres.get_options() {
        postgres.options(options);
    }
    Ok(DatabaseConfig {
        ca_cert: config.ca_cert.clone(),
        client: config.client.clone(),
        ..DatabaseConfig::with_default_mode(postgres, mode)
    })
}

/// An RDS token for the configured user and host, signed with the AWS credentials of this process.
async fn rds_token(config: &DatabaseConfig, aws: &Aws) -> Result<SecretString> {
    const NAME: &str = "DB_IAM_AUTH";
    let sdk = aws.sdk(None).await;
    let region = Aws::region(&sdk)
        .ok_or_else(|| Error::config(NAME, "requires AWS_REGION, the region of the database"))?;
    let credentials = aws
        .credentials()
        .get()
        .await
        .map_err(|e| Error::config(NAME, format!("found no AWS credentials: {}", chain(&e))))?;
    let host = match config.postgres.get_hosts() {
        [Host::Tcp(host)] => host,
        _ => return Err(Error::config(NAME, "requires exactly one host")),
    };
    let port = config.postgres.get_ports().first().copied().unwrap_or(5432);
    let user = config.postgres.get_user().unwrap_or_default();
    presign(host, port, user, region, credentials, SystemTime::now())
        .map_err(|e| Error::config(NAME, format!("cannot sign a token: {e}")))
}

/// The token is a presigned request to connect, without its scheme.
fn presign(
    host: &str,
    port: u16,
    user: &str,
    region: &str,
    credentials: Credentials,
    now: SystemTime,
) -> Result<SecretString, BoxError> {
    let mut url = url::Url::parse(&format!("https://{host}:{port}/"))?;
    url.query_pairs_mut().append_pair("Action", "connect").append_pair("DBUser", user);
    // A signed query encodes a space as %20, but form encoding writes +; a literal + is %2B there.
    if let Some(query) = url.query().map(|query| query.replace('+', "%20")) {
        url.set_query(Some(&query));
    }
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(TOKEN_LIFE);
    let identity = credentials.into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("rds-db")
        .time(now)
        .settings(settings)
        .build()?
        .into();
    let request = SignableRequest::new("GET", url.as_str(), std::iter::empty(), SignableBody::Bytes(&[]))?;
    let (instructions, _signature) = sign(request, &params)?.into_parts();
    for (name, value) in instructions.params() {
        url.query_pairs_mut().append_pair(name, value);
    }
    let token = url.as_str().strip_prefix("https://").unwrap_or_default().to_owned();
    Ok(token.into())
}

#[cfg(test)]
mod tests;
