//! A scheduled run: from the first ledger that is not loaded to the tip.

use std::sync::Arc;
use std::time::Instant;

use super::budget::Budget;
use super::conclude::conclude;
use super::context::{Clients, Context};
use super::fingerprint;
use super::ownership::own_archive;
use super::planner::Wanted;
use super::recover::recover;
use super::restore::{Piece, lost_windows};
use super::snapshot::{self, SnapshotOptions};
use super::stop::Stop;
use super::workers::{Job, WORKERS, Work, load_windows};
use crate::config::StartLedger;
use crate::contract::window::LedgerWindow;
use crate::database::load::FoldWhen;
use crate::database::settings::{store_fingerprint, store_schedule_start};
use crate::database::{Client, health, progress, try_lock};
use crate::error::{Error, Result};
use crate::report::{Report, Watch};
use crate::source::Trust;

/// One scheduled run: from the first ledger that is not loaded to the tip, for `MAX_WINDOWS` windows at most, as far as
/// time allows.
///
/// `until`: when the host ends. The run starts no window that it is unlikely to finish by then. One that takes longer
/// is cancelled shortly before, and only makes the next attempt smaller.
///
/// # Errors
/// The first error that retries do not cure. Windows loaded before it stay loaded. [`Error::OutOfTime`] when no window
/// was finished in time: a run that never finishes a window must not look healthy.
pub async fn run(clients: &Arc<Clients>, until: Option<Instant>, watch: Watch) -> Result<Report> {
    run_within(clients, Budget::until(until), watch).await
}

/// Like [`run`], for a host that ends on request. After the request the run starts no window; windows under way are
/// finished, or cancelled at the request's deadline and rolled back, and their hints are removed. Being stopped is not
/// an error.
///
/// # Errors
/// The first error that retries do not cure.
pub async fn run_until_stopped(clients: &Arc<Clients>, stop: &Stop, watch: Watch) -> Result<Report> {
    run_within(clients, Budget::until_asked(stop), watch).await
}

/// A scheduled run within a budget.
async fn run_within(clients: &Arc<Clients>, budget: Budget, watch: Watch) -> Result<Report> {
    let budget = Arc::new(budget);
    let mut report = Report::default();
    let work = load_schedule(clients, &budget, &watch, &mut report);
    let outcome = Box::pin(budget.bound(work)).await;
    conclude(clients, &budget, outcome, &mut report).await?;
    if budget.is_asked_to_stop() {
        return Ok(report);
    }
    if let Some(start) = report.next_ledger {
        let rest = LedgerWindow::new(start, u32::MAX)?;
        let client = clients.sessions.get().await?;
        report.next_ledger = progress::uncovered(&client, rest).await?.first().map(|free| free.start());
    }
    Ok(report)
}

/// The work of [`run`].
async fn load_schedule(
    clients: &Arc<Clients>,
    budget: &Arc<Budget>,
    watch: &Watch,
    report: &mut Report,
) -> Result<()> {
    let trust = if clients.config.flight.trust_end { Trust::WholeStream } else { Trust::Nothing };
    let (mut context, mut client) = Context::open(clients, budget, trust).await?;
    // Held until the end, because two concurrent scheduled runs would do the same work. The claim, not this lock,
    // prevents duplicate ledgers.
    let mut lock = clients.sessions.get().await?;
    let Some(_held) = try_lock(&mut lock, "contract_data.schedule").await? else {
        report.busy = true;
        return Ok(());
    };
    if clients.config.start_ledger == StartLedger::Snapshot && context.settings.schedule_start.is_none() {
        snapshot::take(&context, &client, SnapshotOptions::default(), watch).await?;
        (context, client) = Context::open(clients, budget, trust).await?;
    }
    let (mark, lacking) = tokio::try_join!(own_archive(&context, &client), lacking(&context, &client))?;
    // The previous run has ended by now, so its unfinished windows are known to be abandoned.
    context.learn(&client).await?;
    let earlier_work = async {
        let lost = async {
            let Some(lacking) = &lacking else { return Ok(Vec::new()) };
            lost_windows(&context, lacking.missing.clone(), &mark).await
        };
        let (sealed, pieces) = tokio::try_join!(recover(&context, &mut client, true), lost)?;
        if let Some(lacking) = lacking {
            load_lost(&context, lacking, pieces, watch, report).await?;
        }
        Ok(sealed)
    };
    // The source is asked meanwhile. If it fails, the earlier work is finished all the same.
    let (sealed, range) = tokio::try_join!(earlier_work, async { Ok(context.source_range().await) })?;
    let range = range?
        .ok_or_else(|| Error::source_permanent("does not declare in app_metadata which ledgers it has"))?;
    let Some(available) = range.ledgers() else {
        report.caught_up = true;
        return Ok(());
    };
    fingerprint::check_or_store(&client, &context.flight, &context.settings, Some(&range), true).await?;
    let start = schedule_start(&context, &client, available).await?.max(context.settings.retained_from);
    report.next_ledger = Some(start);
    if let Ok(range) = LedgerWindow::new(start, available.end()) {
        let wanted = Wanted {
            range,
            scheduled: true,
            max_windows: clients.config.max_windows,
            window_ledgers: clients.config.window_ledgers,
        };
        let job = Job {
            work: Work::Source { wanted, sealed, replaced: Vec::new() },
            fold_when: FoldWhen::Inline,
            workers: WORKERS,
        };
        load_windows(&context, job, watch, report).await?;
        // This session has been idle meanwhile and may have died: take a checked one.
        client = context.clients.sessions.get().await?;
        store_fingerprint(&client).await?;
    }
    health::measure(&client, Some(available.end())).await;
    report.caught_up = !report.stopped_early;
    Ok(())
}

/// A server that was not compared with the archive yet, and the ledgers of the schedule that its database lacks.
struct Lacking {
    server: String,
    range: LedgerWindow,
    missing: Vec<LedgerWindow>,
}

/// What the database lacks, once per server and process.
async fn lacking(context: &Context, client: &Client) -> Result<Option<Lacking>> {
    let Some(start) = context.settings.schedule_start else { return Ok(None) };
    let server = health::server_start(client).await?;
    if !context.clients.is_new_server(&server) {
        return Ok(None);
    }
    let range = LedgerWindow::new(start.max(context.settings.retained_from), u32::MAX)?;
    let missing = progress::uncovered(client, range).await?;
    Ok(Some(Lacking { server, range, missing }))
}

/// Loads lost windows from the archive: drained anew, they would have other bounds, and the archive would hold their ledgers
/// twice.
async fn load_lost(
    context: &Arc<Context>,
    lacking: Lacking,
    pieces: Vec<Piece>,
    watch: &Watch,
    report: &mut Report,
) -> Result<()> {
    if !pieces.is_empty() {
        tracing::warn!(
            windows = pieces.len(),
            "the archive has windows that the database lacks: loading them"
        );
        let wanted =
            Wanted { range: lacking.range, scheduled: true, max_windows: None, window_ledgers: u32::MAX };
        let work = Work::Lost { wanted, pieces };
        load_windows(context, Job { work, fold_when: FoldWhen::Inline, workers: WORKERS }, watch, report)
            .await?;
    }
    if !report.stopped_early {
        context.clients.note_server(lacking.server);
    }
    Ok(())
}

/// Where the schedule begins: as stored, or from START_LEDGER the first time.
async fn schedule_start(context: &Context, client: &Client, available: LedgerWindow) -> Result<u32> {
    if let Some(stored) = context.settings.schedule_start {
        return Ok(stored);
    }
    let wanted = match context.clients.config.start_ledger {
        StartLedger::First => available.start(),
        StartLedger::Latest => available.end(),
        StartLedger::Ledger(ledger) => ledger,
        StartLedger::Snapshot => {
            return Err(Error::Unexpected(
                "a snapshot that is loaded stores where the schedule begins".to_owned(),
            ));
        }
    };
    store_schedule_start(client, wanted).await
}
