//! Transactions: begin, commit, and transaction-level locks.

use tokio_postgres::error::SqlState;

use super::client::{Client, Failure, Transaction};
use super::row::get;
use crate::error::{DatabaseContext, Error, Result};

/// A read-write transaction at READ COMMITTED, regardless of the server's default: a snapshot taken before the wait for
/// a claim would be stale. A standby refuses it with an error code that usually means a missing feature. This counts as
/// transient, because the standby may be promoted, or the next connection may reach the primary.
pub(crate) async fn begin(client: &mut Client) -> Result<Transaction<'_>> {
    let begun = client.transaction("begin isolation level read committed, read write").await;
    match begun {
        Err(Failure::Answer(error)) if error.code() == Some(&SqlState::FEATURE_NOT_SUPPORTED) => {
            Err(Error::Database { action: "begin a transaction", transient: true, source: error.into() })
        }
        begun => begun.database("begin a transaction"),
    }
}

/// Takes an advisory lock for the duration of the transaction, which may idle; `None` when another session holds the
/// lock.
pub(crate) async fn try_lock<'a>(client: &'a mut Client, name: &str) -> Result<Option<Transaction<'a>>> {
    let tx = client.transaction("begin").await.database("begin a transaction")?;
    let row = tx
        .query_one(
            "select set_config('idle_in_transaction_session_timeout', '0', true),
                    pg_try_advisory_xact_lock(hashtextextended($1, 0)) as held",
            &[&name],
        )
        .await
        .database("take a lock")?;
    // The statement above keeps a snapshot until the next statement, and VACUUM and DETACH would wait for it. A simple
    // query leaves none.
    tx.batch_execute("select 1").await.database("take a lock")?;
    Ok(get::<bool>(&row, "held")?.then_some(tx))
}

/// The only place that commits; `action` is for the error. Its Ok proves nothing: COMMIT answers Ok even for an aborted
/// transaction. Callers read back what they wrote.
pub(crate) async fn commit(tx: Transaction<'_>, action: &'static str) -> Result<()> {
    tx.commit().await.database(action)
}
