//! Transactions: how they begin, how they commit, and the locks that last as long as they do.

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Transaction};

use super::row::get;
use crate::error::{DatabaseContext, Error, Result};

/// A read-write transaction at READ COMMITTED, whatever the server's default: a snapshot taken before the wait for a claim
/// would be stale. A standby refuses it, in words that elsewhere mean a feature that is missing: it may be promoted, or the
/// next connection may lead to the primary, so another attempt may go better.
pub(crate) async fn begin(client: &mut Client) -> Result<Transaction<'_>> {
    let begun = client
        .build_transaction()
        .isolation_level(tokio_postgres::IsolationLevel::ReadCommitted)
        .read_only(false)
        .start()
        .await;
    match begun {
        Err(error) if error.code() == Some(&SqlState::FEATURE_NOT_SUPPORTED) => {
            Err(Error::Database { action: "begin a transaction", transient: true, source: error.into() })
        }
        begun => begun.database("begin a transaction"),
    }
}

/// Takes an advisory lock for as long as the transaction is open, which may idle; `None` when another session holds it.
pub(crate) async fn try_lock<'a>(client: &'a mut Client, name: &str) -> Result<Option<Transaction<'a>>> {
    let tx = client.transaction().await.database("begin a transaction")?;
    let row = tx
        .query_one(
            "select set_config('idle_in_transaction_session_timeout', '0', true),
                    pg_try_advisory_xact_lock(hashtextextended($1, 0)) as held",
            &[&name],
        )
        .await
        .database("take a lock")?;
    // Until the next statement, this one has a snapshot, for which VACUUM and the end of a detach would wait. A simple query
    // leaves none.
    tx.batch_execute("select 1").await.database("take a lock")?;
    Ok(get::<bool>(&row, "held")?.then_some(tx))
}

/// The one place that commits; `action` is what an error says. Its Ok proves nothing: COMMIT answers Ok for a transaction that
/// was aborted before. Callers read back what they wrote.
#[allow(clippy::disallowed_methods, reason = "its callers read back what they wrote")]
pub(crate) async fn commit(tx: Transaction<'_>, action: &'static str) -> Result<()> {
    tx.commit().await.database(action)
}
