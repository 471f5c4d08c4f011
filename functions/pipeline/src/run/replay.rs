//! A replay: loads a requested range of ledgers.

use std::sync::Arc;
use std::time::Instant;

use super::budget::Budget;
use super::conclude::conclude;
use super::context::{Clients, Context};
use super::fingerprint;
use super::ownership::{is_own_archive, own_archive};
use super::partitions::make_partitions;
use super::planner::Wanted;
use super::recover::recover;
use super::workers::{Job, WORKERS, Work, load_windows};
use crate::contract::window::LedgerWindow;
use crate::contract::wire::SourceRange;
use crate::database::load::FoldWhen;
use crate::database::settings::store_fingerprint;
use crate::database::{Client, health, progress};
use crate::error::{Error, Result};
use crate::report::{Report, Watch};
use crate::source::Trust;
use crate::store::StagedObject;

/// What a replay loads, and from where. `trust_end` accepts a clean end of stream as complete, if the source declares
/// nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayKind {
    /// The missing ledgers, from the source.
    Missing {
        /// Whether a clean end of stream counts as complete.
        trust_end: bool,
    },
    /// The range widened to whole windows, from the source; completed windows are replaced.
    Force {
        /// Whether a clean end of stream counts as complete.
        trust_end: bool,
    },
    /// The missing ledgers, from the archive alone.
    FromArchive,
}

impl Default for ReplayKind {
    fn default() -> Self {
        ReplayKind::Missing { trust_end: false }
    }
}

impl ReplayKind {
    /// How far the source is trusted.
    fn trust(self, configured: bool) -> Trust {
        match self {
            ReplayKind::Missing { trust_end } | ReplayKind::Force { trust_end }
                if trust_end || configured =>
            {
                Trust::WholeStream
            }
            ReplayKind::Missing { .. } => Trust::BeforeLast,
            ReplayKind::Force { .. } | ReplayKind::FromArchive => Trust::Nothing,
        }
    }
}

/// The options of a replay.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplayOptions {
    /// What to load, and from where.
    pub kind: ReplayKind,
    /// Parallel windows.
    pub parallel: Option<usize>,
    /// Ledgers per window at most, instead of `WINDOW_LEDGERS`.
    pub window_ledgers: Option<u32>,
}

/// Loads a range of ledgers as the options say, as far as time allows. The report states the source's last ledger if it
/// is below the end of the range.
///
/// # Errors
/// As [`run`](super::run).
pub async fn replay(
    clients: &Arc<Clients>,
    range: LedgerWindow,
    options: ReplayOptions,
    until: Option<Instant>,
    watch: Watch,
) -> Result<Report> {
    let budget = Arc::new(Budget::until(until));
    let mut report = Report::default();
    let work = load_range(clients, &budget, range, &options, &watch, &mut report);
    let outcome = Box::pin(budget.bound(work)).await;
    conclude(clients, &budget, outcome, &mut report).await?;
    if report.stopped_early {
        report.source_ends_at = None;
        report.next_ledger = if matches!(options.kind, ReplayKind::Force { .. }) {
            let retained = range.from(report.retained_from.unwrap_or(0)).unwrap_or(range);
            let whole = report.widened.map_or(Ok(retained), |(start, end)| LedgerWindow::new(start, end))?;
            report.first_not_done(whole)
        } else {
            let client = clients.sessions.get().await?;
            let missing = progress::uncovered(&client, range).await?;
            report.without_failed(&missing).map(|free| free.start())
        };
    }
    report.caught_up = report.next_ledger.is_none();
    Ok(report)
}

/// The work of [`replay`].
async fn load_range(
    clients: &Arc<Clients>,
    budget: &Arc<Budget>,
    asked: LedgerWindow,
    options: &ReplayOptions,
    watch: &Watch,
    report: &mut Report,
) -> Result<()> {
    let trust = options.kind.trust(clients.config.flight.trust_end);
    let (context, mut client) = Context::open(clients, budget, trust).await?;
    let range = context.settings.retained(asked)?;
    if range != asked {
        tracing::info!(start_ledger = range.start(), "skipped lower ledgers: they are not retained");
        report.retained_from = Some(range.start());
    }
    context.learn(&client).await?;
    // A replay from the archive writes nothing to it, and may read that of another database.
    let is_owner = match options.kind {
        ReplayKind::FromArchive => is_own_archive(&context).await?,
        ReplayKind::Missing { .. } | ReplayKind::Force { .. } => {
            own_archive(&context, &client).await.map(|_| true)?
        }
    };
    let sealed = recover(&context, &mut client, is_owner).await?;
    let window_ledgers = options.window_ledgers.unwrap_or(clients.config.window_ledgers);
    let wanted = Wanted { range, scheduled: false, max_windows: None, window_ledgers };
    let (work, tip) = match options.kind {
        ReplayKind::FromArchive => (Some(Work::Archive { wanted }), None),
        ReplayKind::Missing { .. } if progress::uncovered(&client, range).await?.is_empty() => return Ok(()),
        ReplayKind::Missing { .. } => {
            let available = context.source_range().await?;
            let remembered = &context.settings;
            fingerprint::check_or_store(&client, &context.flight, remembered, available.as_ref(), false)
                .await?;
            let work = within_reach(wanted, available.as_ref(), report).map(|wanted| Work::Source {
                wanted,
                sealed,
                replaced: Vec::new(),
            });
            (work, tip_of(available.as_ref()))
        }
        ReplayKind::Force { .. } => force(&context, &client, wanted, sealed, report).await?,
    };
    let Some(work) = work else { return Ok(()) };
    if let Work::Source { wanted, .. } = &work
        && tip.is_some()
    {
        make_partitions(&context, [wanted.range]).await?;
    }
    // If time may run out, fold each window inline, because a later fold may not happen.
    let fold_when = if budget.ends() { FoldWhen::Inline } else { FoldWhen::Later };
    let job = Job { work, fold_when, workers: options.parallel.unwrap_or(WORKERS) };
    load_windows(&context, job, watch, report).await?;
    if options.kind == ReplayKind::FromArchive {
        return Ok(());
    }
    // The first session has been idle meanwhile and may have died.
    let client = context.clients.sessions.get().await?;
    store_fingerprint(&client).await?;
    health::measure(&client, tip).await;
    let missing = progress::uncovered(&client, range).await?;
    report.source_ends_at = report.without_failed(&missing).map(|free| i64::from(free.start()) - 1);
    Ok(())
}

/// The work of a forced replay: the range widened to whole windows, and the completed windows to replace. Also the last
/// ledger of the source, if it is declared.
///
/// # Errors
/// [`Error::Source`] when the source ends before the end of a window to replace.
async fn force(
    context: &Context,
    client: &Client,
    mut wanted: Wanted,
    sealed: Vec<StagedObject>,
    report: &mut Report,
) -> Result<(Option<Work>, Option<u32>)> {
    let replaced = progress::covering(client, wanted.range).await?;
    let whole = replaced.iter().fold(wanted.range, |range, completed| range.span(completed.window));
    if whole != wanted.range {
        tracing::info!(
            start_ledger = whole.start(),
            end_ledger = whole.end(),
            "widened the range to whole windows"
        );
        report.widened = Some((whole.start(), whole.end()));
        wanted.range = whole;
    }
    let available = context.source_range().await?;
    let remembered = context.settings.fingerprint.as_ref().map(|fingerprint| fingerprint.ledger);
    let is_replaced = remembered.is_some_and(|ledger| replaced.iter().any(|c| c.window.contains(ledger)));
    if !is_replaced {
        fingerprint::check_or_store(client, &context.flight, &context.settings, available.as_ref(), false)
            .await?;
    }
    let tip = tip_of(available.as_ref());
    let Some(wanted) = within_reach(wanted, available.as_ref(), report) else { return Ok((None, tip)) };
    let end = wanted.range.end();
    if let Some(beyond) = replaced.iter().find(|completed| completed.window.end() > end) {
        return Err(Error::source_permanent(format!(
            "ends at ledger {end}, before the end of window {}, which is to be replaced",
            beyond.window
        )));
    }
    Ok((Some(Work::Source { wanted, sealed, replaced }), tip))
}

/// The wanted ledgers that the source has; `None` if it has none, which the report then states.
fn within_reach(wanted: Wanted, available: Option<&SourceRange>, report: &mut Report) -> Option<Wanted> {
    let Some(available) = available else { return Some(wanted) };
    let reachable = tip_of(Some(available)).and_then(|tip| wanted.range.until(tip));
    if reachable.is_none() {
        report.source_ends_at = Some(available.end_ledger);
    }
    reachable.map(|range| Wanted { range, ..wanted })
}

/// The last ledger of the source, if it is declared.
fn tip_of(available: Option<&SourceRange>) -> Option<u32> {
    available.and_then(SourceRange::ledgers).map(LedgerWindow::end)
}
