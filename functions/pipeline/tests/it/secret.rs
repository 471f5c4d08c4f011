//! Secrets of a real Secrets Manager: read once, cached, and read once more when they are refused.

use std::sync::Arc;

use pipeline::{Clients, Config, Error, LedgerWindow, ReplayOptions, Report, Result};
use testkit::{Chain, Database, PrivateServer, Request, Row, Secret, Source};
use url::Url;

use crate::support::World;

/// A database whose login is in a secret, on a private server.
struct Guarded {
    server: PrivateServer,
    database: Database,
    secret: Secret,
}

impl Guarded {
    /// A role with this password, which the secret knows.
    async fn with_password(password: &str) -> Guarded {
        let server = PrivateServer::start(&[]);
        let database = Database::create_on(server.url()).await;
        let secret = Secret::create(&login(password)).await;
        database.execute(&format!("create role guarded superuser login password '{password}'")).await;
        Guarded { server, database, secret }
    }

    async fn set_password(&self, password: &str) {
        self.database.execute(&format!("alter role guarded password '{password}'")).await;
    }

    fn config(&self) -> Config {
        let url = Url::parse(self.server.url()).unwrap();
        let mut variables = self.secret.env();
        for (name, value) in [
            ("DB_SECRET_ARN", self.secret.arn()),
            ("DB_HOST", url.host_str().unwrap()),
            ("DB_PORT", &url.port().unwrap().to_string()),
            ("DB_NAME", self.database.name()),
        ] {
            variables.push((name.to_owned(), value.to_owned()));
        }
        configured(variables)
    }
}

fn login(password: &str) -> String {
    format!(r#"{{"username":"guarded","password":"{password}","engine":"postgres"}}"#)
}

fn configured(variables: Vec<(String, String)>) -> Config {
    Config::from_lookup(|name| variables.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone())).unwrap()
}

async fn replay(config: &Config, start: u32, end: u32) -> Result<Report> {
    let range = LedgerWindow::new(start, end).unwrap();
    pipeline::replay(
        &Clients::open(config.clone()).unwrap(),
        range,
        ReplayOptions::default(),
        None,
        Arc::new(|_| {}),
    )
    .await
}

#[tokio::test]
async fn a_rotated_password_is_read_again_and_only_then() {
    let guarded = Guarded::with_password("first").await;
    let config = guarded.config();
    assert_eq!(guarded.secret.reads(), 0, "nothing is read before a connection is wanted");
    pipeline::migrate(&config).await.unwrap();
    pipeline::status(&config).await.unwrap();
    assert_eq!(
        guarded.secret.reads(),
        1,
        "several connections, and a clone of the configuration, share one reading"
    );

    guarded.set_password("second").await;
    guarded.secret.put(&login("second")).await;
    let both = tokio::join!(pipeline::status(&config), pipeline::status(&config));
    both.0.unwrap();
    both.1.unwrap();
    assert_eq!(guarded.secret.reads(), 2, "who is refused second finds what the first has read");
    pipeline::status(&config).await.unwrap();
    assert_eq!(guarded.secret.reads(), 2);
}

#[tokio::test]
async fn a_password_that_stays_wrong_is_an_error_after_two_readings() {
    let guarded = Guarded::with_password("right").await;
    guarded.secret.put(&login("wrong")).await;
    let config = guarded.config();
    let error = pipeline::migrate(&config).await.unwrap_err();
    assert!(matches!(error, Error::Database { transient: false, .. }), "{error:?}");
    assert!(
        error.chain().contains("password authentication failed for user \"guarded\""),
        "{}",
        error.chain()
    );
    assert_eq!(guarded.secret.reads(), 2);

    // Rotated to another wrong value between the readings: tried, and refused.
    let config = guarded.config();
    pipeline::migrate(&config).await.unwrap_err();
    guarded.secret.put(&login("wrong too")).await;
    pipeline::migrate(&config).await.unwrap_err();
    assert_eq!(guarded.secret.reads(), 5);
}

#[tokio::test]
async fn trouble_with_aws_is_told_from_a_secret_that_is_not_there() {
    let secret = Secret::create("not json").await;
    let with = |changes: &[(&str, &str)]| {
        let mut variables = secret.env();
        variables.push(("DB_SECRET_ARN".to_owned(), secret.arn().to_owned()));
        for (name, value) in changes {
            variables.retain(|(n, _)| n != name);
            variables.push(((*name).to_owned(), (*value).to_owned()));
        }
        configured(variables)
    };
    let missing = pipeline::check(&with(&[("DB_SECRET_ARN", "cdl-test-no-such-secret")])).await.unwrap_err();
    assert!(matches!(missing, Error::Config { .. }), "{missing:?}");
    let told = missing.chain();
    assert!(
        told.contains("DB_SECRET_ARN: cannot read the secret cdl-test-no-such-secret: ResourceNotFound"),
        "{told}"
    );

    let bad = pipeline::check(&with(&[])).await.unwrap_err();
    assert!(bad.chain().contains("the secret is not a JSON object"), "{}", bad.chain());

    let closed = testkit::port::closed_port();
    let nowhere = format!("http://{}", closed.address());
    let error = pipeline::check(&with(&[("AWS_ENDPOINT_URL_SECRETS_MANAGER", &nowhere)])).await.unwrap_err();
    assert!(matches!(error, Error::Database { transient: true, .. }), "{error:?}");
    assert!(error.chain().contains("refused"), "{}", error.chain());
}

#[tokio::test]
async fn a_rotated_token_is_read_again_and_only_then() {
    let source = Source::of_rows((1..=30).map(Row::at).collect());
    source.require_token("first");
    let world = World::around(&source).await;
    let secret = Secret::create(" first\n").await;
    for (name, value) in secret.env() {
        world.set(&name, &value);
    }
    world.set("FLIGHT_TOKEN_SECRET_ARN", secret.arn());
    let config = world.config();
    replay(&config, 1, 10).await.unwrap();
    assert_eq!(secret.reads(), 1);

    source.require_token("second");
    secret.put("second").await;
    replay(&config, 11, 20).await.unwrap();
    assert_eq!(secret.reads(), 2);

    source.require_token("third");
    let error = replay(&config, 21, 30).await.unwrap_err();
    assert!(matches!(error, Error::Source { transient: false, .. }), "{error:?}");
    assert!(error.chain().contains("no such token"), "{}", error.chain());
    assert_eq!(secret.reads(), 3, "read again once, and then the source's word stands");
    world.verified().await;
}

#[tokio::test]
async fn a_token_is_renewed_in_the_middle_of_a_window() {
    let source = Arc::new(Source::of_rows((1..=10).map(Row::at).collect()));
    let world = World::around(&source).await;
    let secret = Secret::create("first").await;
    for (name, value) in secret.env() {
        world.set(&name, &value);
    }
    world.set("FLIGHT_TOKEN_SECRET_ARN", secret.arn());
    // DoGet no longer accepts the token that GetFlightInfo accepted.
    source.require_token("first");
    let honest = Chain::of_rows((1..=10).map(Row::at).collect());
    let weak = Arc::downgrade(&source);
    source.answer_with(move |request| {
        if let (Request::Window { .. }, Some(source)) = (request, weak.upgrade()) {
            source.require_token("second");
        }
        honest.answer(request)
    });
    secret.put("first").await;
    let config = world.config();
    // The first reading is "first"; from then on the secret is "second".
    pipeline::status(&config).await.unwrap();
    secret.put("second").await;
    replay(&config, 1, 10).await.unwrap();
    assert_eq!(secret.reads(), 2);
    assert_eq!(source.drains(), 2, "refused once, drained once");
    world.verified().await;
}
