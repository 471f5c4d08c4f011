//! What a maintenance did, would do, or left to the next one.

use serde::Serialize;
use tokio_postgres::error::SqlState;

use crate::error::{Error, Result};

/// What a maintenance did, or, dry, would do.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Maintenance {
    /// Nothing was written: what follows would be done.
    pub dry_run: bool,
    /// The partition in use and those ahead of it: all there now.
    pub partitions: Vec<String>,
    /// Those of them that this maintenance made.
    pub made: Vec<String>,
    /// Partitions that got BRIN summaries or statistics, for some were missing or old.
    pub tended: Vec<String>,
    /// First ledger of the history that is kept; `None` keeps everything.
    pub retained_from: Option<i64>,
    /// Partitions that were dropped.
    pub dropped: Vec<DroppedPartition>,
    /// Objects that were removed from staging/.
    pub removed: Vec<LeftOver>,
    /// What could not be done now: the next maintenance goes on with it.
    pub postponed: Vec<Postponed>,
}

/// A partition below the retained ledgers.
#[derive(Debug, Clone, Serialize)]
pub struct DroppedPartition {
    /// Its name.
    pub partition: String,
    /// Rows, as the windows in it were recorded.
    pub rows: i64,
    /// Bytes on disk, indexes included.
    pub bytes: i64,
}

/// An object in staging/ that nobody will load.
#[derive(Debug, Clone, Serialize)]
pub struct LeftOver {
    /// Its name, relative to the staging URL.
    pub object: String,
    /// Its size.
    pub bytes: u64,
    /// Why nobody will.
    pub why: &'static str,
}

/// Something that another session is in the way of. No error: it passes.
#[derive(Debug, Clone, Serialize)]
pub struct Postponed {
    /// What was to be done.
    pub what: String,
    /// Why it could not be.
    pub why: String,
}

impl Maintenance {
    /// Leaves something to the next maintenance.
    pub(super) fn postpone(&mut self, what: impl Into<String>, why: impl Into<String>) {
        let postponed = Postponed { what: what.into(), why: why.into() };
        tracing::warn!(step = "maintain", what = %postponed.what, why = %postponed.why, "postponed");
        self.postponed.push(postponed);
    }

    /// The outcome of a step; one that only another session was in the way of is postponed, and `None`.
    pub(super) fn unless_busy<T>(
        &mut self,
        what: impl Into<String>,
        outcome: Result<T>,
    ) -> Result<Option<T>> {
        match outcome {
            Ok(done) => Ok(Some(done)),
            Err(error) if is_busy(&error) => {
                self.postpone(what, error.chain());
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// Whether all that went wrong is that another session was in the way for too long.
fn is_busy(error: &Error) -> bool {
    let Error::Database { source, .. } = error else { return false };
    let code = source.downcast_ref::<tokio_postgres::Error>().and_then(tokio_postgres::Error::code);
    [SqlState::LOCK_NOT_AVAILABLE, SqlState::QUERY_CANCELED].iter().any(|busy| code == Some(busy))
}
