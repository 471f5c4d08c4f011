//! An empty database per test, on the PostgreSQL that tests share.

use std::future::Future;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};
use url::Url;
use uuid::Uuid;

use crate::servers;

/// Names contain the second of their creation, so that a later run can find leftovers of a crashed one.
const PREFIX: &str = "cdl_test_";
const LEFT_OVER: Duration = Duration::from_secs(2 * 60 * 60);
/// Creating a database can fail briefly while another session uses the template or the server is full.
const ATTEMPTS: u32 = 40;
const DROP_TIMEOUT: Duration = Duration::from_secs(20);

/// A private database, dropped with this value.
#[derive(Debug)]
pub struct Database {
    server: Url,
    name: String,
}

impl Database {
    /// Creates one on the shared PostgreSQL. Without that server, the test fails.
    pub async fn create() -> Database {
        Database::create_on(&servers::postgres()).await
    }

    /// Creates one on the server of this URL, whose database is only used to connect.
    pub async fn create_on(server: &str) -> Database {
        let server = Url::parse(server).expect("a URL postgresql://…");
        let client = connect(server.as_str()).await;
        sweep(&client).await;
        let name = format!("{PREFIX}{}_{}", now(), Uuid::new_v4().simple());
        for attempt in 1.. {
            match client.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE template0")).await {
                Ok(()) => break,
                Err(error) if attempt < ATTEMPTS && passes(&error) => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Err(error) => panic!("cannot create the database of the test: {error:?}"),
            }
        }
        Database { server, name }
    }

    /// The URL of this database.
    pub fn url(&self) -> String {
        let mut url = self.server.clone();
        url.set_path(&self.name);
        url.to_string()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A new session.
    pub async fn connect(&self) -> Client {
        connect(&self.url()).await
    }

    /// Each row of the answer as `a | b | c`, null as `-`, values as PostgreSQL writes them.
    pub async fn rows(&self, sql: &str) -> Vec<String> {
        rows(&self.connect().await, sql).await
    }

    /// The one value that the query answers.
    pub async fn value(&self, sql: &str) -> String {
        let mut rows = self.rows(sql).await;
        assert_eq!(rows.len(), 1, "one row from: {sql}");
        rows.remove(0)
    }

    /// Runs these statements.
    pub async fn execute(&self, sql: &str) {
        let done = self.connect().await.batch_execute(sql).await;
        done.unwrap_or_else(|error| panic!("{error:?} in: {sql}"));
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (server, name) = (self.server.to_string(), self.name.clone());
        let dropped = std::thread::spawn(move || {
            apart(async move {
                // The server may be gone: then so is the database.
                let Ok(client) = try_connect(&server).await else { return true };
                let dropped = tokio::time::timeout(DROP_TIMEOUT, drop_database(&client, &name)).await;
                matches!(dropped, Ok(Ok(())))
            })
        });
        if !dropped.join().unwrap_or(false) {
            eprintln!("{} is left", self.name);
        }
    }
}

/// Each row of the answer as `a | b | c`, null as `-`, within the session of the caller.
pub async fn rows(client: &Client, sql: &str) -> Vec<String> {
    let messages = client.simple_query(sql).await;
    let messages = messages.unwrap_or_else(|error| panic!("{error:?} in: {sql}"));
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => {
            let columns: Vec<&str> = (0..row.len()).map(|n| row.get(n).unwrap_or("-")).collect();
            Some(columns.join(" | "))
        }
        _ => None,
    });
    rows.collect()
}

/// A session on the database behind this URL; the test fails where there is none.
pub async fn connect(url: &str) -> Client {
    try_connect(url).await.unwrap_or_else(|error| panic!("no database for the tests: {error:?}"))
}

async fn try_connect(url: &str) -> Result<Client, tokio_postgres::Error> {
    let mut config: tokio_postgres::Config = url.parse()?;
    let (client, connection) = config.connect_timeout(Duration::from_secs(10)).connect(NoTls).await?;
    tokio::spawn(connection); // its errors reach the user of the client
    Ok(client)
}

/// Drops leftovers of crashed runs; errors are ignored, because another process may do the same.
async fn sweep(client: &Client) {
    let names =
        rows(client, &format!("SELECT datname FROM pg_database WHERE starts_with(datname, '{PREFIX}')"))
            .await;
    for name in names {
        let created = name[PREFIX.len()..].split('_').next().and_then(|second| second.parse::<u64>().ok());
        if created.is_some_and(|second| second + LEFT_OVER.as_secs() < now()) {
            let _ = drop_database(client, &name).await;
        }
    }
}

async fn drop_database(client: &Client, name: &str) -> Result<(), tokio_postgres::Error> {
    client.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await
}

fn passes(error: &tokio_postgres::Error) -> bool {
    let code = error.code();
    [SqlState::OBJECT_IN_USE, SqlState::TOO_MANY_CONNECTIONS].iter().any(|passing| code == Some(passing))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

/// Runs a future on a new runtime, for a thread without one.
fn apart<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(future)
}
