//! Functions and views of the schema: one file each in `sql/functions`, put in place by every `migrate`.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use super::client::{Client, Transaction};
use super::row::get;
use super::sql::{self, FUNCTIONS, Function};
use crate::contract::xdr::base16;
use crate::error::{DatabaseContext, Result};

/// Functions and views that differ from this release: missing, of another release, or changed by hand. In the order of
/// [`FUNCTIONS`].
pub(super) async fn differing(client: &Client) -> Result<Vec<String>> {
    Ok(names(&find_differing(client).await?))
}

/// Creates or replaces the functions and views that differ, and records their digests. The others are left alone, because
/// replacing a view waits for its readers. Functions that this release does not have stay: a loader of another release may
/// call them.
pub(super) async fn apply(tx: &Transaction<'_>) -> Result<Vec<String>> {
    let differing = find_differing(tx.client()).await?;
    for function in &differing {
        tx.batch_execute(function.sql).await.database("create the functions and views")?;
    }
    let mut definitions = definitions(tx.client()).await?;
    for function in &differing {
        tx.execute(
            "insert into contract_data.schema_functions (name, source_digest, definition_digest) values ($1, $2, $3)
             on conflict (name) do update set source_digest = excluded.source_digest,
               definition_digest = excluded.definition_digest, applied_at = excluded.applied_at",
            &[&function.name, &source_digest(function), &definitions.remove(function.name)],
        )
        .await
        .database("record the functions and views")?;
    }
    Ok(names(&differing))
}

/// Compares two digests with those that the last `migrate` recorded: of the file, and of the definition in the database.
async fn find_differing(client: &Client) -> Result<Vec<&'static Function>> {
    let definitions = definitions(client).await?;
    let rows = client
        .query("select name, source_digest, definition_digest from contract_data.schema_functions", &[])
        .await
        .database("read the recorded functions and views")?;
    let mut recorded: HashMap<&str, (String, String)> = HashMap::new();
    for row in &rows {
        recorded.insert(get(row, "name")?, (get(row, "source_digest")?, get(row, "definition_digest")?));
    }
    let in_place = |function: &Function| {
        recorded.get(function.name).is_some_and(|(source, definition)| {
            *source == source_digest(function) && definitions.get(function.name) == Some(definition)
        })
    };
    Ok(FUNCTIONS.iter().filter(|function| !in_place(function)).collect())
}

/// The digest of each definition that the database has, by name.
async fn definitions(client: &Client) -> Result<HashMap<String, String>> {
    let rows = client.query(sql::FUNCTION_DIGESTS, &[]).await.database("read the functions and views")?;
    rows.iter().map(|row| Ok((get(row, "name")?, get(row, "digest")?))).collect()
}

/// Their names, in order.
fn names(functions: &[&Function]) -> Vec<String> {
    functions.iter().map(|function| function.name.to_owned()).collect()
}

/// Hex SHA-256 of the file.
fn source_digest(function: &Function) -> String {
    base16(&Sha256::digest(function.sql))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_file_of_sql_functions_is_applied() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../sql/functions");
        let files: BTreeSet<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        let applied: BTreeSet<_> =
            FUNCTIONS.iter().map(|function| format!("{}.sql", function.name)).collect();
        assert_eq!(files, applied);
    }

    #[test]
    fn each_file_creates_or_replaces_what_it_is_named_for_and_says_what_that_is() {
        for Function { name, sql } in FUNCTIONS {
            let created: Vec<_> = sql.lines().filter(|line| line.starts_with("create ")).collect();
            let [created] = created[..] else { panic!("{name}.sql creates not one thing: {created:?}") };
            let kind = if created.contains(" function ") { "function" } else { "view" };
            let named = created.strip_prefix(&format!("create or replace {kind} contract_data.{name}"));
            assert!(named.is_some_and(|rest| rest.starts_with(['(', ' '])), "{name}.sql: {created}");
            assert!(
                sql.contains(&format!("\ncomment on {kind} contract_data.{name}")),
                "{name}.sql: no comment"
            );
            let definer = sql.contains("security definer");
            let revoked = sql.contains(&format!("\nrevoke all on function contract_data.{name}("));
            assert_eq!(definer, revoked, "{name}.sql: who has the owner's rights is not for everybody");
        }
    }
}
