//! Certificates for a test: an authority, and valid and invalid certificates signed by it.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

/// A private authority.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key, both in PEM.
#[derive(Clone)]
pub struct Certificate {
    /// The certificate.
    pub certificate: String,
    /// Its key. No program's output may show it.
    pub key: String,
}

/// What is wrong with a server's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing: it is for localhost and 127.0.0.1, of that authority, valid now.
    None,
    /// It was valid until 2001.
    Expired,
    /// It will be valid from 2200 on.
    NotYetValid,
    /// It is for other.example.
    WrongHost,
    /// It is for clients.
    ForClients,
    /// It is self-signed.
    SelfSigned,
}

impl Authority {
    /// An authority of this name.
    pub fn new(name: &str) -> Authority {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Authority(CertifiedIssuer::self_signed(params, key()).expect("an authority"))
    }

    /// Its own certificate in PEM, for those that trust it.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A server certificate for localhost, with the flaw.
    pub fn server(&self, flaw: Flaw) -> Certificate {
        let names = match flaw {
            Flaw::WrongHost => vec!["other.example".to_owned()],
            _ => vec!["localhost".to_owned(), "127.0.0.1".to_owned()],
        };
        let mut params = CertificateParams::new(names).expect("names");
        params.distinguished_name.push(DnType::CommonName, "server");
        params.extended_key_usages = vec![match flaw {
            Flaw::ForClients => ExtendedKeyUsagePurpose::ClientAuth,
            _ => ExtendedKeyUsagePurpose::ServerAuth,
        }];
        match flaw {
            Flaw::Expired => {
                params.not_before = date_time_ymd(2000, 1, 1);
                params.not_after = date_time_ymd(2001, 1, 1);
            }
            Flaw::NotYetValid => {
                params.not_before = date_time_ymd(2200, 1, 1);
                params.not_after = date_time_ymd(2201, 1, 1);
            }
            _ => {}
        }
        let key = key();
        let certificate = match flaw {
            Flaw::SelfSigned => params.self_signed(&key),
            _ => params.signed_by(&key, &self.0),
        };
        Certificate::of(&certificate.expect("a certificate"), &key)
    }

    /// A client's certificate.
    pub fn client(&self) -> Certificate {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "loader");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = key();
        Certificate::of(&params.signed_by(&key, &self.0).expect("a certificate"), &key)
    }
}

impl Certificate {
    fn of(certificate: &rcgen::Certificate, key: &KeyPair) -> Certificate {
        Certificate { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// The longest line of the key's PEM, to detect output that shows the key.
    pub fn line_of_key(&self) -> &str {
        self.key.lines().max_by_key(|line| line.len()).expect("a PEM has lines")
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate").finish_non_exhaustive()
    }
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}
