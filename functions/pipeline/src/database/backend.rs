//! Backends: the server's processes, each of which serves one client, unless a pooler is in between.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use crate::error::{Error, Result};

/// A process of the server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Backend {
    /// Its number, which is used again later.
    pub(super) pid: i32,
    /// When it started.
    pub(super) begun: String,
}

impl Backend {
    /// The statement that ends it.
    pub(super) fn end_sql(&self) -> String {
        let (pid, begun) = (self.pid, self.begun.replace('\'', "''"));
        format!(
            "select pg_terminate_backend(pid) from pg_stat_activity where pid = {pid} and backend_start = '{begun}'"
        )
    }
}

/// The backends of the connections of this process.
static LIVE: Mutex<BTreeSet<Backend>> = Mutex::new(BTreeSet::new());

/// A backend that serves one connection of this process.
#[derive(Debug)]
pub(super) struct Live(Backend);

impl Live {
    /// Notes the backend of a new connection.
    ///
    /// # Errors
    /// [`Error::Database`] when it serves another connection of this process too.
    pub(super) fn new(backend: Backend) -> Result<Self> {
        if LIVE.lock().unwrap_or_else(PoisonError::into_inner).insert(backend.clone()) {
            return Ok(Live(backend));
        }
        Err(pooled())
    }

    /// The backend.
    pub(super) fn backend(&self) -> &Backend {
        &self.0
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        LIVE.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

/// The error that sessions of the server are not ours alone: their locks and settings mean nothing then.
pub(super) fn pooled() -> Error {
    Error::Database {
        action: "use the connection",
        transient: false,
        source: "a pooler in transaction mode is in between: use its session mode, or connect to PostgreSQL directly"
            .into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_serves_one_connection() {
        let backend = Backend { pid: 7, begun: "the beginning".to_owned() };
        let live = Live::new(backend.clone()).unwrap();
        let refused = Live::new(backend.clone()).unwrap_err().chain();
        assert!(refused.contains("transaction mode"), "{refused}");
        drop(live);
        Live::new(backend).unwrap();
    }
}
