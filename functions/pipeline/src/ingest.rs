//! The job: windows planned, drained, staged, loaded, recorded and archived, by workers side by side.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use tokio_postgres::Client;

use crate::archive;
use crate::clients::Clients;
use crate::config::StartLedger;
use crate::database::{Session, try_lock};
use crate::drain::{Flight, Offer, SourceRange, Trust};
use crate::error::{DatabaseContext, Error, Result};
use crate::fingerprint;
use crate::fold;
use crate::health::{given_up_windows, health, pace};
use crate::load::FoldWhen;
use crate::migrate::{Settings, settings};
use crate::observe;
use crate::progress;
use crate::retry::Retries;
use crate::stage::StagedObject;
use crate::window::{LedgerWindow, WindowLimits};

mod budget;
mod planner;
mod workers;
mod perform;
mod plan;
mod report;
mod stop;

use budget::Budget;
pub(crate) use budget::Pace;
pub use plan::{Plan, PlannedReplay, plan};
use planner::Wanted;
pub use report::{Event, Report, Watch, WindowReport, WindowStatus};
pub use stop::Stop;
use workers::{Job, load_windows};

/// Windows worked on at once where nobody says otherwise: one is drained while another is loaded.
const WORKERS: usize = 2;

/// What both kinds of run stand on.
struct Context {
    clients: Arc<Clients>,
    flight: Flight,
    settings: Settings,
    trust: Trust,
    budget: Arc<Budget>,
}

/// How a replay may differ from the plain one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplayOptions {
    /// Widen the range to whole windows, and replace those that are completed.
    pub force: bool,
    /// Windows worked on at once.
    pub parallel: Option<usize>,
    /// Load from the archive alone, without the source.
    pub from_archive: bool,
    /// Take a clean end of stream for the end, where the source declares nothing.
    pub trust_end: bool,
    /// Ledgers per window at most, instead of `WINDOW_LEDGERS`.
    pub window_ledgers: Option<u32>,
}

/// What a scheduled invocation does, once: from the first ledger that is not loaded to the tip, or `MAX_WINDOWS` windows, or
/// as far as there is time.
///
/// `until`: when the host ends. No window is begun that is not likely to be finished by then; one that takes longer is given
/// up a moment before, and leaves nothing but a smaller next attempt.
///
/// # Errors
/// The first error that retries do not cure. What was loaded before it stays loaded. [`Error::OutOfTime`] when no window
/// was finished in the time that there was: who has time for nothing should not be thought well.
pub async fn run(clients: &Arc<Clients>, until: Option<Instant>, watch: Watch) -> Result<Report> {
    run_within(clients, Budget::until(until), watch).await
}

/// As [`run`], for a host that ends when it is asked to. From then on no window is begun; those under way are finished, or
/// given up at the deadline of the wish and rolled back, and their hints taken back. To be stopped is no error.
///
/// # Errors
/// The first error that retries do not cure.
pub async fn run_until_stopped(clients: &Arc<Clients>, stop: &Stop, watch: Watch) -> Result<Report> {
    run_within(clients, Budget::until_asked(stop), watch).await
}

/// A scheduled run within its time.
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

/// Loads what is missing in a range of ledgers, or what the options say, as far as there is time. The report says how far
/// the source reaches, when that is not to the end.
///
/// # Errors
/// As [`run`].
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
        report.next_ledger = if options.force {
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

/// Sees to it that nothing of a run goes on, or holds a lock, when the host is frozen after the answer.
async fn conclude(
    clients: &Clients,
    budget: &Budget,
    outcome: Option<Result<()>>,
    report: &mut Report,
) -> Result<()> {
    let is_stopped = outcome.is_none() && budget.is_asked_to_stop();
    if budget.ends() || is_stopped {
        clients.sessions.settle().await;
    }
    report.windows.sort_by_key(|window| window.start_ledger);
    match outcome {
        Some(outcome) => outcome,
        None if is_stopped => {
            take_back(clients, budget).await;
            report.stopped_early = true;
            report.caught_up = false;
            Ok(())
        }
        None if report.windows.is_empty() => {
            observe::failed();
            Err(Error::OutOfTime { seconds: budget.spent().as_secs() })
        }
        None => {
            tracing::warn!(windows = report.windows.len(), "out of time: what was under way is given up");
            report.stopped_early = true;
            report.caught_up = false;
            Ok(())
        }
    }
}

/// How long a run that was stopped tries to take back the hints of what it gave up.
const LAST_WORD: Duration = Duration::from_secs(1);

/// Takes back the hints of the windows that were given up: it was not their length that ended them.
async fn take_back(clients: &Clients, budget: &Budget) {
    let hints = budget.left_under_way();
    if hints.is_empty() {
        return;
    }
    tracing::warn!(windows = hints.len(), "stopped: what was under way is given up");
    let taking_back = async {
        let client = clients.sessions.get().await?;
        for hint in hints {
            progress::unhint(&client, hint).await?;
        }
        Ok::<(), Error>(())
    };
    match tokio::time::timeout(LAST_WORD, taking_back).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(error = %error.chain(), "the hints stay until they expire"),
        Err(_) => tracing::warn!("the hints stay until they expire: the database does not answer"),
    }
}

/// The work of [`run`].
async fn load_schedule(
    clients: &Arc<Clients>,
    budget: &Arc<Budget>,
    watch: &Watch,
    report: &mut Report,
) -> Result<()> {
    let trust = if clients.config.flight.trust_end { Trust::WholeStream } else { Trust::Nothing };
    let (context, mut client) = open(clients, budget, trust).await?;
    // Held until the end: two scheduled runs at once would do the same work. What keeps ledgers single is the claim.
    let mut lock = clients.sessions.get().await?;
    let Some(_held) = try_lock(&mut lock, "contract_data.schedule").await? else {
        report.busy = true;
        return Ok(());
    };
    // By now the run before this one has ended, so that what it was at is known to be given up.
    learn(&context, &client).await?;
    let sealed = recover(&context, &client).await?;
    let range = source_range(&context)
        .await?
        .ok_or_else(|| Error::source_permanent("does not say in app_metadata which ledgers it has"))?;
    let Some(available) = range.ledgers() else {
        report.caught_up = true;
        return Ok(());
    };
    fingerprint::compare(&client, &context.flight, &context.settings, Some(&range), true).await?;
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
            wanted,
            sealed,
            replaced: Vec::new(),
            archived: None,
            fold_when: FoldWhen::Inline,
            workers: WORKERS,
        };
        load_windows(&context, job, watch, report).await?;
        // This session has been idle for as long as all that took: who knows what it has become.
        client = context.clients.sessions.get().await?;
        fingerprint::store(&client).await?;
    }
    observe_health(&client, Some(available.end())).await;
    report.caught_up = !report.stopped_early;
    Ok(())
}

/// The work of [`replay`].
async fn load_range(
    clients: &Arc<Clients>,
    budget: &Arc<Budget>,
    range: LedgerWindow,
    options: &ReplayOptions,
    watch: &Watch,
    report: &mut Report,
) -> Result<()> {
    let trust = match (clients.config.flight.trust_end || options.trust_end, options.force) {
        (true, _) => Trust::WholeStream,
        (false, true) => Trust::Nothing,
        (false, false) => Trust::BeforeLast,
    };
    let (context, mut client) = open(clients, budget, trust).await?;
    let asked = range;
    let range = context.settings.retained(asked)?;
    if range != asked {
        tracing::info!(start_ledger = range.start(), "ledgers below are not retained");
        report.retained_from = Some(range.start());
    }
    learn(&context, &client).await?;
    let sealed = recover(&context, &client).await?;
    let workers = options.parallel.unwrap_or(WORKERS);
    // Where the time may run out, no window waits for a fold that may not come.
    let fold_when = if budget.ends() { FoldWhen::Inline } else { FoldWhen::Later };
    let window_ledgers = options.window_ledgers.unwrap_or(clients.config.window_ledgers);
    let mut wanted = Wanted { range, scheduled: false, max_windows: None, window_ledgers };
    if options.from_archive {
        let network = &clients.config.network.name;
        let objects =
            archive::archived_objects(&client, &clients.staging, network, &context.settings, range).await?;
        let job = Job {
            sealed: Vec::new(),
            wanted,
            replaced: Vec::new(),
            archived: Some(objects),
            fold_when,
            workers,
        };
        return load_windows(&context, job, watch, report).await;
    }
    let mut replaced = Vec::new();
    if options.force {
        replaced = progress::covering(&client, range).await?;
        let whole = replaced.iter().fold(range, |range, completed| range.span(completed.window));
        if whole != range {
            tracing::info!(
                start_ledger = whole.start(),
                end_ledger = whole.end(),
                "widened to whole windows"
            );
            report.widened = Some((whole.start(), whole.end()));
            wanted.range = whole;
        }
    } else if progress::uncovered(&client, range).await?.is_empty() {
        return Ok(());
    }
    let available = source_range(&context).await?;
    let remembered = context.settings.fingerprint.as_ref().map(|(ledger, _)| *ledger);
    let is_replaced = remembered.is_some_and(|ledger| replaced.iter().any(|c| c.window.contains(ledger)));
    if !is_replaced {
        fingerprint::compare(&client, &context.flight, &context.settings, available.as_ref(), false).await?;
    }
    let tip = available.as_ref().and_then(SourceRange::ledgers).map(LedgerWindow::end);
    if let Some(available) = &available {
        let Some(reachable) = tip.and_then(|tip| wanted.range.until(tip)) else {
            report.source_ends_at = Some(available.end_ledger);
            return Ok(());
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
    let job = Job { wanted, sealed, replaced, archived: None, fold_when, workers };
    load_windows(&context, job, watch, report).await?;
    // As in a scheduled run.
    client = context.clients.sessions.get().await?;
    fingerprint::store(&client).await?;
    observe_health(&client, tip).await;
    let missing = progress::uncovered(&client, range).await?;
    report.source_ends_at = report.without_failed(&missing).map(|free| i64::from(free.start()) - 1);
    Ok(())
}

/// Opens everything a run needs, and refuses databases that are not ours.
async fn open(clients: &Arc<Clients>, budget: &Arc<Budget>, trust: Trust) -> Result<(Arc<Context>, Session)> {
    let mut retries = Retries::new(clients.config.max_retries);
    let client = loop {
        match clients.sessions.get().await {
            Ok(client) => break client,
            Err(error) => retries.pause_or("connect", error).await?,
        }
    };
    let settings = settings(&client, &clients.config).await?;
    let (clients, budget, flight) = (Arc::clone(clients), Arc::clone(budget), clients.flight());
    Ok((Arc::new(Context { clients, flight, settings, trust, budget }), client))
}

/// Takes over what earlier runs have measured and given up, where the time of this one is bounded.
async fn learn(context: &Context, client: &Client) -> Result<()> {
    if context.budget.ends() {
        context.budget.learn(pace(client).await?, given_up_windows(client).await?);
    }
    Ok(())
}

/// Finishes what earlier runs left: objects on their way to the archive, windows not folded yet, superseded objects. Returns
/// the sealed objects that wait to be loaded.
async fn recover(context: &Context, client: &Client) -> Result<Vec<StagedObject>> {
    let network = &context.clients.config.network.name;
    let archived =
        archive::finish_archiving(client, &context.clients.staging, network, &context.settings).await?;
    let folded = fold::pending(client).await?;
    if archived > 0 || folded > 0 {
        tracing::info!(archived, folded, "finished what an earlier run left");
    }
    archive::sealed_objects(client, &context.clients.staging, network, &context.settings).await
}

/// Asks the source what it has, until it answers or the retries are used up.
async fn source_range(context: &Context) -> Result<Option<SourceRange>> {
    let mut retries = Retries::new(context.clients.config.max_retries);
    loop {
        match context.flight.range().await {
            Ok(range) => return Ok(range),
            Err(error) => retries.pause_or("ask the source", error).await?,
        }
    }
}

/// Where the schedule begins: as stored, or as START_LEDGER says this first time.
async fn schedule_start(context: &Context, client: &Client, available: LedgerWindow) -> Result<u32> {
    if let Some(stored) = context.settings.schedule_start {
        return Ok(stored);
    }
    let wanted = match context.clients.config.start_ledger {
        StartLedger::First => available.start(),
        StartLedger::Latest => available.end(),
        StartLedger::Ledger(ledger) => ledger,
    };
    progress::store_schedule_start(client, wanted).await
}

/// Folds what is loaded, on a connection of its own, again after trouble that passes.
async fn fold_pending(context: &Context, watch: &Watch) -> Result<()> {
    watch(Event::Folding);
    let mut retries = Retries::new(context.clients.config.max_retries);
    loop {
        let folded = match context.clients.sessions.get().await {
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
async fn reconnect_if_closed(context: &Context, client: &mut Session) -> Result<()> {
    if client.is_closed() {
        *client = context.clients.sessions.get().await?;
    }
    Ok(())
}

/// As [`reconnect_if_closed`], and also in place of one on which something has failed: it is lent again when it has proven
/// to be alive, and to be one that may write.
async fn reconnect(context: &Context, client: &mut Session, failed: &mut bool) -> Result<()> {
    if std::mem::take(failed) {
        *client = context.clients.sessions.get().await.inspect_err(|_| *failed = true)?;
    }
    reconnect_if_closed(context, client).await
}

/// Measures how the database stands. What cannot be measured is no failure of the run, whose windows are loaded.
async fn observe_health(client: &Client, tip: Option<u32>) {
    match health(client).await {
        Ok(health) => observe::health(&health, tip),
        Err(error) => tracing::warn!(error = %error.chain(), "not measured"),
    }
}

/// BRIN summaries and statistics of the partitions that got rows.
async fn tend(context: &Context, report: &Report) -> Result<()> {
    let size = context.settings.partition_ledgers;
    let mut partitions: Vec<u32> =
        report.windows.iter().filter(|w| w.rows > 0).map(|w| w.start_ledger / size * size).collect();
    partitions.sort_unstable();
    partitions.dedup();
    let client = context.clients.sessions.get().await?;
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
    let mut retries = Retries::new(context.clients.config.max_retries);
    let first = LedgerWindow::new(planned.start(), planned.start())?;
    loop {
        match context.flight.offer(first, context.trust).await {
            Ok(Offer::NothingYet) => return Ok(false),
            Ok(Offer::Ledgers(offered)) => {
                return Ok(is_ripe(offered.latest_closed_at, context.clients.config.commit_interval));
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
