//! TLS to PostgreSQL: rustls, with libpq's modes.

use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::config::{ClientIdentity, DatabaseConfig, SslMode};
use crate::error::{Error, Result};

/// The TLS connector for tokio-postgres.
pub(super) fn connector(config: &DatabaseConfig) -> Result<MakeRustlsConnect> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::Unexpected(e.to_string()))?;
    let tls = match config.ssl_mode {
        SslMode::VerifyFull => tls.with_root_certificates(roots(config)?),
        mode if mode == SslMode::VerifyCa || (mode == SslMode::Require && config.ca_cert.is_some()) => {
            let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots(config)?), provider)
                .build()
                .map_err(|e| Error::config("DB_CA_CERT", e.to_string()))?;
            tls.dangerous().with_custom_certificate_verifier(Arc::new(AnyName(verifier)))
        }
        _ => tls.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(provider))),
    };
    let tls = match &config.client {
        None => tls.with_no_client_auth(),
        Some(client) => {
            let (certificates, key) = identity(client)?;
            tls.with_client_auth_cert(certificates, key)
                .map_err(|e| Error::config("DB_CLIENT_CERT", format!("{}: {e}", client.certificate)))?
        }
    };
    Ok(MakeRustlsConnect::new(tls))
}

/// The client certificate and its key. As for libpq, the key is a file that others cannot read.
fn identity(client: &ClientIdentity) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let ClientIdentity { certificate, key } = client;
    let bad = |problem: String| Error::config("DB_CLIENT_CERT", format!("{certificate}: {problem}"));
    let certificates = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| bad(e.to_string()))?;
    if certificates.is_empty() {
        return Err(bad("contains no certificate".to_owned()));
    }
    let bad = |problem: String| Error::config("DB_CLIENT_KEY", format!("{key}: {problem}"));
    let file = std::fs::metadata(key).map_err(|e| bad(e.to_string()))?;
    // the group of a file of root may read it
    let forbidden = if file.uid() == 0 { 0o037 } else { 0o077 };
    if file.mode() & forbidden != 0 {
        return Err(bad(format!(
            "others may read it ({:o}): set its permissions to 600",
            file.mode() & 0o777
        )));
    }
    let key = PrivateKeyDer::from_pem_file(key)
        .map_err(|_| bad("contains no private key in PEM that is not encrypted".to_owned()))?;
    Ok((certificates, key))
}

/// The authorities in the CA file, or else the system's.
fn roots(config: &DatabaseConfig) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    match &config.ca_cert {
        Some(path) => {
            let bad = |problem: String| Error::config("DB_CA_CERT", format!("{path}: {problem}"));
            for certificate in CertificateDer::pem_file_iter(path).map_err(|e| bad(e.to_string()))? {
                let certificate = certificate.map_err(|e| bad(e.to_string()))?;
                roots.add(certificate).map_err(|e| bad(e.to_string()))?;
            }
            if roots.is_empty() {
                return Err(bad("contains no certificate".to_owned()));
            }
        }
        None => {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
        }
    }
    Ok(roots)
}

/// `verify-ca`, and `require` with a CA file: checks the chain, but not the name.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

/// `prefer`, and `require` without a CA file: encrypted, to any server. The same as libpq in these modes.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
