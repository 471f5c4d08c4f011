//! Snapshot: the state at a checkpoint of the network, loaded as the state below the first window.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::budget::Budget;
use super::context::{Clients, Context};
use super::ownership::own_archive;
use super::recover::archive_snapshot;
use super::window::{remove_sides, stage_target};
use crate::contract::checkpoint::Checkpoint;
use crate::contract::evidence::RowSource;
use crate::contract::tables::Table;
use crate::contract::window::LedgerWindow;
use crate::database::snapshot::{self, StoredSnapshot, load_snapshot};
use crate::database::{Client, LONG_WORK, connect};
use crate::error::{Error, Result};
use crate::metrics;
use crate::report::{Event, Watch};
use crate::retry::retry;
use crate::source::{OfferedWindow, drain};
use crate::store::StagedObject;
use crate::store::archive::{archived_snapshot, remove_staged};
use crate::store::footer::SnapshotFacts;
use crate::store::stage::{StageTarget, Staged, stage};

/// Which state to begin with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SnapshotOptions {
    /// The checkpoint; `None` for the newest.
    pub ledger: Option<u32>,
    /// From the archive under `STAGING_URL`, without the source.
    pub from_archive: bool,
}

/// The result of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SnapshotReport {
    /// The checkpoint: windows begin at the next ledger.
    pub ledger: u32,
    /// Hex hash of the whole state of the network, which the source has proven the rows by.
    pub bucket_list_hash: String,
    /// Contract data entries.
    pub rows: u64,
    /// Whether this call loaded it; if not, it was there already.
    pub loaded: bool,
    /// Where it is, relative to the staging URL.
    pub object: String,
}

/// Entries that a function may stage and load per second, at least: what takes longer than its time is refused before it begins.
const ENTRIES_PER_SECOND: u64 = 5_000;

/// Loads the state at a checkpoint into a database without windows at or below it: windows begin at the ledger after it.
///
/// `until`: when the host ends. A state that cannot be loaded by then is refused.
///
/// # Errors
/// [`Error::Usage`] when the state would contradict what is loaded; as for [`run`](super::run) otherwise.
pub async fn snapshot(
    clients: &Arc<Clients>,
    options: SnapshotOptions,
    until: Option<Instant>,
    watch: Watch,
) -> Result<SnapshotReport> {
    let budget = Arc::new(Budget::until(until));
    let work = async {
        let (context, client) = Context::open(clients, &budget, crate::source::Trust::Nothing).await?;
        take(&context, &client, options, &watch).await
    };
    let outcome = Box::pin(budget.bound(work)).await;
    if budget.ends() {
        clients.sessions.settle().await;
    }
    clients.sessions.end_abandoned().await;
    outcome.unwrap_or_else(|| {
        metrics::failed();
        Err(Error::OutOfTime { seconds: budget.spent().as_secs() })
    })
}

/// Loads a snapshot unless the database has one, and archives it.
pub(super) async fn take(
    context: &Context,
    client: &Client,
    options: SnapshotOptions,
    watch: &Watch,
) -> Result<SnapshotReport> {
    if let Some(stored) = snapshot::stored(client).await? {
        return already_there(context, stored, options).await;
    }
    let object = if options.from_archive {
        let (store, network) = (context.store(), context.network());
        let archived = archived_snapshot(store, network, options.ledger).await?;
        archived.ok_or_else(|| Error::Usage("the archive has no such snapshot".to_owned()))?
    } else {
        own_archive(context, client).await?;
        stage_snapshot(context, client, options.ledger, watch).await?
    };
    let ledger = object.footer.start_ledger;
    snapshot::check_absent(client, ledger, context.settings.retained_from).await?;
    let source = if options.from_archive { RowSource::Archive } else { RowSource::Flight };
    watch(Event::Loading);
    let begun = Instant::now();
    let load = |_| async {
        let mut client = connect(&context.clients.config.database).await?;
        client.limit(LONG_WORK).await?;
        load_snapshot(&mut client, context.store(), &object, source).await
    };
    retry(context.clients.config.max_retries, "load", load).await?;
    // The first session has been idle meanwhile and may have died.
    let stored = snapshot::stored(&*context.session().await?).await?;
    let stored = stored.ok_or_else(|| Error::Unexpected("the snapshot is not recorded".to_owned()))?;
    if stored.batch_id != object.footer.batch_id {
        if !options.from_archive {
            remove_staged(context.store(), &object.path).await?;
        }
        return already_there(context, stored, options).await;
    }
    tracing::info!(
        step = "load",
        checkpoint = ledger,
        rows = stored.rows,
        bucket_list_hash = stored.bucket_list_hash,
        duration_ms = begun.elapsed().as_millis() as u64,
        "loaded the snapshot"
    );
    let object = archive_snapshot(context, &stored).await?;
    Ok(SnapshotReport { object, loaded: true, ..report_of(&stored) })
}

fn report_of(stored: &StoredSnapshot) -> SnapshotReport {
    SnapshotReport {
        ledger: stored.ledger,
        bucket_list_hash: stored.bucket_list_hash.clone(),
        rows: stored.rows,
        loaded: false,
        object: stored.object.clone(),
    }
}

/// Reports the snapshot that the database has, if it is the one that is wanted; archives it if that was cut short.
async fn already_there(
    context: &Context,
    stored: StoredSnapshot,
    options: SnapshotOptions,
) -> Result<SnapshotReport> {
    if let Some(wanted) = options.ledger.filter(|wanted| *wanted != stored.ledger) {
        return Err(Error::Usage(format!(
            "this database begins with the state at checkpoint {}, and cannot begin with that at {wanted} too",
            stored.ledger
        )));
    }
    let object = archive_snapshot(context, &stored).await?;
    Ok(SnapshotReport { object, ..report_of(&stored) })
}

/// Drains and stages all tables of the state at a checkpoint.
async fn stage_snapshot(
    context: &Context,
    client: &Client,
    wanted: Option<u32>,
    watch: &Watch,
) -> Result<StagedObject> {
    let ledger = match wanted {
        Some(ledger) => ledger,
        None => context.retry("ask the source", |_| context.flight.checkpoints()).await?.newest_ledger,
    };
    // In vain otherwise, and it may take long.
    snapshot::check_absent(client, ledger, context.settings.retained_from).await?;
    context.retry("drain", |_| stage_once(context, ledger, watch)).await
}

/// One attempt. The other tables come before `data`, whose object names theirs.
async fn stage_once(context: &Context, ledger: u32, watch: &Watch) -> Result<StagedObject> {
    let begun = Instant::now();
    let (checkpoint, offered) = context.flight.state(Table::Data, ledger).await?;
    let rows = offered.rows().unwrap_or(0);
    refuse_if_too_long(context, ledger, rows)?;
    watch(Event::Counted(rows));
    let Checkpoint { bucket_list_hash, protocol, .. } = checkpoint.clone();
    let mut target = StageTarget {
        snapshot: Some(SnapshotFacts { bucket_list_hash, protocol }),
        ..stage_target(context, false)
    };
    let staged = stage_tables(context, &mut target, &checkpoint, offered, watch).await;
    if staged.is_err() {
        remove_sides(context, &target, LedgerWindow::single(ledger)).await;
    }
    let object = staged?;
    tracing::info!(
        step = "stage",
        checkpoint = ledger,
        rows = object.footer.rows,
        object_bytes = object.bytes,
        duration_ms = begun.elapsed().as_millis() as u64,
        "staged the snapshot"
    );
    Ok(object)
}

async fn stage_tables(
    context: &Context,
    target: &mut StageTarget,
    checkpoint: &Checkpoint,
    offered: OfferedWindow,
    watch: &Watch,
) -> Result<StagedObject> {
    for table in offered.sides.clone() {
        let (other, side) = context.flight.state(table, checkpoint.ledger).await?;
        if other != *checkpoint {
            return Err(Error::source_transient(format!(
                "declares {} of another state at checkpoint {} than its entries",
                table.name(),
                checkpoint.ledger
            )));
        }
        let object = stage_table(context, &target.of(table), side, None).await?;
        target.sides.push(object.as_side());
    }
    stage_table(context, target, offered, Some(watch)).await
}

/// Drains and stages one table; bad data leaves nothing, because the checkpoint is what it is.
async fn stage_table(
    context: &Context,
    target: &StageTarget,
    offered: OfferedWindow,
    watch: Option<&Watch>,
) -> Result<StagedObject> {
    let window = offered.window;
    let mut rows = drain(&context.flight, offered);
    if let Some(watch) = watch {
        rows = rows.watched(|rows| watch(Event::Entries(rows)));
    }
    match stage(context.store(), target, window, rows).await? {
        Staged::Sealed(object) => Ok(*object),
        Staged::Bad(object, error) => {
            remove_staged(context.store(), &object.path).await?;
            Err(error)
        }
        Staged::Nothing | Staged::NeedsSorting => {
            Err(Error::Unexpected(format!("nothing of the state at checkpoint {window} was sealed")))
        }
    }
}

/// Refuses a state that the host has no time for.
fn refuse_if_too_long(context: &Context, ledger: u32, rows: u64) -> Result<()> {
    let Some(left) = context.budget.left() else { return Ok(()) };
    let needed = Duration::from_secs(rows / ENTRIES_PER_SECOND);
    if needed <= left {
        return Ok(());
    }
    Err(Error::Usage(format!(
        "the state at checkpoint {ledger} has {rows} entries, which may take {}, and this function ends in {}: load it by `ingestctl \
         snapshot` on a machine without a limit",
        humantime::format_duration(needed),
        humantime::format_duration(Duration::from_secs(left.as_secs()))
    )))
}
