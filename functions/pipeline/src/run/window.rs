//! One window: stages it, loads it with its progress row, archives it.

use std::time::{Duration, Instant};

use object_store::path::Path;
use uuid::Uuid;

use super::context::Context;
use super::ownership::{is_own_archive, refused};
use super::planner::Planned;
use super::recover::archive;
use super::restore::Piece;
use crate::contract::evidence::RowSource;
use crate::contract::tables::Table;
use crate::contract::window::LedgerWindow;
use crate::database::load::{FoldWhen, Loaded, load};
use crate::database::progress::{self, ClaimFacts, CompletedWindow};
use crate::database::replace::replace;
use crate::database::{Session, hints};
use crate::error::{Error, Result};
use crate::metrics;
use crate::report::{WindowReport, WindowStatus};
use crate::source::{Offer, OfferedWindow, Trust, drain};
use crate::store::StagedObject;
use crate::store::archive::remove_staged;
use crate::store::names::is_archived;
use crate::store::stage::{StageTarget, Staged, stage, stage_part, stage_sorted};

/// How a window ended.
pub(super) enum Performed {
    /// The window is loaded.
    Done(WindowReport),
    /// A value cannot be loaded: the error, and the object that was kept, if possible.
    Bad(Error, Option<Path>),
    /// The source ends here: the part of the window that it had, if any, is loaded.
    AtTip(Option<WindowReport>),
}

/// The result of staging a window.
enum Prepared {
    /// An object to load.
    Ready(StagedObject, ClaimFacts),
    /// A value cannot be loaded: the error, and the object that was kept, if possible.
    Bad(Error, Option<Path>),
    /// The source does not have the window yet.
    Nothing,
}

/// Processes a planned window, with a hint that it is under way. If the host ends first, the hint remains and makes the
/// next attempt smaller.
pub(super) async fn perform(context: &Context, planned: Planned, fold_when: FoldWhen) -> Result<Performed> {
    let hint = Uuid::new_v4();
    let (window, lifetime, source) = (planned.window()?, context.budget.hint_lifetime(), planned.source());
    context.budget.begun(hint);
    if let Err(error) = leave_hint(context, window, hint, lifetime, source).await {
        tracing::warn!(error = %error.chain(), "cannot write the hint for the window under way");
    }
    let performed = Box::pin(stage_and_load(context, planned, fold_when)).await;
    if let Err(error) = take_hint_back(context, hint).await {
        tracing::warn!(error = %error.chain(), "cannot remove the hint of the window; it stays until it expires");
    }
    context.budget.finished(hint);
    performed
}

async fn leave_hint(
    context: &Context,
    window: LedgerWindow,
    hint: Uuid,
    lifetime: Duration,
    source: RowSource,
) -> Result<()> {
    hints::hint(&*context.session().await?, window, hint, lifetime, source).await
}

async fn take_hint_back(context: &Context, hint: Uuid) -> Result<()> {
    hints::unhint(&*context.session().await?, hint).await
}

/// Window, drain, stage, load, progress, archive.
async fn stage_and_load(context: &Context, planned: Planned, fold_when: FoldWhen) -> Result<Performed> {
    let window = planned.window()?;
    let replaced = match &planned {
        Planned::Replace(completed) => Some(completed.clone()),
        _ => None,
    };
    let prepared = match planned {
        Planned::Sealed(object) => ready(object, RowSource::Staging),
        Planned::Archived(Piece { object, window }) if object.window()? == window => {
            ready(object, RowSource::Archive)
        }
        Planned::Archived(piece) => ready(cut(context, piece).await?, RowSource::Archive),
        Planned::Drain(window) => stage_window(context, window, false, Attempts::UpToMax).await?,
        Planned::DrainOnce(window) => stage_window(context, window, false, Attempts::One).await?,
        Planned::Replace(completed) => {
            stage_window(context, completed.window, true, Attempts::UpToMax).await?
        }
    };
    let (object, facts) = match prepared {
        Prepared::Ready(object, facts) => (object, facts),
        Prepared::Nothing if replaced.is_some() => {
            return Err(Error::source_permanent(format!(
                "has no ledgers {window} to replace the window with"
            )));
        }
        Prepared::Nothing => return Ok(Performed::AtTip(None)),
        Prepared::Bad(error, object) => return Ok(Performed::Bad(error, object)),
    };
    let end = object.footer.end_ledger;
    let report = match replaced {
        Some(completed) => replace_window(context, completed, object, facts).await?,
        None => match load_window(context, object, facts, fold_when).await {
            Err(error @ Error::BadData { .. }) => return Ok(Performed::Bad(error, None)),
            loaded => loaded?,
        },
    };
    Ok(if end < window.end() { Performed::AtTip(Some(report)) } else { Performed::Done(report) })
}

/// Stages a part of an archived object as a window of its own, which will be archived too.
async fn cut(context: &Context, Piece { object, window }: Piece) -> Result<StagedObject> {
    if !is_own_archive(context).await? {
        let why =
            format!("does not belong to this one: object {} would be cut to ledgers {window}", object.path);
        return Err(refused(context, &why));
    }
    let mut target = stage_target(context, false);
    for side in object.sides() {
        let cut = stage_part(context.store(), &target.of(side.footer.table), &side, window).await?;
        target.sides.push(cut.as_side());
    }
    let staged = stage_part(context.store(), &target, &object, window).await?;
    tracing::info!(step = "stage", object = %object.path, start_ledger = window.start(), end_ledger = window.end(), "cut an archived object");
    Ok(staged)
}

/// The target of an attempt at a window.
pub(super) fn stage_target(context: &Context, replaces: bool) -> StageTarget {
    StageTarget {
        table: Table::Data,
        batch_id: Uuid::new_v4(),
        sides: Vec::new(),
        network: context.clients.config.network.clone(),
        database_id: context.settings.database_id,
        batch_rows: context.clients.config.batch_rows,
        replaces,
        snapshot: None,
    }
}

/// An object that needs no drain.
fn ready(object: StagedObject, source: RowSource) -> Prepared {
    Prepared::Ready(object, ClaimFacts { source, attempts: 1, drain_ms: None })
}

/// Reports a window as failed; the windows after it continue. It is recorded, unless it was to be replaced: then the
/// completed window stays, and nothing would clear the record.
pub(super) async fn record_failure(
    context: &Context,
    window: LedgerWindow,
    replaces: bool,
    error: &Error,
    object: Option<Path>,
) -> Result<WindowReport> {
    let message = error.chain();
    metrics::failed();
    let kept = object.as_ref().map(ToString::to_string);
    tracing::warn!(step = "drain", start_ledger = window.start(), end_ledger = window.end(), object = kept, error = %message, "the window failed");
    if !replaces {
        let client = context.session().await?;
        for superseded in progress::mark_failed(&client, window, &message, kept.as_deref()).await? {
            remove_staged(context.store(), &Path::from(superseded)).await?;
        }
    }
    Ok(WindowReport::failed(window, error))
}

/// The attempts to drain a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attempts {
    /// One, and `MAX_RETRIES` more after transient errors.
    UpToMax,
    /// One.
    One,
}

/// Drains and stages one window.
async fn stage_window(
    context: &Context,
    window: LedgerWindow,
    replaces: bool,
    attempts: Attempts,
) -> Result<Prepared> {
    let begun = Instant::now();
    let attempt = |attempts| async move { Ok((attempts, stage_once(context, window, replaces).await?)) };
    let staged = match attempts {
        Attempts::UpToMax => context.retry("drain", attempt).await,
        Attempts::One => attempt(1).await.inspect_err(|_| metrics::failed()),
    };
    let (attempts, object) = match staged {
        Ok((attempts, Staged::Sealed(object))) => (attempts, *object),
        Ok((_, Staged::Bad(object, error))) => {
            return Ok(Prepared::Bad(error, Some(object.path)));
        }
        Ok((_, Staged::Nothing | Staged::NeedsSorting)) => return Ok(Prepared::Nothing),
        Err(error @ Error::BadData { .. }) => return Ok(Prepared::Bad(error, None)),
        Err(error) => return Err(error),
    };
    let drain_ms = i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX);
    tracing::info!(
        step = "stage",
        start_ledger = object.footer.start_ledger,
        end_ledger = object.footer.end_ledger,
        rows = object.footer.rows,
        object_bytes = object.bytes,
        duration_ms = drain_ms,
        "staged"
    );
    Ok(Prepared::Ready(object, ClaimFacts { source: RowSource::Flight, attempts, drain_ms: Some(drain_ms) }))
}

/// One attempt at all tables of a window. The others come before `data`, whose object seals the window: it names theirs.
async fn stage_once(context: &Context, planned: LedgerWindow, replaces: bool) -> Result<Staged> {
    let mut target = stage_target(context, replaces);
    let Some(offered) = offered(context, Table::Data, planned).await? else { return Ok(Staged::Nothing) };
    let window = offered.window;
    if replaces && window != planned {
        return Err(Error::source_permanent(format!(
            "has only ledgers {window} of window {planned}, which is to be replaced"
        )));
    }
    let staged = stage_tables(context, &mut target, offered).await;
    if !matches!(staged, Ok(Staged::Sealed(_) | Staged::Bad(..))) {
        remove_sides(context, &target, window).await;
    }
    staged
}

/// Stages the other tables of a window, then `data`.
async fn stage_tables(context: &Context, target: &mut StageTarget, offered: OfferedWindow) -> Result<Staged> {
    for table in offered.sides.clone() {
        let window = offered.window;
        let side = self::offered(context, table, window).await?.filter(|side| side.window == window);
        let side = side.ok_or_else(|| {
            Error::source_transient(format!("has no {} for all of ledgers {window}", table.name()))
        })?;
        match stage_table(context, &target.of(table), side).await? {
            Staged::Sealed(object) => target.sides.push(object.as_side()),
            other => return Ok(other),
        }
    }
    stage_table(context, target, offered).await
}

/// Drains and stages one table; if the source sends ledgers out of order, it is drained twice.
async fn stage_table(context: &Context, target: &StageTarget, offered: OfferedWindow) -> Result<Staged> {
    let (table, window) = (offered.table, offered.window);
    match stage(context.store(), target, window, drain(&context.flight, offered)).await? {
        Staged::NeedsSorting => {
            let again = self::offered(context, table, window)
                .await?
                .filter(|offered| offered.window == window)
                .ok_or_else(|| {
                    Error::source_transient(format!("offers fewer of ledgers {window} than before"))
                })?;
            stage_sorted(context.store(), target, window, drain(&context.flight, again)).await
        }
        staged => Ok(staged),
    }
}

/// Removes the objects of an attempt whose `data` was not sealed. What stays is a left-over, which maintenance removes.
pub(super) async fn remove_sides(context: &Context, target: &StageTarget, window: LedgerWindow) {
    for side in &target.sides {
        if let Err(error) = context.store().remove(&target.of(side.table).path(window)).await {
            tracing::warn!(error = %error.chain(), "cannot remove an object of a failed attempt");
        }
    }
}

/// The source's offer of a table in a window; `None` if it does not have the window yet.
async fn offered(context: &Context, table: Table, planned: LedgerWindow) -> Result<Option<OfferedWindow>> {
    // An operator may trust the end of `data`; the other tables are declared, or not there.
    let trust = if table == Table::Data { context.trust } else { Trust::Nothing };
    match context.flight.offer(table, planned, trust).await? {
        Offer::NothingYet => Ok(None),
        Offer::Ledgers(offered) => Ok(Some(*offered)),
    }
}

/// Loads a staged object, and archives it.
async fn load_window(
    context: &Context,
    object: StagedObject,
    facts: ClaimFacts,
    fold_when: FoldWhen,
) -> Result<WindowReport> {
    let begun = Instant::now();
    let window = object.window()?;
    let load = |mut client: Session, object: StagedObject, facts| async move {
        load(&mut client, context.store(), &object, facts, fold_when).await
    };
    let Trusted { outcome, attempts, object, facts } =
        load_trusted(context, object, facts, false, load).await?;
    let mut report = WindowReport::completed(window, object.footer.rows, facts.source);
    if let Loaded::Completed(id) = outcome {
        log_loaded(&report, begun);
        archive_window(context, id, &object).await?;
        return Ok(report);
    }
    let covering = progress::covering(&*context.session().await?, window).await?;
    let ours = covering.iter().find(|c| c.batch_id == object.footer.batch_id);
    match ours {
        // Another process may have loaded the object and may be archiving it: archiving twice does no harm.
        Some(ours) if !ours.archived => archive_window(context, ours.id, &object).await?,
        Some(_) => {}
        None if is_archived(&object.path) => {}
        None => remove_staged(context.store(), &object.path).await?,
    }
    // Loaded by an earlier attempt of this process whose answer was lost, or by another process.
    if ours.is_some() && attempts > 1 {
        log_loaded(&report, begun);
    } else {
        report.rows = 0;
        report.status = match outcome {
            Loaded::NotRetained => WindowStatus::NotRetained,
            Loaded::PartlyThere => WindowStatus::PartlyLoaded,
            _ => WindowStatus::AlreadyLoaded,
        };
    }
    Ok(report)
}

/// Replaces a completed window by a staged object, and its object in the archive.
async fn replace_window(
    context: &Context,
    completed: CompletedWindow,
    object: StagedObject,
    facts: ClaimFacts,
) -> Result<WindowReport> {
    let begun = Instant::now();
    let CompletedWindow { id, window, .. } = completed;
    let load = |mut client: Session, object: StagedObject, facts| async move {
        replace(&mut client, context.store(), &object, facts, id).await
    };
    let Trusted { object, facts, .. } = load_trusted(context, object, facts, true, load).await?;
    let mut report = WindowReport::completed(window, object.footer.rows, facts.source);
    report.status = WindowStatus::Replaced;
    log_loaded(&report, begun);
    archive_window(context, id, &object).await?;
    Ok(report)
}

/// The outcome of a load, and its object.
struct Trusted<T> {
    outcome: T,
    /// Attempts to load this object.
    attempts: u32,
    object: StagedObject,
    facts: ClaimFacts,
}

/// Loads an object with `load`, and retries on a new session after a transient error. A staged object that contradicts
/// its footer is removed, and its window staged once more; an archived one is an error.
async fn load_trusted<T, F: Future<Output = Result<T>>>(
    context: &Context,
    mut object: StagedObject,
    mut facts: ClaimFacts,
    replaces: bool,
    load: impl Fn(Session, StagedObject, ClaimFacts) -> F,
) -> Result<Trusted<T>> {
    let (load, window) = (&load, object.window()?);
    let mut drained_again = false;
    loop {
        let loaded = &object;
        let attempt =
            |client, attempts| async move { Ok((load(client, loaded.clone(), facts).await?, attempts)) };
        match context.retry_on_session("load", attempt).await {
            Ok((outcome, attempts)) => return Ok(Trusted { outcome, attempts, object, facts }),
            Err(error @ Error::Corrupt { .. }) if !drained_again && facts.source != RowSource::Archive => {
                (object, facts) = drain_again(context, &object, window, error, replaces).await?;
                drained_again = true;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Removes a corrupt object, and stages its window again.
async fn drain_again(
    context: &Context,
    object: &StagedObject,
    window: LedgerWindow,
    error: Error,
    replaces: bool,
) -> Result<(StagedObject, ClaimFacts)> {
    tracing::warn!(error = %error.chain(), "removed a corrupt object; draining its window again");
    remove_staged(context.store(), &object.path).await?;
    match stage_window(context, window, replaces, Attempts::UpToMax).await? {
        Prepared::Ready(object, facts) => Ok((object, facts)),
        Prepared::Bad(error, _) => Err(error),
        Prepared::Nothing => Err(Error::source_transient(format!("no longer offers ledgers {window}"))),
    }
}

/// Logs one line for each loaded window.
fn log_loaded(report: &WindowReport, begun: Instant) {
    tracing::info!(
        step = "load",
        start_ledger = report.start_ledger,
        end_ledger = report.end_ledger,
        rows = report.rows,
        source = report.source.as_str(),
        duration_ms = begun.elapsed().as_millis() as u64,
        "loaded"
    );
}

/// Archives a completed window, on a new session if that helps. If it fails for good, the next run finishes it.
async fn archive_window(context: &Context, id: i64, object: &StagedObject) -> Result<()> {
    let (batch_id, window) = (object.footer.batch_id, object.window()?);
    let completed = &CompletedWindow { id, batch_id, window, archived: false };
    let attempt =
        |mut client: Session, _| async move { archive(context, &mut client, completed, &object.path).await };
    context.retry_on_session("archive", attempt).await
}
