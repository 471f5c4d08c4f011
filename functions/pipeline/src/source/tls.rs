//! TLS to the source: whom it is trusted to be, and by what certificate it knows this client.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use crate::config::{ClientIdentity, FlightConfig};
use crate::error::{Error, Result};

/// What tonic makes its TLS streams with. The host's certificate is always verified, name and all.
///
/// # Errors
/// [`Error::Config`] when a file cannot be read, or is not the PEM that it should be.
pub(super) fn of(config: &FlightConfig) -> Result<ClientTlsConfig> {
    let tls = match &config.ca_cert {
        None => ClientTlsConfig::new().with_native_roots(),
        Some(path) => {
            let pem = certificates("FLIGHT_CA_CERT", path)?;
            ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem))
        }
    };
    let Some(ClientIdentity { certificate, key }) = &config.client else { return Ok(tls) };
    let certificate = certificates("FLIGHT_CLIENT_CERT", certificate)?;
    let key_pem = read("FLIGHT_CLIENT_KEY", key)?;
    PrivateKeyDer::from_pem_slice(&key_pem)
        .map_err(|_| Error::config("FLIGHT_CLIENT_KEY", format!("{key} holds no private key in PEM")))?;
    Ok(tls.identity(Identity::from_pem(certificate, key_pem)))
}

/// What tonic says when it cannot use what [`of`] found good: a key that is of another certificate.
pub(super) fn unusable(error: tonic::transport::Error) -> Error {
    let mut cause: &dyn std::error::Error = &error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    Error::config("FLIGHT_ENDPOINT", format!("cannot set up TLS: {cause}"))
}

/// Reads a PEM file that must hold a certificate.
fn certificates(variable: &str, path: &str) -> Result<Vec<u8>> {
    let pem = read(variable, path)?;
    let mut found = CertificateDer::pem_slice_iter(&pem);
    match found.next() {
        Some(Ok(_)) => Ok(pem),
        _ => Err(Error::config(variable, format!("{path} holds no certificate in PEM"))),
    }
}

fn read(variable: &str, path: &str) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|e| Error::config(variable, format!("cannot read {path}: {e}")))
}
