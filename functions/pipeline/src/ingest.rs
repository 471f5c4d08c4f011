//! The job: windows planned, drained, staged, loaded, recorded and archived, by workers side by side.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use tokio_postgres::Client;

use crate::archive;
use crate::config::{Config, StartLedger};
use crate::database::{connect, get};
use crate::drain::{Flight, Offer, SourceRange, Trust};
use crate::error::{DatabaseContext, Error, Result};
use crate::fingerprint;
use crate::fold;
use crate::load::FoldWhen;
use crate::migrate::{Settings, settings};
use crate::progress;
use crate::retry::Retries;
use crate::stage::StagedObject;
use crate::staging::Staging;
use crate::window::{LedgerWindow, WindowLimits};

mod planner;
mod workers;
mod perform;
mod report;

use planner::Wanted;
pub use report::{Event, Plan, Report, Watch, WindowReport, WindowStatus};
use workers::{Job, load_windows};

/// Windows worked on at once where nobody says otherwise: one is drained while another is loaded.
const WORKERS: usize = 2;

/// What both kinds of run stand on.
struct Context {
    config: Config,
    flight: Flight,
    staging: Staging,
    settings: Settings,
    trust: Trust,
}

/// How a replay may differ from the plain one.
#[derive(Debug, Clone, Default)]
pub struct ReplayOptions {
    /// Widen the range to whole windows, and replace those that are completed.
    pub force: bool,
    /// Windows worked on at once.
    pub parallel: Option<usize>,
    /// Load from the archive alone, without the source.
    pub from_archive: bool,
    /// Take a clean end of stream for the end, where the source declares nothing.
    pub trust_end: bool,
}

/// What a scheduled invocation does, once: from the first ledger that is not loaded to the tip, or `MAX_WINDOWS` windows.
///
/// # Errors
/// The first error that retries do not cure. What was loaded before it stays loaded.
pub async fn run(config: Config, watch: Watch) -> Result<Report> {
    let trust = if config.flight.trust_end { Trust::WholeStream } else { Trust::Nothing };
    let (context, mut client) = open(config, trust).await?;
    // Held until the end: two scheduled runs at once would do the same work. What keeps ledgers single is the claim.
    let mut lock = connect(&context.config.database).await?;
    let Some(_held) = try_run_lock(&mut lock).await? else {
        return Ok(Report { busy: true, ..Report::default() });
    };
    let sealed = recover(&context, &client).await?;
    let range = source_range(&context)
        .await?
        .ok_or_else(|| Error::source_permanent("does not say in app_metadata which ledgers it has"))?;
    let Some(available) = range.ledgers() else {
        return Ok(Report { caught_up: true, ..Report::default() });
    };
    fingerprint::compare(&client, &context.flight, &context.settings, Some(&range), true).await?;
    let start = schedule_start(&context, &client, available).await?;
    let Ok(range) = LedgerWindow::new(start, available.end()) else {
        return Ok(Report { caught_up: true, next_ledger: Some(start), ..Report::default() });
    };
    let wanted = Wanted { range, scheduled: true, max_windows: context.config.max_windows };
    let job = Job {
        wanted,
        sealed,
        replaced: Vec::new(),
        archived: None,
        fold_when: FoldWhen::Inline,
        workers: WORKERS,
    };
    let mut report = load_windows(&context, job, &watch).await?;
    // The first session has been idle for as long as all that took: who knows what it has become.
    client = connect(&context.config.database).await?;
    fingerprint::store(&client).await?;
    report.next_ledger = first_missing(&client, start).await?;
    report.caught_up = !report.stopped_early;
    Ok(report)
}

/// Loads what is missing in a range of ledgers, or what the options say. The report says how far the source reaches, when
/// that is not to the end.
///
/// # Errors
/// As [`run`].
pub async fn replay(
    config: Config,
    range: LedgerWindow,
    options: ReplayOptions,
    watch: Watch,
) -> Result<Report> {
    let trust = match (config.flight.trust_end || options.trust_end, options.force) {
        (true, _) => Trust::WholeStream,
        (false, true) => Trust::Nothing,
        (false, false) => Trust::BeforeLast,
    };
    let (context, mut client) = open(config, trust).await?;
    let sealed = recover(&context, &client).await?;
    let workers = options.parallel.unwrap_or(WORKERS);
    let mut wanted = Wanted { range, scheduled: false, max_windows: None };
    if options.from_archive {
        let network = &context.config.network.name;
        let objects =
            archive::archived_objects(&client, &context.staging, network, &context.settings, range).await?;
        let job = Job {
            sealed: Vec::new(),
            wanted,
            replaced: Vec::new(),
            archived: Some(objects),
            fold_when: FoldWhen::Later,
            workers,
        };
        return load_windows(&context, job, &watch).await;
    }
    let mut replaced = Vec::new();
    let mut widened = None;
    if options.force {
        replaced = progress::covering(&client, range).await?;
        let whole = replaced.iter().fold(range, |range, completed| range.span(completed.window));
        if whole != range {
            tracing::info!(
                start_ledger = whole.start(),
                end_ledger = whole.end(),
                "widened to whole windows"
            );
            widened = Some((whole.start(), whole.end()));
            wanted.range = whole;
        }
    } else if progress::uncovered(&client, range).await?.is_empty() {
        return Ok(Report::default());
    }
    let available = source_range(&context).await?;
    let remembered = context.settings.fingerprint.as_ref().map(|(ledger, _)| *ledger);
    let is_replaced = remembered.is_some_and(|ledger| replaced.iter().any(|c| c.window.contains(ledger)));
    if !is_replaced {
        fingerprint::compare(&client, &context.flight, &context.settings, available.as_ref(), false).await?;
    }
    if let Some(available) = &available {
        let tip = available.ledgers().map(LedgerWindow::end);
        let Some(reachable) = tip.and_then(|tip| wanted.range.until(tip)) else {
            return Ok(Report { source_ends_at: Some(available.end_ledger), ..Report::default() });
        };
        if let Some(beyond) = replaced.iter().find(|completed| completed.window.end() > reachable.end()) {
            return Err(Error::source_permanent(format!(
                "ends at ledger {}, and window {} is to be replaced",
                reachable.end(),
                beyond.window
            )));
        }
        wanted.range = reachable;
    }
    let job = Job { wanted, sealed, replaced, archived: None, fold_when: FoldWhen::Later, workers };
    let mut report = load_windows(&context, job, &watch).await?;
    // The first session has been idle for as long as all that took: who knows what it has become.
    client = connect(&context.config.database).await?;
    fingerprint::store(&client).await?;
    report.widened = widened;
    let failed: Vec<LedgerWindow> = report.failed().filter_map(|window| window.window().ok()).collect();
    let missing = progress::uncovered(&client, range).await?;
    if let Some(free) = missing.iter().find(|free| !failed.iter().any(|window| window.overlaps(**free))) {
        report.source_ends_at = Some(i64::from(free.start()) - 1);
    }
    Ok(report)
}

/// What a replay of the range would do: nothing is written anywhere.
///
/// # Errors
/// [`Error::Database`] and [`Error::Source`] when one of the two cannot be asked.
pub async fn plan(config: Config, range: LedgerWindow, options: &ReplayOptions) -> Result<Plan> {
    let client = connect(&config.database).await?;
    let stored = settings(&client, &config).await?;
    let limits = config.window_limits(stored.partition_ledgers);
    let mut wanted = range;
    let mut replaced = Vec::new();
    if options.force {
        replaced = progress::covering(&client, range).await?.into_iter().map(|c| c.window).collect();
        wanted = replaced.iter().fold(range, |range, window| range.span(*window));
    }
    let missing = progress::uncovered(&client, wanted).await?;
    let tip = match Flight::new(&config.flight)?.range().await? {
        Some(range) => range.ledgers().map(LedgerWindow::end),
        None => Some(u32::MAX),
    };
    let reachable = missing.iter().filter_map(|free| tip.and_then(|tip| free.until(tip))).collect();
    Ok(Plan::new(wanted, replaced, reachable, limits, tip.filter(|tip| *tip < u32::MAX)))
}

/// Opens everything a run needs, and refuses databases that are not ours.
async fn open(config: Config, trust: Trust) -> Result<(Arc<Context>, Client)> {
    let mut retries = Retries::new(config.max_retries);
    let client = loop {
        match connect(&config.database).await {
            Ok(client) => break client,
            Err(error) => retries.pause_or("connect", error).await?,
        }
    };
    let settings = settings(&client, &config).await?;
    let staging = Staging::open(&config.staging, config.max_retries)?;
    let flight = Flight::new(&config.flight)?;
    Ok((Arc::new(Context { config, flight, staging, settings, trust }), client))
}

/// Finishes what earlier runs left: objects on their way to the archive, windows not folded yet, superseded objects. Returns
/// the sealed objects that wait to be loaded.
async fn recover(context: &Context, client: &Client) -> Result<Vec<StagedObject>> {
    let network = &context.config.network.name;
    let archived = archive::finish_archiving(client, &context.staging, network, &context.settings).await?;
    let folded = fold::pending(client).await?;
    if archived > 0 || folded > 0 {
        tracing::info!(archived, folded, "finished what an earlier run left");
    }
    archive::sealed_objects(client, &context.staging, network, &context.settings).await
}

/// Asks the source what it has, until it answers or the retries are used up.
async fn source_range(context: &Context) -> Result<Option<SourceRange>> {
    let mut retries = Retries::new(context.config.max_retries);
    loop {
        match context.flight.range().await {
            Ok(range) => return Ok(range),
            Err(error) => retries.pause_or("ask the source", error).await?,
        }
    }
}

/// Takes the lock that scheduled runs share, for as long as the transaction is open; `None` when another run holds it.
async fn try_run_lock(client: &mut Client) -> Result<Option<tokio_postgres::Transaction<'_>>> {
    let tx = client.transaction().await.database("lock the schedule")?;
    let row = tx
        .query_one(
            "select set_config('idle_in_transaction_session_timeout', '0', true),
                    pg_try_advisory_xact_lock(hashtextextended('contract_data.schedule', 0)) as held",
            &[],
        )
        .await
        .database("lock the schedule")?;
    Ok(get::<bool>(&row, "held")?.then_some(tx))
}

/// Where the schedule begins: as stored, or as START_LEDGER says this first time.
async fn schedule_start(context: &Context, client: &Client, available: LedgerWindow) -> Result<u32> {
    if let Some(stored) = context.settings.schedule_start {
        return Ok(stored);
    }
    let wanted = match context.config.start_ledger {
        StartLedger::First => available.start(),
        StartLedger::Latest => available.end(),
        StartLedger::Ledger(ledger) => ledger,
    };
    progress::store_schedule_start(client, wanted).await
}

/// The first ledger from `start` on that is not loaded.
async fn first_missing(client: &Client, start: u32) -> Result<Option<u32>> {
    let rest = LedgerWindow::new(start, u32::MAX)?;
    Ok(progress::uncovered(client, rest).await?.first().map(|free| free.start()))
}

/// Folds what is loaded, on a connection of its own, again after trouble that passes.
async fn fold_pending(context: &Context, watch: &Watch) -> Result<()> {
    watch(Event::Folding);
    let mut retries = Retries::new(context.config.max_retries);
    loop {
        let folded = match connect(&context.config.database).await {
            Ok(client) => fold::pending(&client).await,
            Err(error) => Err(error),
        };
        match folded {
            Ok(_) => return Ok(()),
            Err(error) => retries.pause_or("fold", error).await?,
        }
    }
}

/// A new connection in place of one that has ended.
async fn reconnect_if_closed(context: &Context, client: &mut Client) -> Result<()> {
    if client.is_closed() {
        *client = connect(&context.config.database).await?;
    }
    Ok(())
}

/// As [`reconnect_if_closed`], and also in place of one on which something has failed: a server that has become a standby
/// keeps its sessions, and refuses their writes for ever.
async fn reconnect(context: &Context, client: &mut Client, failed: &mut bool) -> Result<()> {
    if std::mem::take(failed) {
        *client = connect(&context.config.database).await.inspect_err(|_| *failed = true)?;
    }
    reconnect_if_closed(context, client).await
}

/// BRIN summaries and statistics of the partitions that got rows.
async fn tend(context: &Context, report: &Report) -> Result<()> {
    let size = context.settings.partition_ledgers;
    let mut partitions: Vec<u32> =
        report.windows.iter().filter(|w| w.rows > 0).map(|w| w.start_ledger / size * size).collect();
    partitions.sort_unstable();
    partitions.dedup();
    let client = connect(&context.config.database).await?;
    for partition in partitions {
        client
            .execute("select contract_data.tend_partition($1)", &[&i64::from(partition)])
            .await
            .database("summarise and analyse the partition")?;
    }
    Ok(())
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
        match context.flight.offer(first, context.trust).await {
            Ok(Offer::NothingYet) => return Ok(false),
            Ok(Offer::Ledgers(offered)) => {
                return Ok(is_ripe(offered.latest_closed_at, context.config.commit_interval));
            }
            Err(error) => retries.pause_or("ask the source", error).await?,
        }
    }
}

/// Whether a window that is shorter than it could be should be loaded now: its first ledger closed long enough ago.
fn is_ripe(first_closed_at: Option<chrono::DateTime<Utc>>, commit_interval: Duration) -> bool {
    first_closed_at.is_none_or(|closed| {
        let age = Utc::now().signed_duration_since(closed);
        age.to_std().is_ok_and(|age| age >= commit_interval)
    })
}
