//! The job: windows planned, drained, staged, loaded, recorded and archived, one after the other, with the next window
//! being staged while one is loaded.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use tokio::sync::mpsc;
use tokio_postgres::Client;

use crate::archive;
use crate::config::{Config, StartLedger};
use crate::database::{connect, get};
use crate::drain::{Flight, SourceRange};
use crate::error::{DatabaseContext, Error, Result};
use crate::fold;
use crate::load::{FoldWhen, Loaded, load};
use crate::migrate::{Settings, settings};
use crate::progress::{self, ClaimFacts, RowSource};
use crate::retry::Retries;
use crate::staging::Staging;
use crate::window::LedgerWindow;

mod ahead;
mod report;

use ahead::{Ahead, StagedWindow, stage_ahead};
pub use report::{Event, Plan, Report, Watch, WindowReport, WindowStatus};

/// Windows loaded since the last fold, in rows: more than this, and a replay folds before it goes on.
const ROWS_BETWEEN_FOLDS: u64 = 500_000;

/// What both kinds of run stand on.
struct Context {
    config: Config,
    flight: Flight,
    staging: Staging,
    settings: Settings,
}

/// What a scheduled invocation does, once: from the first ledger that is not loaded to the tip, or `MAX_WINDOWS` windows.
///
/// # Errors
/// The first error that retries do not cure. What was loaded before it stays loaded.
pub async fn run(config: Config, watch: Watch) -> Result<Report> {
    let (context, mut client) = open(config).await?;
    // Held until the end: two scheduled runs at once would do the same work. What keeps ledgers single is the claim.
    let mut lock = connect(&context.config.database).await?;
    let Some(_held) = try_run_lock(&mut lock).await? else {
        return Ok(Report { busy: true, ..Report::default() });
    };
    recover(&context, &mut client).await?;
    let range = source_range(&context).await?;
    let Some(available) = range.ledgers() else {
        return Ok(Report { caught_up: true, ..Report::default() });
    };
    let start = schedule_start(&context, &client, available).await?;
    let Ok(wanted) = LedgerWindow::new(start, available.end()) else {
        return Ok(Report { caught_up: true, next_ledger: Some(start), ..Report::default() });
    };
    let ahead = Ahead { range: wanted, ripe_only: true, max_windows: context.config.max_windows };
    let mut report = load_windows(&context, &mut client, ahead, FoldWhen::Inline, &watch).await?;
    report.next_ledger = first_uncovered(&client, start).await?;
    report.caught_up = !report.stopped_early;
    Ok(report)
}

/// Loads what is missing in a range of ledgers. The report says how far the source reaches, when that is not to the end.
///
/// # Errors
/// As [`run`].
pub async fn replay(config: Config, range: LedgerWindow, watch: Watch) -> Result<Report> {
    let (context, mut client) = open(config).await?;
    recover(&context, &mut client).await?;
    let missing = progress::uncovered(&client, range).await?;
    if missing.is_empty() {
        return Ok(Report::default());
    }
    let available = source_range(&context).await?;
    let tip = available.ledgers().map(LedgerWindow::end);
    let Some(reachable) = tip.and_then(|tip| range.until(tip)) else {
        return Ok(Report { source_ends_at: Some(available.end_ledger), ..Report::default() });
    };
    let ahead = Ahead { range: reachable, ripe_only: false, max_windows: None };
    let mut report = load_windows(&context, &mut client, ahead, FoldWhen::Later, &watch).await?;
    if let Some(free) = progress::uncovered(&client, range).await?.first() {
        report.source_ends_at = Some(i64::from(free.start()) - 1);
    }
    Ok(report)
}

/// What a replay of the range would do: nothing is written anywhere.
///
/// # Errors
/// [`Error::Database`] and [`Error::Source`] when one of the two cannot be asked.
pub async fn plan(config: Config, range: LedgerWindow) -> Result<Plan> {
    let client = connect(&config.database).await?;
    let stored = settings(&client, &config).await?;
    let missing = progress::uncovered(&client, range).await?;
    let flight = Flight::new(&config.flight)?;
    let tip = flight.range().await?.ledgers().map(LedgerWindow::end);
    let reachable = missing.iter().filter_map(|free| tip.and_then(|tip| free.until(tip))).collect();
    Ok(Plan::new(range, reachable, config.window_limits(stored.partition_ledgers), tip))
}

/// Opens everything a run needs, and refuses databases that are not ours.
async fn open(config: Config) -> Result<(Arc<Context>, Client)> {
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
    Ok((Arc::new(Context { config, flight, staging, settings }), client))
}

/// Finishes what earlier runs left: objects on their way to the archive, windows not folded yet.
async fn recover(context: &Context, client: &mut Client) -> Result<()> {
    let network = &context.config.network.name;
    let archived = archive::finish_archiving(client, &context.staging, network, &context.settings).await?;
    let folded = fold::pending(client).await?;
    if archived > 0 || folded > 0 {
        tracing::info!(archived, folded, "finished what an earlier run left");
    }
    Ok(())
}

/// Asks the source what it has, until it answers or the retries are used up.
async fn source_range(context: &Context) -> Result<SourceRange> {
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
async fn first_uncovered(client: &Client, start: u32) -> Result<Option<u32>> {
    let rest = LedgerWindow::new(start, u32::MAX)?;
    Ok(progress::uncovered(client, rest).await?.first().map(|free| free.start()))
}

/// Loads a range, and once more where another process was faster with a part of a window: what is then missing is planned
/// anew. Ends with everything folded, summarised and analysed.
async fn load_windows(
    context: &Arc<Context>,
    client: &mut Client,
    ahead: Ahead,
    fold_when: FoldWhen,
    watch: &Watch,
) -> Result<Report> {
    let begun = Instant::now();
    let mut report = Report::default();
    loop {
        let planned_before = report.windows.len();
        report.stopped_early = load_planned(context, client, ahead, fold_when, watch, &mut report).await?;
        let planned = &report.windows[planned_before..];
        if !planned.iter().any(|window| window.status == WindowStatus::PartlyLoaded) {
            break;
        }
    }
    if fold_when == FoldWhen::Later {
        fold_pending(context, client, watch).await?;
    }
    tend(context, client, &report).await?;
    report.duration = begun.elapsed();
    Ok(report)
}

/// Loads window after window as they come out of staging. Staging runs one window ahead, as a task of its own, so that
/// PostgreSQL and the source are busy at the same time; a panic over there is an error here. True when `MAX_WINDOWS` ended
/// it.
async fn load_planned(
    context: &Arc<Context>,
    client: &mut Client,
    ahead: Ahead,
    fold_when: FoldWhen,
    watch: &Watch,
    report: &mut Report,
) -> Result<bool> {
    let (sender, mut receiver) = mpsc::channel(1);
    let staging_task = tokio::spawn(stage_ahead(Arc::clone(context), ahead, sender, Arc::clone(watch)));
    let mut unfolded_rows = 0;
    let mut outcome = Ok(());
    while let Some(staged) = receiver.recv().await {
        outcome = async {
            let window = load_window(context, client, staged, fold_when).await?;
            unfolded_rows += window.rows;
            watch(Event::Window(&window));
            report.windows.push(window);
            if fold_when == FoldWhen::Later && unfolded_rows >= ROWS_BETWEEN_FOLDS {
                fold_pending(context, client, watch).await?;
                unfolded_rows = 0;
            }
            Ok(())
        }
        .await;
        if outcome.is_err() {
            break;
        }
    }
    // Nobody listens any more: staging seals the window it is at, which the next run will find, and ends.
    drop(receiver);
    let end = staging_task.await.map_err(|e| Error::Unexpected(format!("staging stopped: {e}")))?;
    outcome?;
    Ok(end?.stopped_early)
}

/// Folds what is loaded, on a new connection where the old one broke.
async fn fold_pending(context: &Context, client: &mut Client, watch: &Watch) -> Result<()> {
    watch(Event::Folding);
    let mut retries = Retries::new(context.config.max_retries);
    loop {
        let folded = match reconnect_if_closed(context, client).await {
            Ok(()) => fold::pending(client).await,
            Err(error) => Err(error),
        };
        match folded {
            Ok(_) => return Ok(()),
            Err(error) => retries.pause_or("fold", error).await?,
        }
    }
}

/// One staged window into the database and the archive, with a new connection and a new attempt after trouble that passes.
/// An object that is not what its footer says is removed, and the window staged once more.
async fn load_window(
    context: &Context,
    client: &mut Client,
    staged: StagedWindow,
    fold_when: FoldWhen,
) -> Result<WindowReport> {
    let begun = Instant::now();
    let StagedWindow { mut object, mut facts } = staged;
    let window = object.window()?;
    let mut retries = Retries::new(context.config.max_retries);
    let mut replaced = false;
    let loaded = loop {
        let outcome = match reconnect_if_closed(context, client).await {
            Ok(()) => load(client, &context.staging, &object, facts, fold_when).await,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(loaded) => break loaded,
            Err(error @ Error::Corrupt { .. }) if !replaced => {
                tracing::warn!(error = %error.chain(), "removed: the window is drained again");
                context.staging.remove(&object.path).await?;
                let again = ahead::stage_window(context, window).await?;
                object = again
                    .ok_or_else(|| Error::source_transient(format!("no longer offers ledgers {window}")))?
                    .object;
                facts = ClaimFacts { source: RowSource::Flight, ..facts };
                replaced = true;
            }
            Err(error) => retries.pause_or("load", error).await?,
        }
    };
    let mut report = WindowReport {
        start_ledger: window.start(),
        end_ledger: window.end(),
        rows: object.footer.rows,
        status: WindowStatus::Completed,
        source: facts.source,
    };
    match loaded {
        Loaded::Completed(id) => {
            log_loaded(&report, begun.elapsed());
            archive_window(context, client, id, window, &object.path).await?;
        }
        Loaded::AlreadyThere | Loaded::PartlyThere => {
            // Ours, when the answer to COMMIT was lost, or when another process adopted the object. Else it is superseded.
            let covering = progress::covering(client, window).await?;
            match covering.iter().find(|c| c.batch_id == object.footer.batch_id) {
                Some(ours) => {
                    log_loaded(&report, begun.elapsed());
                    if !ours.archived {
                        archive_window(context, client, ours.id, window, &object.path).await?;
                    }
                }
                None => {
                    context.staging.remove(&object.path).await?;
                    report.rows = 0;
                    report.status = if loaded == Loaded::AlreadyThere {
                        WindowStatus::AlreadyLoaded
                    } else {
                        WindowStatus::PartlyLoaded
                    };
                }
            }
        }
    }
    Ok(report)
}

/// The line that every loaded window leaves in the log.
fn log_loaded(report: &WindowReport, elapsed: Duration) {
    tracing::info!(
        start_ledger = report.start_ledger,
        end_ledger = report.end_ledger,
        rows = report.rows,
        source = report.source.as_str(),
        duration_ms = elapsed.as_millis() as u64,
        "loaded"
    );
}

/// Archives a completed window, reconnecting where that helps. What fails here for good is finished by the next run.
async fn archive_window(
    context: &Context,
    client: &mut Client,
    id: i64,
    window: LedgerWindow,
    staged: &object_store::path::Path,
) -> Result<()> {
    let mut retries = Retries::new(context.config.max_retries);
    let partition = context.settings.partition_ledgers;
    let network = &context.config.network.name;
    loop {
        let done = match reconnect_if_closed(context, client).await {
            Ok(()) => {
                archive::archive(client, &context.staging, network, partition, id, window, staged).await
            }
            Err(error) => Err(error),
        };
        match done {
            Ok(()) => return Ok(()),
            Err(error) => retries.pause_or("archive", error).await?,
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

/// BRIN summaries and statistics of the partitions that got rows.
async fn tend(context: &Context, client: &Client, report: &Report) -> Result<()> {
    let size = context.settings.partition_ledgers;
    let mut partitions: Vec<u32> =
        report.windows.iter().filter(|w| w.rows > 0).map(|w| w.start_ledger / size * size).collect();
    partitions.sort_unstable();
    partitions.dedup();
    for partition in partitions {
        client
            .execute("select contract_data.tend_partition($1)", &[&i64::from(partition)])
            .await
            .database("summarise and analyse the partition")?;
    }
    Ok(())
}

/// Whether a window that is shorter than it could be should be loaded now: its first ledger closed long enough ago.
fn is_ripe(first_closed_at: Option<chrono::DateTime<Utc>>, commit_interval: Duration) -> bool {
    first_closed_at.is_none_or(|closed| {
        let age = Utc::now().signed_duration_since(closed);
        age.to_std().is_ok_and(|age| age >= commit_interval)
    })
}
