//! Workers: each takes a window, stages it, loads it, and takes the next. With two workers, the source and PostgreSQL
//! work at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tracing::Instrument;

use super::context::Context;
use super::follow_up::{fold_pending, tend};
use super::planner::{Planned, Planner, Wanted};
use super::window::{Performed, perform};
use crate::contract::window::LedgerWindow;
use crate::database::load::FoldWhen;
use crate::database::progress::{self, CompletedWindow};
use crate::error::{Error, Result};
use crate::report::{Event, Report, Watch, WindowReport, WindowStatus};
use crate::store::StagedObject;

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
    /// The missing ledgers, from the source or from sealed objects that fit.
    Missing { wanted: Wanted, sealed: Vec<StagedObject> },
    /// Completed windows to replace, then the missing ledgers between them.
    Replace { wanted: Wanted, sealed: Vec<StagedObject>, replaced: Vec<CompletedWindow> },
    /// Objects of the archive.
    Archived { wanted: Wanted, objects: Vec<StagedObject> },
}

impl Work {
    /// The ranges that rows may be loaded for.
    pub(super) fn ranges(&self) -> Result<Vec<LedgerWindow>> {
        match self {
            Work::Missing { wanted, .. } | Work::Replace { wanted, .. } => Ok(vec![wanted.range]),
            Work::Archived { objects, .. } => objects.iter().map(StagedObject::window).collect(),
        }
    }

    /// The whole scope.
    fn wanted(&self) -> Wanted {
        match self {
            Work::Missing { wanted, .. } | Work::Replace { wanted, .. } | Work::Archived { wanted, .. } => {
                *wanted
            }
        }
    }
}

/// A message from a worker.
enum Told {
    /// A window is done, or failed for its own reason.
    Window(WindowReport),
    /// The source failed a window; the next windows show whether the window or the source is at fault.
    SourceFailed(WindowReport, Error),
    /// The run cannot continue.
    Trouble(Error),
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
    let again = Work::Missing { wanted: job.work.wanted(), sealed: Vec::new() };
    let planner = match std::mem::replace(&mut job.work, again) {
        Work::Missing { wanted, sealed } => Planner::missing(context, wanted, sealed, Vec::new()).await?,
        Work::Replace { wanted, sealed, replaced } => {
            Planner::missing(context, wanted, sealed, replaced).await?
        }
        Work::Archived { wanted, objects } => Planner::archived(context, wanted, objects),
    };
    watch(Event::Planned(planner.ledgers()));
    let planner = Mutex::new(planner);
    let (teller, mut told) = mpsc::unbounded_channel();
    let failures = AtomicU32::new(0);
    let mut workers = Vec::new();
    for _ in 0..job.workers.max(1) {
        workers.push(work(context, &planner, &failures, teller.clone(), job.fold_when));
    }
    drop(teller);
    let listening = listen(context, &mut told, job.fold_when, watch, report, &planner);
    let (heard, ()) = futures::future::join(listening, async {
        futures::future::join_all(workers).await;
    })
    .await;
    report.stopped_early = planner.into_inner().stopped_early();
    heard
}

/// Collects the workers' messages, folds between windows, and distinguishes failing windows from a failing source.
async fn listen(
    context: &Arc<Context>,
    told: &mut mpsc::UnboundedReceiver<Told>,
    fold_when: FoldWhen,
    watch: &Watch,
    report: &mut Report,
    planner: &Mutex<Planner<'_>>,
) -> Result<()> {
    let mut unfolded_rows = 0;
    let mut suspects: Vec<(WindowReport, Error)> = Vec::new();
    let mut trouble: Option<Error> = None;
    while let Some(told) = told.recv().await {
        match told {
            Told::Window(window) => {
                // Others pass, so the windows that failed before are at fault themselves.
                for (suspect, error) in suspects.drain(..) {
                    mark_failed(context, &suspect, &error).await?;
                    watch(Event::Window(&suspect));
                    report.windows.push(suspect);
                }
                unfolded_rows += window.rows;
                watch(Event::Window(&window));
                report.windows.push(window);
                if fold_when == FoldWhen::Later && unfolded_rows >= ROWS_BETWEEN_FOLDS {
                    fold_pending(context, watch).await?;
                    unfolded_rows = 0;
                }
            }
            Told::SourceFailed(window, error) => {
                suspects.push((window, error));
            }
            Told::Trouble(error) => {
                planner.lock().await.stop();
                trouble = trouble.or(Some(error));
            }
        }
    }
    match trouble.or_else(|| suspects.into_iter().next().map(|(_, error)| error)) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// One worker: each window runs as a separate task, so that a panic becomes an error here. `failures` counts the
/// windows that the source failed since the last success: at the second, no more requests are sent.
async fn work(
    context: &Arc<Context>,
    planner: &Mutex<Planner<'_>>,
    failures: &AtomicU32,
    teller: mpsc::UnboundedSender<Told>,
    fold_when: FoldWhen,
) {
    let tell = |told| {
        // the listener receives until all workers end
        let _ = teller.send(told);
    };
    loop {
        let planned: Planned = match planner.lock().await.next().await {
            Ok(Some(planned)) => planned,
            Ok(None) => return,
            Err(error) => return tell(Told::Trouble(error)),
        };
        let window = match planned.window() {
            Ok(window) => window,
            Err(error) => return tell(Told::Trouble(error)),
        };
        let begun = Instant::now();
        let mut task = JoinSet::new();
        let shared = Arc::clone(context);
        let performing = async move { perform(&shared, planned, fold_when).await };
        task.spawn(performing.in_current_span());
        let performed = match task.join_next().await {
            Some(Ok(done)) => done,
            Some(Err(error)) => {
                return tell(Told::Trouble(Error::Unexpected(format!("ledgers {window}: {error}"))));
            }
            None => return,
        };
        match performed {
            Ok(Performed::Done(report)) => {
                failures.store(0, Ordering::Relaxed);
                context.budget.note(window, begun.elapsed());
                tell(Told::Window(report));
            }
            Ok(Performed::AtTip(report)) => {
                planner.lock().await.stop();
                if let Some(report) = report {
                    tell(Told::Window(report));
                }
            }
            Err(error @ Error::Source { .. }) => {
                if failures.fetch_add(1, Ordering::Relaxed) > 0 {
                    planner.lock().await.stop();
                }
                tell(Told::SourceFailed(WindowReport::failed(window, &error), error));
            }
            Err(error) => return tell(Told::Trouble(error)),
        }
    }
}

/// Records a window as failed that the source fails while it serves others.
async fn mark_failed(context: &Context, window: &WindowReport, error: &Error) -> Result<()> {
    let client = context.session().await?;
    progress::mark_failed(&client, window.window()?, &error.chain(), None).await.map(drop)
}
