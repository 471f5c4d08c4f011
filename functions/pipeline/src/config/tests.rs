//! Every variable: its default, its spellings, and its refusals by name.

use super::*;

/// The configuration from pairs of variable and value.
fn config(pairs: &[(&str, &str)]) -> Result<Config> {
    Config::from_lookup(|name| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
}

/// The message of the error that the pairs give.
fn refusal(pairs: &[(&str, &str)]) -> String {
    config(pairs).unwrap_err().to_string()
}

#[test]
fn defaults_are_those_of_the_manual() {
    let c = config(&[]).unwrap();
    assert_eq!(c.database.describe(), "postgres@localhost:5432/stellar_contracts");
    assert_eq!(c.database.ssl_mode, SslMode::Prefer);
    assert_eq!(c.flight.endpoint.as_str(), "http://localhost:8816/");
    assert_eq!(c.flight.timeout, Duration::from_secs(60));
    assert!(!c.flight.trust_end);
    assert!(c.staging.url.as_str().ends_with("/staging/"), "{}", c.staging.url);
    assert_eq!(c.network.name, "pubnet");
    assert_eq!(c.start_ledger, StartLedger::First);
    assert_eq!((c.window_ledgers, c.max_windows, c.batch_rows, c.max_retries), (64, None, 65_536, 3));
    assert_eq!(c.commit_interval, Duration::from_secs(5));
    assert_eq!(c.partition_ledgers, None);
    assert_eq!(c.log, LogConfig { level: "info".to_owned(), format: None });
}

#[test]
fn a_value_that_does_not_parse_names_its_variable() {
    for (name, value) in [
        ("WINDOW_LEDGERS", "0"),
        ("WINDOW_LEDGERS", "many"),
        ("MAX_WINDOWS", "-1"),
        ("BATCH_SIZE", "0"),
        ("MAX_RETRIES", "x"),
        ("COMMIT_INTERVAL", "soon"),
        ("FLIGHT_TIMEOUT", "0"),
        ("FLIGHT_TRUST_END", "perhaps"),
        ("FLIGHT_ENDPOINT", "ftp://host"),
        ("FLIGHT_ENDPOINT", "http://user:canary@host"),
        ("STAGING_URL", "gs://bucket"),
        ("STAGING_URL", "s3://"),
        ("PARTITION_LEDGERS", "0"),
        ("START_LEDGER", "yesterday"),
        ("LOG_FORMAT", "xml"),
        ("DB_PORT", "99999"),
        ("DB_SSLMODE", "maybe"),
        ("DB_SECRET_ARN", "arn:aws:x"),
        ("DATABASE_URL", "postgres://u:canary@h:port/db"),
        ("DATABASE_URL", "postgres://u:canary@h/db?sslmode=maybe"),
        ("DATABASE_URL", "host=h password='canary"),
    ] {
        let message = refusal(&[(name, value)]);
        assert!(message.starts_with(&format!("configuration: {name}: ")), "{name}={value}: {message}");
        assert!(!message.contains("canary"), "{name}: {message}");
    }
}

#[test]
fn endpoints_in_all_their_spellings() {
    for (given, read) in [
        ("grpc://h:1", "http://h:1/"),
        ("http://h:1", "http://h:1/"),
        ("h:1", "http://h:1/"),
        ("grpc+tls://h:1", "https://h:1/"),
        ("https://h:1", "https://h:1/"),
        ("grpc+tcp://[::1]:1", "http://[::1]:1/"),
    ] {
        assert_eq!(config(&[("FLIGHT_ENDPOINT", given)]).unwrap().flight.endpoint.as_str(), read);
    }
}

#[test]
fn a_token_never_goes_in_clear_to_another_host() {
    let token = ("FLIGHT_TOKEN", "canary");
    let message = refusal(&[token, ("FLIGHT_ENDPOINT", "grpc://flight.example:8816")]);
    assert!(message.contains("in clear") && !message.contains("canary"), "{message}");
    for endpoint in ["grpc://127.0.0.1:1", "grpc://[::1]:1", "localhost:1", "grpc+tls://flight.example:1"] {
        assert!(config(&[token, ("FLIGHT_ENDPOINT", endpoint)]).is_ok(), "{endpoint}");
    }
}

#[test]
fn the_database_comes_from_the_first_family_that_is_set() {
    let pg = [("PGHOST", "p"), ("PGUSER", "pu")];
    assert_eq!(config(&pg).unwrap().database.describe(), "pu@p:5432/stellar_contracts");
    let db = [("PGHOST", "p"), ("DB_HOST", "d"), ("DB_PORT", "7")];
    assert_eq!(config(&db).unwrap().database.describe(), "postgres@d:7/stellar_contracts");
    let url = [("PGHOST", "p"), ("DB_HOST", "d"), ("DATABASE_URL", "postgres://u@h:9/n")];
    assert_eq!(config(&url).unwrap().database.describe(), "u@h:9/n");
}

#[test]
fn tls_is_verified_unless_the_host_is_this_machine() {
    let mode = |pairs: &[(&str, &str)]| config(pairs).unwrap().database.ssl_mode;
    assert_eq!(mode(&[("DATABASE_URL", "postgres://u@db.example/n")]), SslMode::VerifyFull);
    assert_eq!(mode(&[("DATABASE_URL", "postgres://u@127.0.0.1/n")]), SslMode::Prefer);
    assert_eq!(mode(&[("DATABASE_URL", "host=/run/postgresql")]), SslMode::Prefer);
    assert_eq!(mode(&[("DB_HOST", "db.example"), ("DB_SSLMODE", "require")]), SslMode::Require);
    let c = config(&[(
        "DATABASE_URL",
        "postgres://u@h/n?sslmode=verify-ca&connect_timeout=3&sslrootcert=%2Fca.pem",
    )])
    .unwrap();
    assert_eq!((c.database.ssl_mode, c.database.ca_cert.as_deref()), (SslMode::VerifyCa, Some("/ca.pem")));
    assert_eq!(c.database.postgres.get_connect_timeout(), Some(&Duration::from_secs(3)));
    let c = config(&[("DATABASE_URL", "host=h user=u sslmode=verify-full sslrootcert=/ca.pem")]).unwrap();
    assert_eq!((c.database.ssl_mode, c.database.ca_cert.as_deref()), (SslMode::VerifyFull, Some("/ca.pem")));
}

#[test]
fn no_debug_shows_a_secret() {
    let c = config(&[
        ("DATABASE_URL", "postgres://u:canary1@h/n"),
        ("FLIGHT_TOKEN", "canary2"),
        ("AWS_SECRET_ACCESS_KEY", "canary3"),
    ])
    .unwrap();
    let debug = format!("{c:?}");
    assert!(!debug.contains("canary"), "{debug}");
}

#[test]
fn durations_read_as_people_write_them() {
    let interval = |v| config(&[("COMMIT_INTERVAL", v)]).unwrap().commit_interval;
    assert_eq!(interval("7"), Duration::from_secs(7));
    assert_eq!(interval("1m 30s"), Duration::from_secs(90));
    assert_eq!(interval("0s"), Duration::ZERO);
}
