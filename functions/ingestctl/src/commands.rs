//! The commands: each reads the configuration, makes one library call, prints the result, and returns an exit code.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use pipeline::{
    Clients, Config, Error, Event, LedgerWindow, ReplayKind, ReplayOptions, Report, Result, SnapshotOptions,
    Watch,
};

use crate::cli::{ArchiveCommand, AssetsCommand, Cli, Command};
use crate::{logging, output, serve, strip};

/// Verify found a difference.
const DIFFERENT: u8 = 7;
/// The source ends before the requested range.
const SOURCE: u8 = 3;
/// The database, or its schema.
const DATABASE: u8 = 5;
/// A value that cannot be loaded.
const BAD_DATA: u8 = 6;

/// How long other threads may continue after the command has finished.
const LEFTOVERS: Duration = Duration::from_secs(1);

/// Executes the command line and returns its exit code.
pub(crate) fn execute(cli: Cli) -> ExitCode {
    let bar = ProgressBar::no_length();
    bar.set_style(ProgressStyle::default_spinner());
    bar.set_draw_target(indicatif::ProgressDrawTarget::hidden());
    let outcome = configure(&cli, &bar).and_then(|config| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|e| Error::Unexpected(format!("cannot start the runtime: {e}")))?;
        let outcome = runtime.block_on(perform(cli.command, config, &bar));
        // Do not wait for name lookups or file reads whose results are no longer needed.
        runtime.shutdown_timeout(LEFTOVERS);
        outcome
    });
    bar.finish_and_clear();
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            output::complain(&error.chain());
            ExitCode::from(exit_code(&error))
        }
    }
}

/// The exit code of an error: the step that failed.
fn exit_code(error: &Error) -> u8 {
    match error {
        Error::Config { .. } | Error::Usage(_) => 2,
        Error::Source { .. } => SOURCE,
        Error::Staging { .. } | Error::Corrupt { .. } | Error::ForeignArchive(_) => 4,
        Error::Database { .. } | Error::Schema(_) => DATABASE,
        Error::BadData { .. } => BAD_DATA,
        _ => 1,
    }
}

/// Reads the configuration and starts logging.
fn configure(cli: &Cli, bar: &ProgressBar) -> Result<Config> {
    let config = Config::with_overrides(&cli.overrides())?;
    logging::start(&config.log, bar)
        .map_err(|problem| Error::Config { variable: "LOG_LEVEL".to_owned(), problem })?;
    Ok(config)
}

/// Runs one command and returns its exit code.
async fn perform(command: Command, config: Config, bar: &ProgressBar) -> Result<u8> {
    match command {
        Command::Migrate { check, json } => {
            let migration =
                if check { pipeline::check(&config).await? } else { pipeline::migrate(&config).await? };
            tell(json, &migration, |migration| output::migration(migration, check))?;
            let up_to_date = migration.applied.is_empty() && migration.functions.is_empty();
            Ok(if check && !up_to_date { DATABASE } else { 0 })
        }
        Command::Maintain { dry_run, json, .. } => {
            let maintenance = pipeline::maintain(&config, dry_run).await?;
            tell(json, &maintenance, output::maintenance)?;
            Ok(0)
        }
        Command::Run { json } => {
            let report = pipeline::run(&Clients::open(config)?, None, watch(bar)).await?;
            bar.finish_and_clear();
            tell(json, &report, output::report)?;
            Ok(report_code(&report))
        }
        Command::Snapshot { ledger, from_archive, json } => {
            let options = SnapshotOptions { ledger: ledger.ledger(), from_archive };
            let report = pipeline::snapshot(&Clients::open(config)?, options, None, watch(bar)).await?;
            bar.finish_and_clear();
            tell(json, &report, output::snapshot)?;
            Ok(0)
        }
        Command::Replay { range, dry_run, force, parallel, from_archive, trust_end, json } => {
            let range = LedgerWindow::new(range.start_ledger, range.end_ledger)?;
            let parallel = parallel.map(usize::from);
            let kind = match (from_archive, force) {
                (true, _) => ReplayKind::FromArchive,
                (false, true) => ReplayKind::Force { trust_end },
                (false, false) => ReplayKind::Missing { trust_end },
            };
            let options = ReplayOptions { kind, parallel, window_ledgers: None };
            if dry_run {
                let plan = pipeline::plan(&config, range, &options).await?;
                tell(json, &plan, output::plan)?;
                return Ok(0);
            }
            let report = pipeline::replay(&Clients::open(config)?, range, options, None, watch(bar)).await?;
            bar.finish_and_clear();
            tell(json, &report, output::report)?;
            Ok(report_code(&report))
        }
        Command::Assets { command: AssetsCommand::Add { assets, json } } => {
            let known = pipeline::add_assets(&config, &assets).await?;
            tell(json, &known, |known| output::assets(known))?;
            Ok(0)
        }
        Command::Assets { command: AssetsCommand::List { json } } => {
            let known = pipeline::list_assets(&config).await?;
            tell(json, &known, |known| output::assets(known))?;
            Ok(0)
        }
        Command::Archive { command: ArchiveCommand::Adopt { json } } => {
            let adoption = pipeline::adopt_archive(&config).await?;
            tell(json, &adoption, output::adoption)?;
            Ok(0)
        }
        Command::Status { json } => {
            let (status, coverage) = pipeline::status_in_bins(&config, strip::width()).await?;
            tell(json, &status, |status| output::status(status, coverage.as_ref()))?;
            Ok(0)
        }
        Command::Serve => {
            serve::serve(config).await?;
            Ok(0)
        }
        Command::Verify { checkpoint: Some(checkpoint), json, .. } => {
            let found = pipeline::verify_checkpoint(&config, checkpoint.ledger(), watch(bar)).await?;
            bar.finish_and_clear();
            tell(json, &found, output::checkpoint)?;
            Ok(if found.different == 0 { 0 } else { DIFFERENT })
        }
        Command::Verify { checkpoint: None, start_ledger, end_ledger, json } => {
            let range = match (start_ledger, end_ledger) {
                (Some(start), Some(end)) => Some(LedgerWindow::new(start, end)?),
                _ => None,
            };
            let verification = pipeline::verify(&config, range, watch(bar)).await?;
            bar.finish_and_clear();
            tell(json, &verification, output::verification)?;
            Ok(if verification.findings.is_empty() { 0 } else { DIFFERENT })
        }
    }
}

/// Prints a result, as JSON or with `table`.
fn tell<T: serde::Serialize>(json: bool, result: &T, table: impl FnOnce(&T)) -> Result<()> {
    if json {
        return output::json(result);
    }
    table(result);
    Ok(())
}

/// The exit code of a finished run: reflects failed windows, or a source that ended early.
fn report_code(report: &Report) -> u8 {
    let failed = report.failed().count();
    if let Some(first) = report.failed().next() {
        let others =
            if failed > 1 { format!(" ({} more windows failed)", failed - 1) } else { String::new() };
        let error = first.error.as_deref().unwrap_or("failed");
        output::complain(&format!("ledgers {}-{}: {error}{others}", first.start_ledger, first.end_ledger));
    }
    if report.failed().any(|window| window.bad_data) {
        BAD_DATA
    } else if report.failed().next().is_some()
        || report.source_ends_at.is_some()
        || !report.not_in_archive.is_empty()
    {
        SOURCE
    } else {
        0
    }
}

/// Advances the progress bar by ledgers as windows finish. It is drawn on a terminal only.
fn watch(bar: &ProgressBar) -> Watch {
    let bar = bar.clone();
    let rows = std::sync::atomic::AtomicU64::new(0);
    Arc::new(move |event| match event {
        Event::Planned(ledgers) => {
            bar.set_length(ledgers);
            let template = "{bar:30} {percent:>3}% {pos}/{len} ledgers, {msg}{elapsed_precise}, {eta} left";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.set_draw_target(indicatif::ProgressDrawTarget::stderr());
        }
        Event::Window(window) => {
            let rows = rows.fetch_add(window.rows, std::sync::atomic::Ordering::Relaxed) + window.rows;
            bar.set_message(format!("{rows} rows, "));
            bar.inc(u64::from(window.end_ledger - window.start_ledger) + 1);
        }
        Event::Counted(entries) => {
            bar.set_length(entries);
            bar.set_position(0);
            let template = "{bar:30} {percent:>3}% {pos}/{len} entries, {elapsed_precise}, {eta} left";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.set_draw_target(indicatif::ProgressDrawTarget::stderr());
        }
        Event::Entries(entries) => bar.inc(entries),
        Event::Loading => {
            if let Ok(style) = ProgressStyle::with_template("{spinner} loading, {elapsed_precise}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Event::Folding => bar.tick(),
        Event::Verified(window) => bar.inc(window.ledgers()),
        _ => {}
    })
}
