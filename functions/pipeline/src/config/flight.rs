//! The source's address and the client's credentials.

use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use super::values::{boolean, duration, is_loopback};
use crate::aws::Aws;
use crate::contract::wire::PORT;
use crate::error::{Error, Result};
use crate::secret::StoredSecret;

const TOKEN_SECRET: &str = "FLIGHT_TOKEN_SECRET_ARN";

/// The Flight source.
#[derive(Debug, Clone)]
pub struct FlightConfig {
    /// `FLIGHT_ENDPOINT`, as `http://` or `https://`.
    pub endpoint: Url,
    /// `FLIGHT_TOKEN`: sent as bearer token.
    pub token: Option<SecretString>,
    /// `FLIGHT_TOKEN_SECRET_ARN`: a secret that contains the token instead.
    pub(crate) token_secret: Option<StoredSecret>,
    /// `FLIGHT_CA_CERT`: path of a PEM file with the authorities to trust instead of the system's.
    pub ca_cert: Option<String>,
    /// `FLIGHT_CLIENT_CERT` and `FLIGHT_CLIENT_KEY`: the client certificate.
    pub(crate) client: Option<ClientIdentity>,
    /// `FLIGHT_TIMEOUT`: the longest wait for the connection, an answer, or the next message of a stream.
    pub timeout: Duration,
    /// `FLIGHT_TRUST_END`: accept a clean end of stream as complete.
    pub trust_end: bool,
}

/// The files of a client certificate.
#[derive(Debug, Clone)]
pub(crate) struct ClientIdentity {
    /// Path of a PEM file with the certificate and its intermediates.
    pub(crate) certificate: String,
    /// Path of a PEM file with its key.
    pub(crate) key: String,
}

impl ClientIdentity {
    /// Both files or neither, each with the variable that names it.
    pub(super) fn of(
        (certificate_name, certificate): (&str, Option<String>),
        (key_name, key): (&str, Option<String>),
    ) -> Result<Option<Self>> {
        let alone = |set: &str, unset: &str| {
            Err(Error::config(set, format!("requires {unset}: set both or neither")))
        };
        match (certificate, key) {
            (None, None) => Ok(None),
            (Some(_), None) => alone(certificate_name, key_name),
            (None, Some(_)) => alone(key_name, certificate_name),
            (Some(certificate), Some(key)) => Ok(Some(ClientIdentity { certificate, key })),
        }
    }
}

/// Reads the variables.
pub(super) fn from_lookup(get: &impl Fn(&str) -> Option<String>, aws: &Aws) -> Result<FlightConfig> {
    const NAME: &str = "FLIGHT_ENDPOINT";
    let given = get(NAME).unwrap_or_else(|| format!("localhost:{PORT}"));
    let url = match given.split_once("://") {
        Some(("grpc" | "grpc+tcp" | "http", rest)) => format!("http://{rest}"),
        Some(("grpc+tls" | "https", rest)) => format!("https://{rest}"),
        Some((scheme, _)) => {
            return Err(Error::config(
                NAME,
                format!("{scheme}:// is not one of grpc://, grpc+tls://, http://, https://"),
            ));
        }
        None => format!("http://{given}"),
    };
    let endpoint =
        Url::parse(&url).map_err(|e| Error::config(NAME, format!("{given:?} is not an endpoint: {e}")))?;
    if !endpoint.username().is_empty() || endpoint.password().is_some() {
        return Err(Error::config(NAME, "must not contain a password: use FLIGHT_TOKEN"));
    }
    if endpoint.path() != "/" || endpoint.query().is_some() || endpoint.fragment().is_some() {
        return Err(Error::config(
            NAME,
            format!("{given:?} has a path, which Flight does not use: write host:port"),
        ));
    }
    let plain = endpoint.scheme() == "http";
    let token = get("FLIGHT_TOKEN").map(SecretString::from);
    let token_secret = get("FLIGHT_TOKEN_SECRET_ARN");
    if token.is_some() && token_secret.is_some() {
        return Err(Error::config(TOKEN_SECRET, "contradicts FLIGHT_TOKEN: unset one of them"));
    }
    if plain && !endpoint.host_str().is_some_and(is_loopback) {
        for (name, set) in [("FLIGHT_TOKEN", token.is_some()), (TOKEN_SECRET, token_secret.is_some())] {
            if set {
                let problem = format!("would be sent to {given} unencrypted: use a grpc+tls:// endpoint");
                return Err(Error::config(name, problem));
            }
        }
    }
    let timeout = duration(get, "FLIGHT_TIMEOUT")?.unwrap_or(Duration::from_secs(60));
    if timeout.is_zero() {
        return Err(Error::config("FLIGHT_TIMEOUT", "must be greater than zero"));
    }
    Ok(FlightConfig {
        endpoint,
        token,
        token_secret: token_secret.map(|id| StoredSecret::new(TOKEN_SECRET, id, aws.clone())),
        ca_cert: get("FLIGHT_CA_CERT"),
        client: client(get, plain)?,
        timeout,
        trust_end: boolean(get, "FLIGHT_TRUST_END")?,
    })
}

/// The client certificate: both files or neither, and only with TLS.
fn client(get: &impl Fn(&str) -> Option<String>, plain: bool) -> Result<Option<ClientIdentity>> {
    const CERT: &str = "FLIGHT_CLIENT_CERT";
    const KEY: &str = "FLIGHT_CLIENT_KEY";
    let client = ClientIdentity::of((CERT, get(CERT)), (KEY, get(KEY)))?;
    if plain && client.is_some() {
        return Err(Error::config(CERT, "requires TLS: use a grpc+tls:// endpoint"));
    }
    Ok(client)
}
