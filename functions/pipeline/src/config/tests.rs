//! Every variable: its default, its valid values, and its errors by name.

use super::*;

/// The configuration from pairs of variable and value.
fn config(pairs: &[(&str, &str)]) -> Result<Config> {
    Config::from_lookup(|name| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
}

/// The error message for the pairs.
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
    assert_eq!((c.partition_ledgers, c.metrics_port), (None, 9090));
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
        ("FLIGHT_ENDPOINT", "grpc://host:1/path"),
        ("FLIGHT_ENDPOINT", "host:1?query"),
        ("STAGING_URL", "gs://bucket"),
        ("STAGING_URL", "s3://"),
        ("PARTITION_LEDGERS", "0"),
        ("START_LEDGER", "yesterday"),
        ("LOG_FORMAT", "xml"),
        ("METRICS_PORT", "70000"),
        ("DB_PORT", "99999"),
        ("DB_SSLMODE", "maybe"),
        ("DB_IAM_AUTH", "perhaps"),
        ("FLIGHT_CLIENT_CERT", "cert.pem"),
        ("FLIGHT_CLIENT_KEY", "key.pem"),
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
    assert!(message.contains("unencrypted") && !message.contains("canary"), "{message}");
    for endpoint in ["grpc://127.0.0.1:1", "grpc://[::1]:1", "localhost:1", "grpc+tls://flight.example:1"] {
        assert!(config(&[token, ("FLIGHT_ENDPOINT", endpoint)]).is_ok(), "{endpoint}");
    }
    let of_secret = [("FLIGHT_TOKEN_SECRET_ARN", "s"), ("FLIGHT_ENDPOINT", "grpc://flight.example:8816")];
    assert!(refusal(&of_secret).starts_with("configuration: FLIGHT_TOKEN_SECRET_ARN: would be sent to"));
}

#[test]
fn what_contradicts_is_refused_and_not_half_obeyed() {
    let tls = ("FLIGHT_ENDPOINT", "grpc+tls://h:1");
    let pair = [("FLIGHT_CLIENT_CERT", "c.pem"), ("FLIGHT_CLIENT_KEY", "k.pem")];
    for (pairs, named, reason) in [
        (
            vec![("DB_SECRET_ARN", "s"), ("DB_PASSWORD", "canary")],
            "DB_SECRET_ARN",
            "contradicts the password",
        ),
        (
            vec![("DB_SECRET_ARN", "s"), ("DATABASE_URL", "postgres://u:canary@h/d")],
            "DB_SECRET_ARN",
            "contradicts",
        ),
        (vec![("DB_IAM_AUTH", "true"), ("DB_PASSWORD", "canary")], "DB_IAM_AUTH", "contradicts the password"),
        (vec![("DB_IAM_AUTH", "true"), ("DB_SECRET_ARN", "s")], "DB_IAM_AUTH", "contradicts DB_SECRET_ARN"),
        (
            vec![("DB_IAM_AUTH", "true"), ("DB_HOST", "h"), ("DB_SSLMODE", "disable")],
            "DB_IAM_AUTH",
            "unencrypted",
        ),
        (
            vec![("DB_IAM_AUTH", "true"), ("DB_HOST", "h"), ("DB_SSLMODE", "prefer")],
            "DB_IAM_AUTH",
            "unencrypted",
        ),
        (vec![("DB_IAM_AUTH", "true"), ("DATABASE_URL", "postgres://u@a,b/d")], "DB_IAM_AUTH", "one host"),
        (
            vec![("FLIGHT_TOKEN", "canary"), ("FLIGHT_TOKEN_SECRET_ARN", "s")],
            "FLIGHT_TOKEN_SECRET_ARN",
            "contradicts",
        ),
        (vec![tls, pair[0]], "FLIGHT_CLIENT_CERT", "both or neither"),
        (vec![tls, pair[1]], "FLIGHT_CLIENT_KEY", "both or neither"),
        (pair.to_vec(), "FLIGHT_CLIENT_CERT", "requires TLS"),
    ] {
        let message = refusal(&pairs);
        assert!(message.starts_with(&format!("configuration: {named}: ")), "{pairs:?}: {message}");
        assert!(message.contains(reason) && !message.contains("canary"), "{pairs:?}: {message}");
    }
    config(&[tls, pair[0], pair[1]]).unwrap();
    config(&[("DB_SECRET_ARN", "s"), ("DB_HOST", "h")]).unwrap();
    config(&[("DB_SECRET_ARN", "s"), ("DATABASE_URL", "postgres://h/d")]).unwrap();
}

#[test]
fn a_token_of_rds_goes_to_a_verified_host_unless_told() {
    let mode = |pairs: &[(&str, &str)]| config(pairs).unwrap().database.ssl_mode;
    assert_eq!(mode(&[("DB_IAM_AUTH", "true")]), SslMode::VerifyFull, "localhost may be a tunnel");
    assert_eq!(
        mode(&[("DB_IAM_AUTH", "1"), ("DB_HOST", "h"), ("DB_SSLMODE", "verify-ca")]),
        SslMode::VerifyCa
    );
    assert_eq!(mode(&[("DB_IAM_AUTH", "false")]), SslMode::Prefer);
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
fn hosts_are_read_as_libpq_reads_them() {
    let database = |pairs: &[(&str, &str)]| config(pairs).unwrap().database;
    let hosts = |pairs: &[(&str, &str)]| {
        let database = database(pairs);
        let names = database.postgres.get_hosts().iter().map(|host| match host {
            tokio_postgres::config::Host::Tcp(name) => name.clone(),
            tokio_postgres::config::Host::Unix(path) => path.display().to_string(),
        });
        names.collect::<Vec<_>>()
    };
    assert_eq!(hosts(&[("DB_HOST", "[::1]")]), ["::1"]);
    assert_eq!(database(&[("DB_HOST", "[::1]")]).ssl_mode, SslMode::Prefer);
    let two = [("PGHOST", "a.example,/run/postgresql"), ("PGPORT", "1,2")];
    assert_eq!(hosts(&two), ["a.example", "/run/postgresql"]);
    assert_eq!(database(&two).postgres.get_ports(), [1, 2]);
    // an address alone is the host, and decides how it is verified
    let address = [("DATABASE_URL", "hostaddr=192.0.2.1 user=u")];
    assert_eq!(hosts(&address), ["192.0.2.1"]);
    assert_eq!(database(&address).ssl_mode, SslMode::VerifyFull);
    let hidden = [("DATABASE_URL", "host=localhost hostaddr=192.0.2.1")];
    assert_eq!(database(&hidden).ssl_mode, SslMode::VerifyFull, "the address is not this machine");
}

#[test]
fn the_authorities_of_the_system_want_verify_full() {
    for pairs in [
        [("DATABASE_URL", "host=localhost sslrootcert=system"), ("DB_CA_CERT", "not read")],
        [("DB_HOST", "localhost"), ("DB_CA_CERT", "system")],
    ] {
        let database = config(&pairs).unwrap().database;
        assert_eq!((database.ssl_mode, database.ca_cert), (SslMode::VerifyFull, None));
    }
    let weaker = refusal(&[("DATABASE_URL", "host=h sslmode=require sslrootcert=system")]);
    assert!(weaker.contains("DATABASE_URL: system as the CA file wants sslmode verify-full"), "{weaker}");
}

#[test]
fn a_client_certificate_is_two_files() {
    for (pairs, told) in [
        ([("DB_CLIENT_CERT", "c")], "DB_CLIENT_CERT: requires DB_CLIENT_KEY"),
        ([("PGSSLKEY", "k")], "PGSSLKEY: requires PGSSLCERT"),
        ([("DATABASE_URL", "host=h sslcert=c")], "DATABASE_URL: sslcert: requires DATABASE_URL: sslkey"),
        ([("FLIGHT_CLIENT_KEY", "k")], "FLIGHT_CLIENT_KEY: requires FLIGHT_CLIENT_CERT"),
    ] {
        let refused = refusal(&pairs);
        assert!(refused.contains(told), "{refused}");
    }
}

#[test]
fn no_debug_shows_a_secret() {
    let c = config(&[
        ("DATABASE_URL", "postgres://u:canary1@h/n"),
        ("FLIGHT_TOKEN", "canary2"),
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "canary3"),
        ("AWS_SESSION_TOKEN", "canary4"),
    ])
    .unwrap();
    let debug = format!("{c:?}");
    assert!(!debug.contains("canary"), "{debug}");
    let key = [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "canary")];
    for login in [("DB_IAM_AUTH", "true"), ("DB_SECRET_ARN", "s")] {
        let debug = format!("{:?}", config(&[login, key[0], key[1]]).unwrap());
        assert!(debug.contains("login") && !debug.contains("canary"), "{debug}");
    }
}

#[test]
fn durations_read_as_people_write_them() {
    let interval = |v| config(&[("COMMIT_INTERVAL", v)]).unwrap().commit_interval;
    assert_eq!(interval("7"), Duration::from_secs(7));
    assert_eq!(interval("1m 30s"), Duration::from_secs(90));
    assert_eq!(interval("0s"), Duration::ZERO);
}
