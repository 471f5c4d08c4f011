//! The result of a maintenance: steps done, planned or postponed.

use serde::Serialize;
use tokio_postgres::error::SqlState;
use uuid::Uuid;

use crate::contract::tables::Table;
use crate::contract::window::LedgerWindow;
use crate::error::{Error, Result};

/// What maintenance did, or would do in a dry run.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Maintenance {
    /// A dry run: nothing was written.
    pub dry_run: bool,
    /// The current partition and those ahead of it; all exist now.
    pub partitions: Vec<String>,
    /// The partitions that this maintenance created.
    pub made: Vec<String>,
    /// Partitions whose missing or old BRIN summaries or statistics were updated.
    pub tended: Vec<String>,
    /// First retained ledger; `None` keeps everything.
    pub retained_from: Option<i64>,
    /// Dropped partitions.
    pub dropped: Vec<DroppedPartition>,
    /// Objects removed from staging/.
    pub removed: Vec<LeftOver>,
    /// Superseded objects moved out of the archive's dataset, to archive/superseded/.
    pub moved_aside: Vec<Stray>,
    /// Other objects in archive/ that are not the object of a completed window; they stay.
    pub strays: Vec<Stray>,
    /// Steps that were blocked; the next maintenance does them.
    pub postponed: Vec<Postponed>,
}

/// A partition below the retention boundary.
#[derive(Debug, Clone, Serialize)]
pub struct DroppedPartition {
    /// Its name.
    pub partition: String,
    /// Rows, as recorded by its windows.
    pub rows: i64,
    /// Bytes on disk, indexes included.
    pub bytes: i64,
}

/// An object in staging/ that will never be loaded.
#[derive(Debug, Clone, Serialize)]
pub struct LeftOver {
    /// Its name, relative to the staging URL.
    pub object: String,
    /// Its size.
    pub bytes: u64,
    /// Why it will never be loaded.
    pub why: &'static str,
}

/// What a stray is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StrayKind {
    /// Completed windows of other batches have all its ledgers.
    Superseded,
    /// It has ledgers of this database that no completed window has.
    Lost,
    /// Another database wrote it, to which the archive never belonged, or another program.
    Foreign,
    /// It is no object of this loader, or contradicts its name.
    Unreadable,
}

/// An object in archive/ that is not the object of a completed window.
#[derive(Debug, Clone, Serialize)]
pub struct Stray {
    /// Its name, relative to the staging URL.
    pub object: String,
    /// Its size.
    pub bytes: u64,
    /// What it is.
    pub kind: StrayKind,
    /// The same in words, and what to do.
    pub problem: String,
    /// Its ledgers, if its name has any.
    #[serde(flatten)]
    pub window: Option<LedgerWindow>,
    /// The table of its dataset.
    #[serde(skip)]
    pub(super) table: Table,
    /// Its batch, if it is readable.
    #[serde(skip)]
    pub(super) batch_id: Option<Uuid>,
}

/// A step blocked by another session. Not an error: it is transient.
#[derive(Debug, Clone, Serialize)]
pub struct Postponed {
    /// The step.
    pub what: String,
    /// Why it was blocked.
    pub why: String,
}

impl Maintenance {
    /// Leaves a step to the next maintenance.
    pub(super) fn postpone(&mut self, what: impl Into<String>, why: impl Into<String>) {
        let postponed = Postponed { what: what.into(), why: why.into() };
        tracing::warn!(step = "maintain", what = %postponed.what, why = %postponed.why, "postponed");
        self.postponed.push(postponed);
    }

    /// The outcome of a step; `None` if another session blocked it, and the step is postponed.
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

/// Whether the error only means that another session blocked the step for too long.
fn is_busy(error: &Error) -> bool {
    let Error::Database { source, .. } = error else { return false };
    let code = source.downcast_ref::<tokio_postgres::Error>().and_then(tokio_postgres::Error::code);
    [SqlState::LOCK_NOT_AVAILABLE, SqlState::QUERY_CANCELED].iter().any(|busy| code == Some(busy))
}
