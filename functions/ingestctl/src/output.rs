//! Results on stdout: tables for people, JSON for machines. The only place that prints.
use std::io::Write;

use crate::numbers::{count, cure, number, time};
use crate::strip;
use comfy_table::{Cell, CellAlignment, LineStyle, Table, TableStyle, presets};
use pipeline::{
    Adoption, CheckpointVerification, Coverage, KnownAsset, Maintenance, Migration, Plan, Report,
    SnapshotReport, Status, Verification, WindowStatus,
};

/// The largest number of rows of a table; longer ones are cut in the middle.
const TABLE_ROWS: usize = 12;

/// A line below the header, and no other lines.
const QUIET: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// Like the standard library's, but without its panic on a closed pipe: see [`tell`].
macro_rules! println {
    ($($text:tt)*) => { tell(format_args!($($text)*)) };
}

/// Writes a line to stdout. A closed pipe, as in `ingestctl status | head`, is not a failure: the command has done its
/// work, and its exit code says so. Any other error, such as a full disk, ends the process with code 1.
fn tell(line: std::fmt::Arguments<'_>) {
    let told = writeln!(std::io::stdout().lock(), "{line}");
    if let Err(error) = told.and_then(|()| std::io::stdout().flush())
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        complain(&format!("cannot write the result to stdout: {error}"));
        std::process::exit(1);
    }
}

/// Prints the error to stderr, in one line. If nobody reads it, the exit code must be enough.
pub(crate) fn complain(problem: &str) {
    let _ = writeln!(std::io::stderr(), "ingestctl: {problem}");
}

/// Prints a value as one line of JSON.
pub(crate) fn json(value: &impl serde::Serialize) -> Result<(), pipeline::Error> {
    let text = serde_json::to_string(value).map_err(|e| pipeline::Error::Unexpected(e.to_string()))?;
    println!("{text}");
    Ok(())
}

/// A table whose columns marked `>` are aligned to the right.
fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(QUIET);
    table.set_header(header.iter().map(|h| Cell::new(h.trim_start_matches('>'))));
    for (column, title) in table.column_iter_mut().zip(header) {
        if title.starts_with('>') {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// The result of `snapshot`.
pub(crate) fn snapshot(report: &SnapshotReport) {
    let SnapshotReport { ledger, bucket_list_hash, rows, loaded, object } = report;
    let rows = if *rows == 1 { "1 entry".to_owned() } else { format!("{} entries", number(*rows)) };
    if *loaded {
        println!("Loaded the state at checkpoint {ledger}: {rows}.");
    } else {
        println!("This database already begins with the state at checkpoint {ledger}: {rows}.");
    }
    println!(
        "The source has proven it by the hash of all state in that ledger's header, {bucket_list_hash}."
    );
    println!("It is archived as {object}. Windows begin at ledger {}: `ingestctl run`.", ledger + 1);
}

/// The result of `verify --checkpoint`.
pub(crate) fn checkpoint(found: &CheckpointVerification) {
    for example in &found.examples {
        println!("key {} of {}: {}", example.ledger_key_hash, example.contract_id, example.problem);
    }
    let more = found.different - found.examples.len() as u64;
    if more > 0 {
        println!("… and {} more.", number(more));
    }
    let mut facts = Table::new();
    facts.load_style(presets::NOTHING);
    let mut fact = |name: &str, value: String| {
        facts.add_row([name.to_owned(), value]);
    };
    fact("checkpoint", found.ledger.to_string());
    fact("hash of all state", found.bucket_list_hash.clone());
    fact("digest of entries", found.rows_digest.clone());
    fact("entries", number(found.entries));
    fact("equal", number(found.equal));
    fact("gone here as there", number(found.gone));
    if found.not_loaded > 0 {
        fact("older than what is loaded", number(found.not_loaded));
    }
    fact("different", number(found.different));
    println!("{facts}");
    if found.different == 0 {
        println!("The state at ledger {} is the network's.", found.ledger);
    }
}

/// The result of `migrate`.
pub(crate) fn migration(migration: &Migration, only_checked: bool) {
    let functions = migration.functions.join(", ");
    if !functions.is_empty() && only_checked {
        println!(
            "Functions or views that differ from this release: {functions}. Run `ingestctl migrate` to replace them."
        );
        return;
    }
    if !functions.is_empty() {
        println!("Replaced: {functions}");
    }
    if migration.applied.is_empty() {
        println!("The schema is up to date: version {}.", migration.from);
        return;
    }
    let verb = if only_checked { "Missing" } else { "Applied" };
    for name in &migration.applied {
        println!("{verb}: {name}");
    }
    if only_checked {
        println!(
            "The schema has version {}, this loader requires {}: run `ingestctl migrate`.",
            migration.from, migration.to
        );
    } else {
        println!("The schema now has version {}.", migration.to);
    }
    if let Some(advice) = &migration.advice {
        println!("{advice}");
    }
}

/// The result of `maintain`.
pub(crate) fn maintenance(maintenance: &Maintenance) {
    let dry = maintenance.dry_run;
    let names = |names: &[String]| names.join(", ");
    if maintenance.partitions.is_empty() {
        println!("No partitions to create: nothing is loaded, and no schedule has begun.");
    } else if maintenance.made.is_empty() {
        println!("Partitions: {}.", names(&maintenance.partitions));
    } else {
        let verb = if dry { "Would be created" } else { "Created" };
        println!("{verb}: {}.", names(&maintenance.made));
    }
    match maintenance.retained_from {
        Some(ledger) if dry => println!("Would retain the ledgers from {ledger} on."),
        Some(ledger) => println!("Retained: the ledgers from {ledger} on."),
        None => println!("Everything is retained."),
    }
    if !maintenance.dropped.is_empty() {
        let mut dropped = table(&[if dry { "would be dropped" } else { "dropped" }, ">rows", ">bytes"]);
        for partition in &maintenance.dropped {
            dropped.add_row([partition.partition.clone(), number(partition.rows), number(partition.bytes)]);
        }
        println!("{dropped}");
    }
    if !maintenance.tended.is_empty() {
        println!("Updated summaries and statistics: {}.", names(&maintenance.tended));
    }
    for left_over in &maintenance.removed {
        let verb = if dry { "Would be removed" } else { "Removed" };
        println!("{verb}: {} ({}): {}.", left_over.object, count(left_over.bytes, "byte"), left_over.why);
    }
    for stray in &maintenance.moved_aside {
        let verb = if dry { "Would be moved aside" } else { "Moved aside" };
        println!("{verb}: {} ({} bytes): other windows have its ledgers.", stray.object, number(stray.bytes));
    }
    for stray in &maintenance.strays {
        println!("In the archive without a window: {}: {}.", stray.object, stray.problem);
    }
    for postponed in &maintenance.postponed {
        println!("Not now: {}: {}. The next maintain continues with it.", postponed.what, postponed.why);
    }
    if dry {
        println!("Dry run: nothing was written.");
    }
}

/// The result of a run or replay.
pub(crate) fn report(report: &Report) {
    if report.busy {
        println!("Another scheduled run is active; nothing was done.");
        return;
    }
    if let Some((start, end)) = report.widened {
        println!("Widened to whole windows: ledgers {start} to {end}.");
    }
    if let Some(ledger) = report.retained_from {
        println!("Ledgers below {ledger} are not retained; starting at {ledger}.");
    }
    if report.windows.is_empty() {
        println!("Nothing to do: no missing ledger can be loaded now.");
    } else {
        let mut windows = table(&[">start ledger", ">end ledger", ">rows", "status", "source"]);
        let all = report.windows.len();
        for (i, w) in report.windows.iter().enumerate() {
            if all > TABLE_ROWS && i == TABLE_ROWS / 2 {
                windows.add_row(["…", "…", "…", &format!("({} more)", all - TABLE_ROWS), ""]);
            }
            if all > TABLE_ROWS && (TABLE_ROWS / 2..all - TABLE_ROWS / 2).contains(&i) {
                continue;
            }
            let status = match w.status {
                WindowStatus::Completed => "completed",
                WindowStatus::AlreadyLoaded => "already loaded",
                WindowStatus::PartlyLoaded => "partly loaded",
                WindowStatus::Replaced => "replaced",
                WindowStatus::NotRetained => "not retained",
                WindowStatus::Failed => "FAILED",
            };
            let (start, end) = (w.start_ledger.to_string(), w.end_ledger.to_string());
            windows.add_row([start, end, number(w.rows), status.to_owned(), w.source.as_str().to_owned()]);
        }
        println!("{windows}");
        let seconds = report.duration.as_secs_f64();
        let rate = (report.rows() as f64 / seconds.max(0.001)) as u64;
        println!(
            "{} in {}, {seconds:.1} s, {} rows/s.",
            count(report.rows(), "row"),
            count(all as u64, "window"),
            number(rate)
        );
    }
    let failed: Vec<_> = report.failed().collect();
    if !failed.is_empty() {
        match failed.len() {
            1 => println!("1 window failed; it is recorded, and later runs retry it:"),
            n => {
                println!("{} windows failed; they are recorded, and later runs retry them:", number(n as u64))
            }
        }
        for window in failed {
            let error = window.error.as_deref().unwrap_or_default();
            println!("  ledgers {}-{}: {error}", window.start_ledger, window.end_ledger);
        }
    }
    if let Some(next) = report.next_ledger {
        println!("Next ledger: {next}{}.", if report.caught_up { " (caught up)" } else { "" });
    }
    if !report.not_in_archive.is_empty() {
        let gaps = &report.not_in_archive;
        let named: Vec<_> = gaps.iter().take(TABLE_ROWS).map(ToString::to_string).collect();
        let more = gaps.len().saturating_sub(TABLE_ROWS);
        let more = if more > 0 { format!(", and {more} more ranges") } else { String::new() };
        println!("Not in the archive: ledgers {}{more}.", named.join(", "));
    }
    if let Some(end) = report.source_ends_at {
        println!("The source ends at ledger {end}: later ledgers are not loaded. Run again later.");
    }
}

/// The plan of a replay.
pub(crate) fn plan(plan: &Plan) {
    if let Some(ledger) = plan.retained_from {
        println!("Ledgers below {ledger} are not retained; starting at {ledger}.");
    }
    println!(
        "Ledgers {} to {}: the source has {}, in {}.",
        plan.start_ledger,
        plan.end_ledger,
        count(plan.ledgers, "missing ledger"),
        count(plan.windows, "window")
    );
    if plan.replaced > 0 {
        println!("{} would be replaced.", count(plan.replaced, "completed window"));
    }
    if plan.invocations > 0 {
        println!(
            "As a backfill: {} of the function, {} for objects of up to 5 MiB.",
            count(plan.invocations as u64, "invocation"),
            count(plan.put_requests, "PUT request")
        );
    }
    if !plan.first_windows.is_empty() {
        let mut windows = table(&[">start ledger", ">end ledger", ">ledgers"]);
        for (start, end) in &plan.first_windows {
            windows.add_row([start.to_string(), end.to_string(), number(u64::from(end - start) + 1)]);
        }
        println!("{windows}");
        let more = plan.windows + plan.replaced - plan.first_windows.len() as u64;
        if more > 0 {
            println!("… and {} more.", number(more));
        }
    }
    match plan.source_ends_at {
        Some(tip) if tip < plan.end_ledger => println!("The source ends at ledger {tip}."),
        Some(_) => {}
        None => println!("The source has no ledgers yet, or does not declare them."),
    }
    println!("Dry run: nothing was written.");
}

/// The status, with the coverage.
pub(crate) fn status(status: &Status, coverage: Option<&Coverage>) {
    let ledger = |l: Option<u32>| l.map_or_else(|| "–".to_owned(), |l| l.to_string());
    let mut facts = Table::new();
    facts.load_style(presets::NOTHING);
    let mut fact = |name: &str, value: String| {
        facts.add_row([name.to_owned(), value]);
    };
    fact("network", status.network.clone());
    fact("loaded", format!("{} to {}", ledger(status.first_ledger), ledger(status.last_ledger)));
    if status.retained_from.is_some() {
        fact("retained from", ledger(status.retained_from));
    }
    fact("state", status.state.clone());
    fact("windows", number(status.windows));
    fact("ledgers", number(status.ledgers));
    fact("rows", number(status.rows));
    fact(
        "gaps",
        if status.gap_count == 0 {
            "none".to_owned()
        } else {
            format!("{} (below)", number(status.gap_count))
        },
    );
    match (&status.source, &status.source_error) {
        (Some(source), _) => fact("source", format!("{} to {}", source.start_ledger, source.end_ledger)),
        (None, Some(error)) => fact("source", error.clone()),
        (None, None) => fact("source", "–".to_owned()),
    }
    fact(
        "lag",
        match (status.lag_ledgers, status.lag_seconds) {
            (Some(ledgers), Some(seconds)) => {
                format!("{}; newest row {} s old", count(ledgers, "ledger"), number(seconds))
            }
            (Some(ledgers), None) => count(ledgers, "ledger"),
            (None, Some(seconds)) => format!("newest row {} s old", number(seconds)),
            (None, None) => "–".to_owned(),
        },
    );
    fact("schedule starts at", ledger(status.schedule_start));
    fact("not folded yet", count(status.unfolded_windows, "window"));
    fact("not archived yet", count(status.unarchived_windows, "window"));
    fact(
        "times to live",
        match status.ttls_whole_from {
            Some(ledger) => format!("known from ledger {ledger} on"),
            None => "of the newest ledger not known".to_owned(),
        },
    );
    println!("{facts}");
    if let Some(coverage) = coverage {
        println!("\nLedgers");
        println!("{}", strip::draw(coverage));
        let missing = coverage.missing();
        println!("{} {} missing.", count(missing, "ledger"), if missing == 1 { "is" } else { "are" });
    }
    if !status.gaps.is_empty() {
        println!("\nGaps");
        let mut gaps = table(&[">start ledger", ">end ledger", ">ledgers"]);
        for gap in &status.gaps {
            let length = number(gap.ledgers());
            gaps.add_row([gap.start().to_string(), gap.end().to_string(), length]);
        }
        println!("{gaps}");
    }
    if !status.under_way.is_empty() {
        println!("\nUnder way");
        let mut windows = table(&[">start ledger", ">end ledger", "since"]);
        for w in &status.under_way {
            windows.add_row([w.window.start().to_string(), w.window.end().to_string(), time(w.started_at)]);
        }
        println!("{windows}");
    }
    if !status.failed.is_empty() {
        println!("\nFailed");
        let mut windows = table(&[">start ledger", ">end ledger", ">attempts", "why"]);
        for w in &status.failed {
            let why = w.error_message.clone().unwrap_or_default();
            windows.add_row([
                w.window.start().to_string(),
                w.window.end().to_string(),
                w.attempts.to_string(),
                why,
            ]);
        }
        println!("{windows}");
        if status.failed_count > status.failed.len() as i64 {
            println!("… and {} more.", number(status.failed_count - status.failed.len() as i64));
        }
        println!(
            "Later runs retry them at growing intervals. Once the cause is fixed, load them at once with:"
        );
        for window in status.failed.iter().take(TABLE_ROWS) {
            println!("  {}", cure(window));
        }
    }
    if !status.last_windows.is_empty() {
        println!("\nLast windows");
        let mut windows =
            table(&[">start ledger", ">end ledger", ">rows", "completed", "source", ">drain ms", ">load ms"]);
        for w in &status.last_windows {
            let ms = |ms: Option<i64>| ms.map_or_else(|| "–".to_owned(), number);
            windows.add_row([
                w.window.start().to_string(),
                w.window.end().to_string(),
                number(w.rows),
                time(w.completed_at),
                w.source.clone().unwrap_or_default(),
                ms(w.drain_ms),
                ms(w.load_ms),
            ]);
        }
        println!("{windows}");
    }
}

/// Known assets.
pub(crate) fn assets(assets: &[KnownAsset]) {
    let mut known = table(&["code", "issuer", "type", "contract", "learnt from"]);
    for asset in assets {
        known.add_row([
            asset.asset_code.clone().unwrap_or_else(|| "–".to_owned()),
            asset.asset_issuer.clone().unwrap_or_else(|| "–".to_owned()),
            asset.asset_type.clone(),
            asset.contract_id.clone(),
            asset.learnt_from.clone(),
        ]);
    }
    println!("{known}");
}

/// The result of `archive adopt`.
pub(crate) fn adoption(adoption: &Adoption) {
    let Adoption { archive, network, database_id, before, since } = adoption;
    match (before, since) {
        (Some(before), Some(_)) if before == database_id => {
            println!(
                "The archive of {network} under {archive} already belongs to this database, {database_id}."
            );
        }
        (Some(before), Some(since)) => println!(
            "The archive of {network} under {archive} belonged to database {before} since {}. Now it belongs to this one, \
             {database_id}.",
            time(*since)
        ),
        (Some(before), None) => println!(
            "The archive of {network} under {archive} had no mark, and has objects of database {before}. Now it belongs to \
             this one, {database_id}."
        ),
        (None, _) => {
            println!(
                "The archive of {network} under {archive} was empty. Now it belongs to this database, {database_id}."
            );
        }
    }
}

/// The result of verify.
pub(crate) fn verification(verification: &Verification) {
    for finding in &verification.findings {
        match (finding.start_ledger, finding.end_ledger) {
            (Some(start), Some(end)) => println!("ledgers {start}-{end}: {}", finding.problem),
            _ => println!("{}", finding.problem),
        }
    }
    let compared =
        format!("{}, {} compared", count(verification.windows, "window"), count(verification.rows, "row"));
    if let Some(ledger) = verification.retained_from.filter(|_| verification.not_retained > 0) {
        println!(
            "Ledgers below {ledger} are not retained: {} {} not compared.",
            count(verification.not_retained, "window"),
            if verification.not_retained == 1 { "was" } else { "were" }
        );
    }
    match verification.findings.len() {
        0 => println!("{compared}: object = entries = progress, current_states = fold, no overlap."),
        n => println!("{compared}: {}.", count(n as u64, "difference")),
    }
}
