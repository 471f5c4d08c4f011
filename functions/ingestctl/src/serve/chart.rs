//! Charts as inline SVG, stretched to the available width. Text is beside them in HTML, so that it is not stretched.

use chrono::{DateTime, Duration, Utc};
use maud::{Markup, html};
use pipeline::{Bin, Coverage, Throughput};

use crate::numbers::{count, number, short_number};

/// The height of a chart in its own units; the width is the number of bins.
const HEIGHT: f64 = 100.0;

/// The smallest visible part of a bin that is loaded or missing.
const VISIBLE: f64 = 0.15;

/// One lane of the coverage chart: rectangles, each with a title.
struct Lane {
    name: &'static str,
    class: &'static str,
    summary: String,
    parts: Vec<Part>,
    bins: usize,
}

/// Adjacent bins of the same height.
struct Part {
    first: usize,
    bins: usize,
    height: f64,
    title: String,
}

/// Loaded ledgers, failed ledgers, ledgers under way: one lane each, the last two only if not empty.
pub(super) fn coverage(coverage: &Coverage) -> Markup {
    let bins = &coverage.bins;
    let sum = |of: fn(&Bin) -> u64| bins.iter().map(of).sum::<u64>();
    let (loaded, failed, under_way) = (sum(|b| b.completed), sum(|b| b.failed), sum(|b| b.under_way));
    let all = coverage.window.ledgers();
    let lane = |name, class, summary, height: fn(&Bin) -> f64, words: &dyn Fn(&[Bin]) -> String| Lane {
        name,
        class,
        summary,
        parts: parts(bins, height, words),
        bins: bins.len(),
    };
    let loaded_of = format!("{} of {} ledgers are loaded", number(loaded), number(all));
    html! {
        figure class="coverage" {
            (lane("loaded", "loaded", loaded_of, loaded_height, &|bins| {
                let (loaded, all) = (total(bins, |b| b.completed), total(bins, |b| b.window.ledgers()));
                format!("{} of {} loaded", number(loaded), number(all))
            }).draw())
            @if failed > 0 {
                (lane("failed", "failed", format!("{} in windows that failed", count(failed, "ledger")),
                    |b| f64::from(b.failed > 0), &|_| "failed".to_owned()).draw())
            }
            @if under_way > 0 {
                (lane("under way", "under-way", format!("{} under way", count(under_way, "ledger")),
                    |b| f64::from(b.under_way > 0), &|_| "under way".to_owned()).draw())
            }
            (axis([0.0, 0.25, 0.5, 0.75, 1.0].map(|place| {
                let (start, end) = (f64::from(coverage.window.start()), f64::from(coverage.window.end()));
                let ledger = start + place * (end - start);
                format!("{ledger:.0}")
            })))
            figcaption {
                span class="key loaded" {} "loaded "
                span class="key missing" {} "missing "
                @if failed > 0 { span class="key failed" {} "failed " }
                @if under_way > 0 { span class="key under-way" {} "under way " }
            }
        }
    }
}

fn total(bins: &[Bin], of: impl Fn(&Bin) -> u64) -> u64 {
    bins.iter().map(of).sum()
}

/// The filled height of a bin: the loaded part of its ledgers; a partly loaded bin is visibly neither full nor empty.
fn loaded_height(bin: &Bin) -> f64 {
    match (bin.completed, bin.missing()) {
        (0, _) => 0.0,
        (_, 0) => 1.0,
        (loaded, _) => (loaded as f64 / bin.window.ledgers() as f64).clamp(VISIBLE, 1.0 - VISIBLE),
    }
}

/// Groups of adjacent bins of the same height, without empty ones.
fn parts(bins: &[Bin], height: fn(&Bin) -> f64, words: &dyn Fn(&[Bin]) -> String) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut first = 0;
    for run in bins.chunk_by(|a, b| height(a).total_cmp(&height(b)).is_eq()) {
        if let [from, .., to] | [from @ to] = run
            && height(from) > 0.0
        {
            let title = format!("ledgers {}–{}: {}", from.window.start(), to.window.end(), words(run));
            parts.push(Part { first, bins: run.len(), height: height(from), title });
        }
        first += run.len();
    }
    parts
}

impl Lane {
    fn draw(&self) -> Markup {
        html! {
            div class="lane" {
                span class="name" { (self.name) }
                svg role="img" class=(format!("strip {}", self.class)) viewBox=(format!("0 0 {} {HEIGHT}", self.bins))
                    preserveAspectRatio="none" aria-label=(self.summary) {
                    title { (self.summary) }
                    @for part in &self.parts {
                        rect x=(part.first) y=(round(HEIGHT * (1.0 - part.height))) width=(part.bins)
                            height=(round(HEIGHT * part.height)) { title { (part.title) } }
                    }
                }
            }
        }
    }
}

/// Rows per minute over time, as bars. `end`: when the last bin ends.
pub(super) fn throughput(name: &str, throughput: &Throughput, end: DateTime<Utc>) -> Markup {
    let minutes = throughput.bin_seconds as f64 / 60.0;
    let rates: Vec<f64> = throughput.bins.iter().map(|pulse| pulse.rows as f64 / minutes).collect();
    let top = nice(rates.iter().copied().fold(0.0, f64::max));
    let rows: i64 = throughput.bins.iter().map(|pulse| pulse.rows).sum();
    let windows: i64 = throughput.bins.iter().map(|pulse| pulse.windows).sum();
    let summary = format!("{name}: {} in {}", count(rows, "row"), count(windows, "window"));
    let span = throughput.bin_seconds * throughput.bins.len() as i64;
    let begin_of = |bin: usize| end - Duration::seconds(span - throughput.bin_seconds * bin as i64);
    let width = throughput.bins.len();
    html! {
        figure class="throughput" {
            figcaption { b { (name) } " " span class="aside" { (count(rows, "row")) ", " (count(windows, "window")) } }
            div class="plot" {
                div class="scale" aria-hidden="true" {
                    span { (short_number(top)) } span { (short_number(top / 2.0)) } span { "0" }
                }
                svg role="img" class="bars" viewBox=(format!("0 0 {width} {HEIGHT}")) preserveAspectRatio="none"
                    aria-label=(summary) {
                    title { (summary) }
                    desc { "Rows per minute, from 0 to " (short_number(top)) "." }
                    @for y in [0.0, 50.0, 100.0] { line class="grid" x1="0" y1=(y) x2=(width) y2=(y) {} }
                    @for (bin, rate) in rates.iter().enumerate() {
                        @if *rate > 0.0 {
                            // Every bar is visible, and leaves a gap to the next one.
                            @let height = (HEIGHT * rate / top).max(1.0);
                            rect x=(bin as f64 + 0.1) y=(round(HEIGHT - height)) width="0.8" height=(round(height)) {
                                title {
                                    (begin_of(bin).format("%H:%M")) " UTC: " (short_number(rate.round())) " rows per minute, "
                                    (number(throughput.bins[bin].windows)) " windows"
                                }
                            }
                        }
                    }
                }
            }
            (axis([0, 1, 2, 3, 4].map(|quarter| {
                begin_of(width * quarter / 4).format("%H:%M").to_string()
            })))
            p class="unit" { "rows per minute, over time in UTC" }
        }
    }
}

/// Words below a chart, from its left edge to its right.
fn axis(words: [String; 5]) -> Markup {
    html! { div class="axis" aria-hidden="true" { @for word in words { span { (word) } } } }
}

/// The next number that reads well at the top of a scale and at half of it.
fn nice(value: f64) -> f64 {
    if value <= 10.0 {
        return 10.0;
    }
    let magnitude = 10f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 4.0, 5.0, 8.0, 10.0];
    steps.into_iter().map(|step| step * magnitude).find(|top| *top >= value).unwrap_or(10.0 * magnitude)
}

/// Rounds to a hundredth, which is invisible.
fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipeline::LedgerWindow;

    fn bin(place: u32, completed: u64) -> Bin {
        let window = LedgerWindow::new(place * 10, place * 10 + 9).unwrap();
        Bin { window, completed, failed: 0, under_way: 0 }
    }

    #[test]
    fn bins_that_look_alike_are_one_rectangle() {
        let bins = [bin(0, 10), bin(1, 10), bin(2, 0), bin(3, 5), bin(4, 10)];
        let drawn = parts(&bins, loaded_height, &|_| String::new());
        let drawn: Vec<_> = drawn.iter().map(|part| (part.first, part.bins, part.height)).collect();
        assert_eq!(drawn, [(0, 2, 1.0), (3, 1, 0.5), (4, 1, 1.0)]);
    }

    #[test]
    fn a_little_that_is_missing_or_loaded_is_seen() {
        let window = LedgerWindow::new(1, 10_000).unwrap();
        let wide = |completed| Bin { window, completed, failed: 0, under_way: 0 };
        assert_eq!([0, 1, 9_999, 10_000].map(|n| loaded_height(&wide(n))), [0.0, 0.15, 0.85, 1.0]);
    }

    #[test]
    fn scales_end_at_round_numbers() {
        assert_eq!(
            [0.0, 3.0, 11.0, 21.0, 41.0, 99.0, 1_001.0].map(nice),
            [10.0, 10.0, 20.0, 40.0, 50.0, 100.0, 2_000.0]
        );
    }
}
