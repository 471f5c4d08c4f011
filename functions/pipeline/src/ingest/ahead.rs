//! Staging, one window ahead of the load: plan the next window, then take a sealed object or drain a new one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;
use tokio_postgres::Client;
use uuid::Uuid;

use super::{Context, Event, Watch, is_ripe};
use crate::archive::sealed_objects;
use crate::database::connect;
use crate::drain::{DeclaredWindow, Offer, drain};
use crate::error::{Error, Result};
use crate::progress::{self, ClaimFacts, RowSource};
use crate::retry::Retries;
use crate::stage::{StageTarget, Staged, StagedObject, stage, stage_sorted};
use crate::window::{LedgerWindow, WindowLimits};

/// What is to be staged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ahead {
    /// Ledgers to load, as far as they are missing.
    pub(super) range: LedgerWindow,
    /// Whether a window cut short by the tip waits until `COMMIT_INTERVAL` has passed.
    pub(super) ripe_only: bool,
    /// At most so many windows.
    pub(super) max_windows: Option<u32>,
}

/// A window ready to be loaded.
#[derive(Debug)]
pub(super) struct StagedWindow {
    /// The sealed object.
    pub(super) object: StagedObject,
    /// What the claim says of it.
    pub(super) facts: ClaimFacts,
}

/// How staging ended.
#[derive(Debug, Default)]
pub(super) struct AheadEnd {
    /// True when `max_windows` was reached before the end of the range.
    pub(super) stopped_early: bool,
}

/// Stages window after window of the range into `sender`, until the range, the source or `max_windows` ends, or nobody
/// listens any more.
pub(super) async fn stage_ahead(
    context: Arc<Context>,
    ahead: Ahead,
    sender: mpsc::Sender<StagedWindow>,
    watch: Watch,
) -> Result<AheadEnd> {
    let mut client = connect(&context.config.database).await?;
    let limits = context.config.window_limits(context.settings.partition_ledgers);
    let network = &context.config.network.name;
    let mut sealed: VecDeque<StagedObject> =
        sealed_objects(&client, &context.staging, network, &context.settings).await?.into();
    let mut missing: VecDeque<LedgerWindow> = missing(&context, &mut client, ahead.range).await?.into();
    watch(Event::Planned(missing.iter().map(|free| free.ledgers()).sum()));
    let mut windows = 0;
    while let Some(free) = missing.pop_front() {
        if ahead.max_windows.is_some_and(|max| windows >= max) {
            return Ok(AheadEnd { stopped_early: true });
        }
        let planned = limits.first_window(free);
        // Others may have loaded it meanwhile; draining it again would be for nothing.
        if self::missing(&context, &mut client, planned).await? != [planned] {
            let rest = LedgerWindow::new(free.start(), ahead.range.end())?;
            missing = self::missing(&context, &mut client, rest).await?.into();
            continue;
        }
        while sealed.front().is_some_and(|object| object.footer.start_ledger < planned.start()) {
            sealed.pop_front();
        }
        let adopted = sealed.pop_front_if(|object| fits(object, free, limits));
        let staged = match adopted {
            Some(object) => {
                let facts = ClaimFacts { source: RowSource::Staging, attempts: 1, drain_ms: None };
                Some(StagedWindow { object, facts })
            }
            None => {
                if ahead.ripe_only && !ripe(&context, limits, planned).await? {
                    return Ok(AheadEnd::default());
                }
                let hint = Uuid::new_v4();
                if let Err(error) = progress::hint(&client, planned, hint).await {
                    tracing::warn!(error = %error.chain(), "no hint of the window under way");
                }
                let staged = stage_window(&context, planned).await;
                if let Err(error) = progress::unhint(&client, hint).await {
                    tracing::warn!(error = %error.chain(), "the hint stays until it expires");
                }
                staged?
            }
        };
        let Some(staged) = staged else { return Ok(AheadEnd::default()) };
        let end = staged.object.footer.end_ledger;
        let at_tip = end < planned.end() && staged.facts.source == RowSource::Flight;
        if sender.send(staged).await.is_err() || at_tip {
            return Ok(AheadEnd::default());
        }
        windows += 1;
        if end < free.end() {
            missing.push_front(LedgerWindow::new(end + 1, free.end())?);
        }
    }
    Ok(AheadEnd::default())
}

/// What of a range is missing, on a connection that is renewed when it has broken.
async fn missing(context: &Context, client: &mut Client, range: LedgerWindow) -> Result<Vec<LedgerWindow>> {
    let mut retries = Retries::new(context.config.max_retries);
    loop {
        let answer = match super::reconnect_if_closed(context, client).await {
            Ok(()) => progress::uncovered(client, range).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(free) => return Ok(free),
            Err(error) => retries.pause_or("plan", error).await?,
        }
    }
}

/// Whether a sealed object is the next window of `free`: it starts there, and keeps within it and within a partition.
fn fits(object: &StagedObject, free: LedgerWindow, limits: WindowLimits) -> bool {
    let footer = &object.footer;
    footer.start_ledger == free.start()
        && footer.end_ledger <= free.end()
        && footer.start_ledger / limits.partition_ledgers == footer.end_ledger / limits.partition_ledgers
}

/// Whether a planned window is full, or has waited long enough at the tip.
async fn ripe(context: &Context, limits: WindowLimits, planned: LedgerWindow) -> Result<bool> {
    let full = limits.first_window(LedgerWindow::new(planned.start(), u32::MAX)?);
    if planned == full {
        return Ok(true);
    }
    let mut retries = Retries::new(context.config.max_retries);
    let first = LedgerWindow::new(planned.start(), planned.start())?;
    loop {
        match context.flight.offer(first).await {
            Ok(Offer::NothingYet) => return Ok(false),
            Ok(Offer::Ledgers(declared)) => {
                return Ok(is_ripe(declared.latest_closed_at, context.config.commit_interval));
            }
            Err(error) => retries.pause_or("ask the source", error).await?,
        }
    }
}

/// Drains and stages one window, trying again after trouble that may pass. `None` when the source has nothing of it yet.
pub(super) async fn stage_window(context: &Context, planned: LedgerWindow) -> Result<Option<StagedWindow>> {
    let begun = Instant::now();
    let mut retries = Retries::new(context.config.max_retries);
    loop {
        match stage_once(context, planned).await {
            Ok(None) => return Ok(None),
            Ok(Some(object)) => {
                let drain_ms = i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX);
                tracing::info!(
                    start_ledger = object.footer.start_ledger,
                    end_ledger = object.footer.end_ledger,
                    rows = object.footer.rows,
                    object_bytes = object.bytes,
                    duration_ms = drain_ms,
                    "staged"
                );
                let facts = ClaimFacts {
                    source: RowSource::Flight,
                    attempts: retries.attempts(),
                    drain_ms: Some(drain_ms),
                };
                return Ok(Some(StagedWindow { object, facts }));
            }
            Err(error) => retries.pause_or("drain", error).await?,
        }
    }
}

/// One attempt: ask, drain, stage; a source that sends ledgers out of order is asked twice.
async fn stage_once(context: &Context, planned: LedgerWindow) -> Result<Option<StagedObject>> {
    let target = StageTarget {
        network: context.config.network.name.clone(),
        database_id: context.settings.database_id,
        batch_rows: context.config.batch_rows,
    };
    let Some(declared) = declared(context, planned).await? else { return Ok(None) };
    let window = declared.window;
    match stage(&context.staging, &target, window, drain(&context.flight, declared)).await? {
        Staged::Sealed(object) => Ok(Some(*object)),
        Staged::NeedsSorting => {
            let again = declared_again(context, window).await?;
            stage_sorted(&context.staging, &target, window, drain(&context.flight, again)).await.map(Some)
        }
    }
}

/// The source's declaration of a window; `None` when it has nothing of it yet.
async fn declared(context: &Context, planned: LedgerWindow) -> Result<Option<DeclaredWindow>> {
    match context.flight.offer(planned).await? {
        Offer::NothingYet => Ok(None),
        Offer::Ledgers(declared) => Ok(Some(*declared)),
    }
}

/// The declaration of a window that was declared before.
async fn declared_again(context: &Context, window: LedgerWindow) -> Result<DeclaredWindow> {
    declared(context, window)
        .await?
        .filter(|declared| declared.window == window)
        .ok_or_else(|| Error::source_transient(format!("offers less of ledgers {window} than a moment ago")))
}
