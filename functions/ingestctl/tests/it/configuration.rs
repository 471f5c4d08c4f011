//! Usage and configuration: exit code 2 before any I/O, and the message names the variable.

use testkit::Program;

use crate::support::{World, complaint};

#[tokio::test]
async fn a_command_line_that_cannot_be_meant_is_exit_code_2() {
    let world = World::new(1..=16).await;
    let lines = [
        ("replay -s 1 -e 2 --frobnicate", "--frobnicate"),
        ("replay -s 1", "--end-ledger"),
        ("replay -s -5 -e 2", "-5"),
        ("replay -s 1 -e 4294967296", "4294967296"),
        ("replay -s one -e 2", "one"),
        ("verify -s 1", "--end-ledger"),
        ("lead", "lead"),
        ("", "Usage"),
    ];
    for (line, named) in lines {
        let output = world.ingestctl(line).run().await.expect_code(2);
        assert!(output.stderr.contains(named), "{line}: {}", output.stderr);
        assert!(!output.stderr.contains("panicked"), "{}", output.stderr);
        assert_eq!(output.stdout, "", "{line}");
    }
    for line in ["replay -s 9 -e 8", "replay -s 9 -e 8 --dry-run", "verify -s 9 -e 8"] {
        let told = world.fails(line, &[], 2).await;
        let sentence = "the range 9 to 8 is reversed: the start ledger must not exceed the end ledger";
        assert_eq!(told, format!("ingestctl: {sentence}"));
    }
    assert_eq!(world.source.requests(), []);
    world.expect_nothing().await;
}

#[tokio::test]
async fn a_value_that_does_not_parse_names_its_variable() {
    let world = World::new(1..=16).await;
    let wrong = [
        ("DATABASE_URL", "postgresql://localhost:port/x"),
        ("DATABASE_URL", "postgresql://localhost/x?sslmode=maybe"),
        ("FLIGHT_ENDPOINT", "ftp://localhost:8816"),
        ("FLIGHT_ENDPOINT", "http://user:secret@localhost:8816"),
        ("FLIGHT_TIMEOUT", "soon"),
        ("FLIGHT_TIMEOUT", "0"),
        ("FLIGHT_TRUST_END", "perhaps"),
        ("STAGING_URL", "/tmp/staging"),
        ("STAGING_URL", "s3://"),
        ("NETWORK", "mainnet"),
        ("NETWORK", "../pubnet"),
        ("NETWORK_PASSPHRASE", "Test SDF Network ; September 2015"),
        ("START_LEDGER", "second"),
        ("START_LEDGER", "4294967296"),
        ("WINDOW_LEDGERS", "0"),
        ("WINDOW_LEDGERS", "many"),
        ("MAX_WINDOWS", "-1"),
        ("BATCH_SIZE", "0"),
        ("COMMIT_INTERVAL", "5 parsecs"),
        ("MAX_RETRIES", "-1"),
        ("PARTITION_LEDGERS", "0"),
        ("LOG_LEVEL", "info,,=x=y"),
        ("LOG_FORMAT", "xml"),
        ("DB_IAM_AUTH", "true"),
    ];
    for (name, value) in wrong {
        let program = world.ingestctl("run").env("LOG_LEVEL", "error").env(name, value);
        let told = complaint(&program.run().await.expect_code(2));
        assert!(told.starts_with(&format!("ingestctl: configuration: {name}: ")), "{name}={value}: {told}");
        assert!(!told.contains("secret"), "{told}");
    }
    assert_eq!(world.source.requests(), []);
    world.expect_nothing().await;
}

#[tokio::test]
async fn a_token_never_goes_in_clear_to_another_host() {
    let world = World::new(1..=16).await;
    let variables = [("FLIGHT_ENDPOINT", "http://192.0.2.1:8816"), ("FLIGHT_TOKEN", "canary")];
    let told = world.fails("run", &variables, 2).await;
    assert!(
        told.starts_with("ingestctl: configuration: FLIGHT_TOKEN: would be sent to")
            && !told.contains("canary"),
        "{told}"
    );
}

#[tokio::test]
async fn the_three_families_of_database_variables_lead_to_the_same_place() {
    let world = World::new(1..=16).await;
    let url = world.database.url();
    let rest = url.split_once("://").unwrap().1;
    let (login, place) = rest.split_once('@').unwrap();
    let (user, password) = login.split_once(':').unwrap();
    let (address, name) = place.split_once('/').unwrap();
    let (host, port) = address.split_once(':').unwrap();
    let families = [
        ["DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "DB_PASSWORD"],
        ["PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGPASSWORD"],
    ];
    for family in families {
        let values = [host, port, name, user, password];
        let status = Program::new(env!("CARGO_BIN_EXE_ingestctl")).args(["status", "--json"]);
        status.envs(family.into_iter().zip(values)).run().await.expect_code(0);
    }
    let keywords =
        format!("host={host} port={port} dbname={name} user={user} password={password} sslmode=prefer");
    world.ingestctl("status").env("DATABASE_URL", keywords).run().await.expect_code(0);
}
