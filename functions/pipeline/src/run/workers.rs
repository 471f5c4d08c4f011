//! Workers: each takes a window, stages it, loads it, and takes the next. With two workers, the source and PostgreSQL
//! work at the same time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use object_store::path::Path;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinSet;
use tracing::Instrument;

use super::attribution::{Attribution, Verdict, is_served};
use super::context::Context;
use super::follow_up::{fold_pending, tend};
use super::partitions::make_partitions;
use super::planner::{Planned, Planner, Wanted};
use super::restore::{Piece, archived_pieces};
use super::window::{Performed, perform, record_failure};
use crate::contract::evidence::RowSource;
use crate::contract::window::LedgerWindow;
use crate::database::load::FoldWhen;
use crate::database::progress::CompletedWindow;
use crate::error::{Error, Result};
use crate::report::{Event, Report, Watch, WindowReport, WindowStatus};
use crate::store::StagedObject;
use crate::store::archive::remove_staged;

/// The default number of parallel windows: one is drained while another is loaded.
pub(super) const WORKERS: usize = 2;

/// A replay folds before it continues when more than this many rows were loaded since its last fold.
const ROWS_BETWEEN_FOLDS: u64 = 500_000;

/// The work of a run.
pub(super) struct Job {
    /// The windows and the origin of their rows.
    pub(super) work: Work,
    /// When the windows are folded.
    pub(super) fold_when: FoldWhen,
    /// Number of parallel windows; at least 1.
    pub(super) workers: usize,
}

/// Windows and the origin of their rows.
pub(super) enum Work {
    /// Completed windows to replace, then the missing ledgers, from the source or from sealed objects that fit.
    Source { wanted: Wanted, sealed: Vec<StagedObject>, replaced: Vec<CompletedWindow> },
    /// The missing ledgers that the archive has.
    Archive { wanted: Wanted },
    /// Windows of this database that only the archive has.
    Lost { wanted: Wanted, pieces: Vec<Piece> },
}

/// A message from a worker.
enum Told {
    /// A window is done, or has bad data.
    Window(WindowReport),
    /// The source failed a window, which cannot be narrowed.
    Suspect(Suspect),
    /// A window failed, and its parts are tried.
    Narrowed(Error),
    /// The run cannot continue.
    Trouble(Error),
}

/// A window that failed by its own fault or by the source's.
struct Suspect {
    window: LedgerWindow,
    replaces: bool,
    error: Error,
}

/// Does the job, and once more if another process loaded a part of a window first: the rest is planned again. At the
/// end everything is folded, summarised and analysed. `report` is always up to date, because this future may be dropped
/// at any point when the host's time ends.
///
/// # Errors
/// The first error that affects more than one window. Windows loaded before it stay loaded.
pub(super) async fn load_windows(
    context: &Arc<Context>,
    mut job: Job,
    watch: &Watch,
    report: &mut Report,
) -> Result<()> {
    let begun = Instant::now();
    loop {
        let done_before = report.windows.len();
        load_once(context, &mut job, watch, report).await?;
        let done = &report.windows[done_before..];
        if !done.iter().any(|window| window.status == WindowStatus::PartlyLoaded) {
            break;
        }
    }
    if job.fold_when == FoldWhen::Later {
        fold_pending(context, watch).await?;
    }
    tend(context, report).await?;
    report.duration = begun.elapsed();
    Ok(())
}

/// Executes one plan.
async fn load_once(context: &Arc<Context>, job: &mut Job, watch: &Watch, report: &mut Report) -> Result<()> {
    let planner = match &mut job.work {
        // What is planned once more is only what is missing then.
        Work::Source { wanted, sealed, replaced } => {
            let (sealed, replaced) = (std::mem::take(sealed), std::mem::take(replaced));
            Planner::missing(context, *wanted, sealed, replaced).await?
        }
        Work::Archive { wanted } => {
            let client = context.session().await?;
            let (pieces, absent) = archived_pieces(context, &client, wanted.range).await?;
            report.not_in_archive = absent;
            drop(client);
            make_partitions(context, pieces.iter().map(|piece| piece.window)).await?;
            Planner::archived(context, *wanted, pieces)
        }
        Work::Lost { wanted, pieces } => {
            make_partitions(context, pieces.iter().map(|piece| piece.window)).await?;
            Planner::archived(context, *wanted, std::mem::take(pieces))
        }
    };
    watch(Event::Planned(planner.ledgers()));
    let planner = Mutex::new(planner);
    let (teller, mut told) = mpsc::unbounded_channel();
    let crew = Crew {
        context,
        planner: &planner,
        changes: watch::Sender::new(()),
        attribution: Attribution::default(),
        fold_when: job.fold_when,
    };
    let workers: Vec<_> = (0..job.workers.max(1)).map(|_| crew.work(teller.clone())).collect();
    drop(teller);
    let listening = listen(context, &mut told, job.fold_when, watch, report);
    let (heard, ()) = futures::future::join(listening, async {
        futures::future::join_all(workers).await;
    })
    .await;
    report.stopped_early = planner.lock().await.stopped_early();
    heard
}

/// Collects the workers' messages, folds between windows, and records the windows that failed by their own fault.
async fn listen(
    context: &Arc<Context>,
    told: &mut mpsc::UnboundedReceiver<Told>,
    fold_when: FoldWhen,
    watch: &Watch,
    report: &mut Report,
) -> Result<()> {
    let mut unfolded_rows = 0;
    let mut suspects: Vec<Suspect> = Vec::new();
    let (mut narrowed, mut trouble): (Option<Error>, Option<Error>) = (None, None);
    while let Some(told) = told.recv().await {
        match told {
            Told::Window(window) => {
                if window.source == RowSource::Flight {
                    suspects = try_suspects(context, suspects, watch, report).await?;
                }
                unfolded_rows += window.rows;
                watch(Event::Window(&window));
                report.windows.push(window);
                if fold_when == FoldWhen::Later && unfolded_rows >= ROWS_BETWEEN_FOLDS {
                    fold_pending(context, watch).await?;
                    unfolded_rows = 0;
                }
            }
            Told::Suspect(suspect) => suspects.push(suspect),
            Told::Narrowed(error) => narrowed = narrowed.or(Some(error)),
            Told::Trouble(error) => trouble = trouble.or(Some(error)),
        }
    }
    if let Some(error) = trouble {
        return Err(error);
    }
    if let Some(suspect) = try_suspects(context, suspects, watch, report).await?.into_iter().next() {
        return Err(suspect.error);
    }
    match narrowed {
        // There was no time for the parts.
        Some(error) if report.windows.is_empty() => Err(error),
        _ => Ok(()),
    }
}

/// Records suspects as failed if the source serves a loaded ledger now. (That it served a window before proves nothing: it may
/// have failed since.) Returns them if it does not.
async fn try_suspects(
    context: &Context,
    suspects: Vec<Suspect>,
    watch: &Watch,
    report: &mut Report,
) -> Result<Vec<Suspect>> {
    let Some(last) = suspects.last() else { return Ok(suspects) };
    if is_served(context, last.window).await? != Some(true) {
        return Ok(suspects);
    }
    for Suspect { window, replaces, error } in suspects {
        let failed = record_failure(context, window, replaces, &error, None).await?;
        watch(Event::Window(&failed));
        report.windows.push(failed);
    }
    Ok(Vec::new())
}

/// What the workers of a run share.
struct Crew<'a, 'p> {
    context: &'a Arc<Context>,
    planner: &'a Mutex<Planner<'p>>,
    /// A window was finished, so there may be new ones.
    changes: watch::Sender<()>,
    attribution: Attribution,
    fold_when: FoldWhen,
}

impl Crew<'_, '_> {
    /// One worker. It ends when no window is left, and none is under way whose parts may be left.
    async fn work(&self, teller: mpsc::UnboundedSender<Told>) {
        let mut changes = self.changes.subscribe();
        loop {
            let mut planner = self.planner.lock().await;
            let planned = planner.next().await;
            let may_follow = planner.is_under_way();
            changes.mark_unchanged();
            drop(planner);
            let told = match planned {
                Ok(Some(planned)) => {
                    let told = self.perform(planned).await.unwrap_or_else(|error| Some(Told::Trouble(error)));
                    self.planner.lock().await.finished();
                    self.changes.send_replace(());
                    told
                }
                Ok(None) if may_follow => {
                    // It cannot fail: the sender is in `self`.
                    let _ = changes.changed().await;
                    continue;
                }
                Ok(None) => return,
                Err(error) => Some(Told::Trouble(error)),
            };
            let is_trouble = matches!(told, Some(Told::Trouble(_)));
            if is_trouble {
                self.planner.lock().await.stop();
            }
            // The listener receives until all workers end.
            let _ = told.map(|told| teller.send(told));
            if is_trouble {
                return;
            }
        }
    }

    /// Performs a window, as a separate task, so that a panic becomes an error here.
    async fn perform(&self, planned: Planned) -> Result<Option<Told>> {
        let (window, source) = (planned.window()?, planned.source());
        let begun = Instant::now();
        let mut task = JoinSet::new();
        let (shared, fold_when, copy) = (Arc::clone(self.context), self.fold_when, planned.clone());
        task.spawn(async move { perform(&shared, copy, fold_when).await }.in_current_span());
        let performed = match task.join_next().await {
            Some(Ok(performed)) => performed,
            Some(Err(error)) => return Err(Error::Unexpected(format!("ledgers {window}: {error}"))),
            None => return Ok(None),
        };
        if source == RowSource::Flight
            && let Ok(Performed::Done(report) | Performed::AtTip(Some(report))) = &performed
            && report.rows > 0
        {
            self.attribution.served();
        }
        match performed {
            Ok(Performed::Done(report)) => {
                self.context.budget.note(window, begun.elapsed());
                Ok(Some(Told::Window(report)))
            }
            Ok(Performed::AtTip(report)) => {
                self.planner.lock().await.source_ended();
                Ok(report.map(Told::Window))
            }
            Ok(Performed::Bad(error, object)) => {
                self.bad_data(&planned, window, error, object).await.map(Some)
            }
            Err(error @ Error::Source { .. }) => {
                self.failed(&planned, window, error, begun.elapsed()).await.map(Some)
            }
            Err(error) => Err(error),
        }
    }

    /// A window with bad data: narrowed, or recorded as failed.
    async fn bad_data(
        &self,
        planned: &Planned,
        window: LedgerWindow,
        error: Error,
        object: Option<Path>,
    ) -> Result<Told> {
        let ledger = if let Error::BadData { ledger, .. } = &error { *ledger } else { 0 };
        match self.attribution.bad_data(self.context, planned, window, ledger).await {
            Verdict::Narrow(parts) => {
                if let Some(object) = object {
                    remove_staged(self.context.store(), &object).await?;
                }
                Ok(self.narrow(window, parts, error).await)
            }
            Verdict::Suspect | Verdict::BadSource => {
                let replaces = matches!(planned, Planned::Replace(_));
                record_failure(self.context, window, replaces, &error, object).await.map(Told::Window)
            }
        }
    }

    /// A window that the source failed: narrowed, or a suspect.
    async fn failed(
        &self,
        planned: &Planned,
        window: LedgerWindow,
        error: Error,
        took: Duration,
    ) -> Result<Told> {
        match self.attribution.failed(self.context, planned, window, &error, took).await? {
            Verdict::Narrow(parts) => return Ok(self.narrow(window, parts, error).await),
            Verdict::BadSource => self.planner.lock().await.stop(),
            Verdict::Suspect => {}
        }
        let replaces = matches!(planned, Planned::Replace(_));
        Ok(Told::Suspect(Suspect { window, replaces, error }))
    }

    /// Plans the parts of a window that failed.
    async fn narrow(&self, window: LedgerWindow, parts: Vec<LedgerWindow>, error: Error) -> Told {
        tracing::warn!(
            step = "narrow",
            start_ledger = window.start(),
            end_ledger = window.end(),
            parts = parts.len(),
            error = %error.chain(),
            "the window failed; trying its parts"
        );
        self.planner.lock().await.narrow(parts);
        Told::Narrowed(error)
    }
}
