//! docs/queries.md: for each query in sql/queries, the document shows PostgreSQL's answer.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use chrono::DateTime;
use flight_source::{Chain, ChainSpec, Server, ServerOptions};
use testkit::database::rows;

use crate::support::World;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// When the chain's last ledger closed; the current time of the document's queries.
const NOW: &str = "2026-01-01T00:00:00Z";

/// One recipe as the document shows it.
#[derive(Debug)]
struct Sample {
    /// `-v name=value` of its command.
    variables: Vec<(String, String)>,
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// The section of a recipe: its command in a block of sh, its answer in a block of text.
fn sample(document: &str, recipe: &str) -> Sample {
    let heading = format!("\n### {recipe}\n");
    let section =
        document.split_once(&heading).unwrap_or_else(|| panic!("docs/queries.md has no {recipe}")).1;
    let section = section.split("\n#").next().unwrap();
    let block = |language: &str| -> &str {
        let after = section.split_once(&format!("```{language}\n"));
        let after = after.unwrap_or_else(|| panic!("docs/queries.md shows no {language} of {recipe}"));
        after.1.split_once("```").unwrap().0
    };
    let command = block("sh");
    assert!(command.trim_end().ends_with(&format!("-f sql/queries/{recipe}")), "{recipe}: {command}");
    let words = command.split("-v ").skip(1).map(|word| word.split_whitespace().next().unwrap());
    let variables = words.map(|word| word.split_once('=').unwrap());
    let cells = |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let mut lines = block("text").lines();
    let columns = cells(lines.next().unwrap());
    assert!(lines.next().is_some_and(|rule| rule.starts_with("--")), "{recipe}: no rule under the columns");
    // psql shows null as nothing, the test's client as a dash
    let shown = |cell: String| if cell.is_empty() { "-".to_owned() } else { cell };
    let rows: Vec<Vec<String>> = lines.map(|line| cells(line).into_iter().map(shown).collect()).collect();
    assert!(!rows.is_empty(), "docs/queries.md shows no rows of {recipe}");
    Sample { variables: variables.map(|(n, v)| (n.to_owned(), v.to_owned())).collect(), columns, rows }
}

/// Serves the chain that the document names, and loads all of it.
async fn loaded() -> World {
    let spec = ChainSpec {
        seed: 7,
        first_ledger: 50_000_000,
        ledgers: 600,
        rows_per_ledger: 25,
        started_at: DateTime::parse_from_rfc3339(NOW).unwrap().into(),
        tip: None,
        tip_every: None,
        tip_closed_at: DateTime::parse_from_rfc3339(NOW).unwrap().into(),
        ledger_seconds: 60,
        network_passphrase: pipeline::PUBNET.to_owned(),
    };
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let options = ServerOptions { listen, batch_rows: 4096, endpoints: 1, token: None };
    let server = Server::bind(Arc::new(Chain::new(&spec).unwrap()), options).await.unwrap();
    let world = World::at(&format!("http://{}", server.local_addr().unwrap())).await;
    tokio::spawn(server.serve(std::future::pending()));
    world.set("WINDOW_LEDGERS", "200");
    world.set("FLIGHT_TIMEOUT", "30s");
    for start in [50_000_000, 50_000_200, 50_000_400] {
        world.replay(start, start + 199).await.unwrap();
    }
    world
}

#[tokio::test]
async fn every_recipe_answers_what_the_document_shows() {
    let document = std::fs::read_to_string(Path::new(ROOT).join("docs/queries.md")).unwrap();
    let world = loaded().await;
    let session = world.database.connect().await;
    session.batch_execute("set timezone = 'UTC'").await.unwrap();
    let mut recipes = 0;
    let mut differences = Vec::new();
    let mut files: Vec<_> = std::fs::read_dir(Path::new(ROOT).join("sql/queries")).unwrap().collect();
    files.sort_by_key(|file| file.as_ref().unwrap().file_name());
    for file in files {
        let path = file.unwrap().path();
        let recipe = path.file_name().unwrap().to_str().unwrap().to_owned();
        let sample = sample(&document, &recipe);
        let mut sql = std::fs::read_to_string(&path).unwrap();
        for (name, value) in &sample.variables {
            assert!(sql.contains(&format!(":'{name}'")), "{recipe} has no variable {name}");
            sql = sql.replace(&format!(":'{name}'"), &format!("'{value}'"));
        }
        assert!(!sql.contains(":'"), "{recipe}: a variable without a value");
        let sql = sql.replace("NOW()", &format!("timestamptz '{NOW}'"));
        let sql = sql.trim().trim_end_matches(';');
        let shown = sample.columns.join(", ");
        let limit = sample.rows.len();
        let found = rows(&session, &format!("select {shown} from ({sql}\n) as recipe limit {limit}")).await;
        let expected: Vec<String> = sample.rows.iter().map(|row| row.join(" | ")).collect();
        if found != expected {
            differences.push(format!("{recipe}\n{}\n", found.join("\n")));
        }
        recipes += 1;
    }
    let digests = "select start_ledger || '-' || end_ledger, left(rows_digest, 16)
                   from contract_data.ingestion_progress order by start_ledger";
    for window in rows(&session, digests).await {
        let (ledgers, digest) = window.split_once(" | ").unwrap();
        let line = document.lines().find(|line| line.contains(&format!("{ledgers}.parquet")));
        assert!(
            line.is_some_and(|line| line.contains(digest)),
            "the footer of {ledgers} has {digest}: {line:?}"
        );
    }
    assert!(recipes >= 8, "{recipes} recipes are not all");
    assert!(
        differences.is_empty(),
        "docs/queries.md shows another answer than PostgreSQL:\n{}",
        differences.join("\n")
    );
}
