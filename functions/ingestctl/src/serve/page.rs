//! The status page: plain HTML of bounded size, independent of the database's size, with all values escaped.

use chrono::{DateTime, Utc};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use pipeline::{FailedWindow, LastWindow, LedgerWindow, Overview, UnderWay};

use super::chart;
use super::standing::{Snapshot, Standing};
use super::stylesheet::STYLESHEET;
use super::verdict::{self, State, Verdict};
use crate::numbers::{age, bytes, count, cure, number, short_number, time};

/// The largest number of rows of a table; a line below it gives the number of further ones.
const ROWS: usize = 20;

/// The largest number of characters of a message.
const MESSAGE: usize = 600;

/// The page's refresh interval, in seconds.
const REFRESH: u32 = 10;

/// The page.
pub(super) fn render(snapshot: &Snapshot, standing: &Standing, now: DateTime<Utc>) -> Markup {
    let verdict = verdict::of(snapshot, standing, now);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="refresh" content=(REFRESH);
                title { (word(verdict.state)) ": contract data of " (standing.network) }
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLESHEET)) }
            }
            body {
                header {
                    strong { "Contract data loader" }
                    p { "network " (standing.network) }
                    p { "as of " time datetime=(now.to_rfc3339()) { (time(now)) " UTC" } }
                }
                main {
                    (judgement(&verdict))
                    @if let Some(overview) = &snapshot.overview { (of_overview(overview, now)) }
                }
                footer { (imprint(snapshot, standing, now)) }
            }
        }
    }
}

/// The word for a state.
fn word(state: State) -> &'static str {
    match state {
        State::Starting => "Starting",
        State::Well => "Well",
        State::Behind => "Behind",
        State::Trouble => "Trouble",
    }
}

/// The verdict: state, problems and advice.
fn judgement(verdict: &Verdict) -> Markup {
    let word = word(verdict.state);
    let mark = match verdict.state {
        State::Starting => "…",
        State::Well => "✓",
        State::Behind => "➜",
        State::Trouble => "✕",
    };
    html! {
        section class=(format!("verdict {}", word.to_lowercase())) role="status" {
            p class="state" { span aria-hidden="true" { (mark) " " } (word) }
            h1 { (verdict.headline) }
            @if !verdict.points.is_empty() {
                ul {
                    @for point in &verdict.points {
                        li {
                            @if point.what != verdict.headline { b { (point.what) } " " }
                            @if let Some(details) = &point.details { code class="details" { (cut(details)) } }
                            // Text between backticks is code.
                            @for (place, words) in point.advice.split('`').enumerate() {
                                @if place % 2 == 1 { code { (words) } } @else { (words) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The cards and tables of the overview.
fn of_overview(overview: &Overview, now: DateTime<Utc>) -> Markup {
    let status = &overview.status;
    let missing = overview.coverage.as_ref().map(|coverage| coverage.missing());
    html! {
        section class="card" aria-label="Key figures" { (figures(overview, missing, now)) }
        @if let Some(coverage) = &overview.coverage {
            section class="card" {
                h2 {
                    "Ledgers " (coverage.window.start()) " to " (coverage.window.end()) " "
                    span class="aside" {
                        @match coverage.missing() {
                            0 => "– none is missing",
                            missing => { "– " (number(missing)) " are missing" }
                        }
                    }
                }
                (chart::coverage(coverage))
            }
        }
        @if !status.failed.is_empty() { (failed_windows(&status.failed, status.failed_count)) }
        @if !status.under_way.is_empty() { (under_way(&status.under_way, now)) }
        section class="card" {
            h2 { "Throughput" }
            div class="charts" {
                (chart::throughput("Last hour", &overview.last_hour, overview.read_at))
                (chart::throughput("Last day", &overview.last_day, overview.read_at))
            }
        }
        @if !status.gaps.is_empty() { (gaps(&status.gaps, status.gap_count)) }
        @if !status.last_windows.is_empty() { (last_windows(&status.last_windows)) }
        @if !overview.tables.is_empty() {
            section class="card" {
                h2 { "Tables" }
                dl {
                    @for size in overview.tables.iter().take(ROWS) {
                        div { dt { (size.table) } dd { (bytes(size.bytes)) } }
                    }
                }
            }
        }
    }
}

/// The key figures.
fn figures(overview: &Overview, missing: Option<u64>, now: DateTime<Utc>) -> Markup {
    let status = &overview.status;
    let ledger = |ledger: Option<u32>| ledger.map_or_else(|| "–".to_owned(), |ledger| ledger.to_string());
    let counted = |n: Option<u64>| n.map_or_else(|| "–".to_owned(), number);
    let minutes = 5;
    let recent = overview.last_hour.bins.iter().rev().take(minutes).map(|pulse| pulse.rows).sum::<i64>();
    html! {
        dl {
            div {
                dt { "Loaded up to ledger" }
                dd {
                    (ledger(status.last_ledger))
                    small {
                        "from " (ledger(status.first_ledger))
                        @if let Some(retained) = status.retained_from { ", retained from " (retained) }
                    }
                }
            }
            div {
                dt { "State" }
                dd {
                    @if status.state_complete_at.is_some() { "complete" } @else { "not complete" }
                    small { (status.state) }
                }
            }
            div {
                dt { "Tip of the source" }
                dd {
                    (status.source.as_ref().map_or_else(|| "–".to_owned(), |source| source.end_ledger.to_string()))
                    small {
                        @match &status.source {
                            Some(source) => { "from " (source.start_ledger) }
                            None => "not declared",
                        }
                    }
                }
            }
            div {
                dt { "Lag" }
                dd {
                    @match status.lag_ledgers { Some(lag) => { (count(lag, "ledger")) }, None => "–" }
                    @if let Some(seconds) = status.lag_seconds {
                        small { "newest row closed " (age(seconds + (now - overview.read_at).num_seconds().max(0))) " ago" }
                    }
                }
            }
            div { dt { "Missing ledgers" } dd { (counted(missing)) small { "gaps between windows: " (number(status.gap_count)) } } }
            div { dt { "Rows" } dd { (number(status.rows)) small { (count(status.windows, "window")) } } }
            div {
                dt { "Now" }
                dd { (short_number((recent as f64 / minutes as f64).round())) small { "rows per minute, over the last five" } }
            }
            div {
                dt { "Failed windows" }
                dd { (number(status.failed_count)) }
            }
            div {
                dt { "Unfinished" }
                dd { (number(status.unfolded_windows + status.unarchived_windows))
                    small { (number(status.unfolded_windows)) " to fold, " (number(status.unarchived_windows)) " to archive" } }
            }
        }
    }
}

/// The number of rows that a table leaves out.
fn and_more(shown: usize, all: i64) -> Markup {
    let more = all - shown as i64;
    html! { @if more > 0 { p class="unit" { "… and " (number(more)) " more." } } }
}

fn failed_windows(failed: &[FailedWindow], count: i64) -> Markup {
    let shown = failed.len().min(ROWS);
    html! {
        section class="card" {
            h2 { "Windows that failed" }
            table {
                thead { tr { th { "Ledgers" } th class="n" { "Attempts" } th { "Why" } th { "Load it once fixed" } } }
                tbody {
                    @for window in &failed[..shown] {
                        tr {
                            td data-name="Ledgers" { (window.window.start()) "–" (window.window.end()) }
                            td class="n" data-name="Attempts" { (number(window.attempts)) }
                            td class="words" data-name="Why" { (cut(window.error_message.as_deref().unwrap_or("–"))) }
                            td class="words" data-name="Load it once fixed" { code { (cure(window)) } }
                        }
                    }
                }
            }
            (and_more(shown, count))
        }
    }
}

fn under_way(windows: &[UnderWay], now: DateTime<Utc>) -> Markup {
    let shown = windows.len().min(ROWS);
    html! {
        section class="card" {
            h2 { "Under way" }
            table {
                thead { tr { th { "Ledgers" } th class="n" { "Length" } th class="n" { "Since" } } }
                tbody {
                    @for window in &windows[..shown] {
                        tr {
                            td data-name="Ledgers" { (window.window.start()) "–" (window.window.end()) }
                            td class="n" data-name="Length" { (number(window.window.ledgers())) }
                            td class="n" data-name="Since" { (age((now - window.started_at).num_seconds().max(0))) }
                        }
                    }
                }
            }
            (and_more(shown, windows.len() as i64))
        }
    }
}

fn gaps(gaps: &[LedgerWindow], count: i64) -> Markup {
    let shown = gaps.len().min(ROWS / 2);
    html! {
        section class="card" {
            h2 { "Gaps between windows" }
            table {
                thead { tr { th { "Ledgers" } th class="n" { "Length" } th { "Load it now" } } }
                tbody {
                    @for gap in &gaps[..shown] {
                        tr {
                            td data-name="Ledgers" { (gap.start()) "–" (gap.end()) }
                            td class="n" data-name="Length" { (number(gap.ledgers())) }
                            td class="words" data-name="Load it now" {
                                code { "ingestctl replay -s " (gap.start()) " -e " (gap.end()) }
                            }
                        }
                    }
                }
            }
            (and_more(shown, count))
        }
    }
}

fn last_windows(windows: &[LastWindow]) -> Markup {
    let milliseconds = |ms: Option<i64>| ms.map_or_else(|| "–".to_owned(), |ms| format!("{} ms", number(ms)));
    html! {
        section class="card" {
            h2 { "Last windows" }
            table {
                thead {
                    tr {
                        th { "Ledgers" } th class="n" { "Rows" } th class="n" { "Completed (UTC)" } th { "From" }
                        th class="n wide" { "Drain" } th class="n wide" { "Load" } th class="n wide" { "Object" }
                    }
                }
                tbody {
                    @for window in windows.iter().take(ROWS) {
                        tr {
                            td data-name="Ledgers" { (window.window.start()) "–" (window.window.end()) }
                            td class="n" data-name="Rows" { (number(window.rows)) }
                            td class="n" data-name="Completed (UTC)" { (time(window.completed_at)) }
                            td data-name="From" { (window.source.as_deref().unwrap_or("–")) }
                            td class="n wide" data-name="Drain" { (milliseconds(window.drain_ms)) }
                            td class="n wide" data-name="Load" { (milliseconds(window.load_ms)) }
                            td class="n wide" data-name="Object" { (window.object_bytes.map_or_else(|| "–".to_owned(), bytes)) }
                        }
                    }
                }
            }
        }
    }
}

/// The footer: program, observations, last runs.
fn imprint(snapshot: &Snapshot, standing: &Standing, now: DateTime<Utc>) -> Markup {
    let loading = &snapshot.loading;
    html! {
        p {
            "Version " (env!("CARGO_PKG_VERSION")) ", running for " (age((now - standing.started_at).num_seconds().max(0))) ". "
            @if let Some(seen) = &snapshot.seen { "Database and source checked at " (time(seen.at)) ". " }
            @if let Some(overview) = &snapshot.overview { "Overview read at " (time(overview.read_at)) ". " }
            @if let Some(at) = loading.last_success_at { "The last successful run ended at " (time(at)) ". " }
            @if let Some(failure) = &loading.last_error {
                "The last failed run ended at " (time(failure.at)) ": " code { (cut(&failure.message)) } ". "
            }
            "Times are UTC. This page refreshes every " (REFRESH) " seconds."
        }
        p { "For machines: " a href="/metrics" { "metrics" } ", " a href="/health" { "health" } ", " a href="/ready" { "ready" } ", " a href="/stats" { "stats" } "." }
    }
}

/// A message of bounded length.
fn cut(message: &str) -> String {
    match message.char_indices().nth(MESSAGE) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}
