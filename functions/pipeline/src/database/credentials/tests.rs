//! The formats of a secret, and a token as another implementation makes it.

use chrono::{DateTime, Utc};

use super::*;
use crate::config::{Config, SslMode};

fn base(pairs: &[(&str, &str)]) -> DatabaseConfig {
    let lookup = |name: &str| pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
    Config::from_lookup(lookup).unwrap().database
}

fn merged(pairs: &[(&str, &str)], secret: &str) -> DatabaseConfig {
    merge(&base(pairs), &SecretString::from(secret)).unwrap()
}

#[test]
fn a_secret_of_rds_wins_over_the_variables() {
    let variables =
        [("DB_HOST", "old.example"), ("DB_PORT", "1"), ("DB_NAME", "n"), ("DB_CA_CERT", "ca.pem")];
    let whole = r#"{"username":"u","password":"p","engine":"postgres","host":"new.example","port":5433,"dbname":"d"}"#;
    let config = merged(&variables, whole);
    assert_eq!(config.describe(), "u@new.example:5433/d");
    assert_eq!(config.postgres.get_password(), Some(b"p".as_slice()));
    assert_eq!((config.ssl_mode, config.ca_cert.as_deref()), (SslMode::VerifyFull, Some("ca.pem")));

    let login_alone = merged(&variables, r#"{"username":"u","password":"p"}"#);
    assert_eq!(login_alone.describe(), "u@old.example:1/n");
    assert_eq!(
        merged(&[], r#"{"username":"u","password":"p","port":"77"}"#).describe(),
        "u@localhost:77/stellar_contracts"
    );
}

#[test]
fn the_host_of_a_secret_decides_whether_it_is_verified() {
    let secret = r#"{"username":"u","password":"p","host":"db.example"}"#;
    assert_eq!(
        merged(&[("DB_SECRET_ARN", "s")], secret).ssl_mode,
        SslMode::VerifyFull,
        "not that of localhost"
    );
    let told = [("DB_SECRET_ARN", "s"), ("DB_SSLMODE", "verify-ca")];
    assert_eq!(merged(&told, secret).ssl_mode, SslMode::VerifyCa);
}

#[test]
fn a_secret_may_be_a_url() {
    let config = merged(&[("DB_CA_CERT", "ca.pem")], r#"{"url":"postgres://u:p@db.example:9/d"}"#);
    assert_eq!(config.describe(), "u@db.example:9/d");
    assert_eq!((config.ssl_mode, config.ca_cert.as_deref()), (SslMode::VerifyFull, Some("ca.pem")));
    let config =
        merged(&[], r#"{"url":"postgres://u:p@db.example/d?sslmode=verify-ca&sslrootcert=own.pem"}"#);
    assert_eq!((config.ssl_mode, config.ca_cert.as_deref()), (SslMode::VerifyCa, Some("own.pem")));
}

#[test]
fn a_secret_that_is_none_is_refused_and_not_quoted() {
    for (secret, reason) in [
        ("canary", "is not a JSON object"),
        (r#"["canary"]"#, "is not a JSON object"),
        (r#"{"username":"canary"}"#, "has no password"),
        (r#"{"password":"canary"}"#, "has no username"),
        (r#"{"username":"u","password":{"canary":1}}"#, "has a password that is not a string"),
        (r#"{"username":"u","password":"canary","port":70000}"#, "has an invalid port"),
        (r#"{"username":"u","password":"canary","port":"canary"}"#, "has an invalid port"),
        (r#"{"url":"postgres://u:canary@h:port/d"}"#, "is not a connection string"),
    ] {
        let error = merge(&base(&[]), &SecretString::from(secret)).unwrap_err().to_string();
        assert!(error.starts_with("configuration: DB_SECRET_ARN: ") && error.contains(reason), "{error}");
        assert!(!error.contains("canary"), "{error}");
    }
}

#[test]
fn a_token_is_the_one_that_another_implementation_makes() {
    // botocore 1.42.54: generate_db_auth_token, at this second, with these credentials.
    let expected = [
        ("contract_data_loader", "433b0a97337e5727ca5242f3389d91679653c0b758137c81f05832c77c57e2ee"),
        ("a b+c@d", "fab0b9ea8e53602d8d63f2773fe6e2d55211064f5bd5d729d1d95ef79282c98c"),
    ];
    let now: DateTime<Utc> = "2026-11-25T17:49:20Z".parse().unwrap();
    for (user, signature) in expected {
        let credentials =
            Credentials::new("AKIDEXAMPLE", "secretexample", Some("tokenexample".to_owned()), None, "test");
        let host = "db.abc.eu-west-1.rds.amazonaws.com";
        let token = presign(host, 5432, user, "eu-west-1", credentials, now.into()).unwrap();
        let token = token.expose_secret();
        assert!(
            token.starts_with("db.abc.eu-west-1.rds.amazonaws.com:5432/?Action=connect&DBUser="),
            "{token}"
        );
        assert!(token.contains("&X-Amz-Expires=900&"), "{token}");
        assert!(token.contains(&format!("&X-Amz-Signature={signature}")), "{token}");
        assert!(token.ends_with("&X-Amz-Security-Token=tokenexample"), "{token}");
    }
}
