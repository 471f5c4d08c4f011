//! The plan of a replay: the windows that it would load.

use serde::Serialize;

use super::replay::{ReplayKind, ReplayOptions};
use crate::config::Config;
use crate::contract::window::{LedgerWindow, WindowLimits};
use crate::contract::wire::SourceRange;
use crate::database::settings::Settings;
use crate::database::{connect, progress};
use crate::error::Result;
use crate::source::Flight;

/// The plan of a replay.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// First requested ledger.
    pub start_ledger: u32,
    /// Last requested ledger.
    pub end_ledger: u32,
    /// Set if some requested ledgers are not retained: the first retained one, where the plan begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retained_from: Option<u32>,
    /// Missing ledgers that the source has.
    pub ledgers: u64,
    /// Number of windows for them.
    pub windows: u64,
    /// Completed windows that would be replaced.
    pub replaced: u64,
    /// The first windows of either kind, at most [`Plan::SHOWN`].
    pub first_windows: Vec<(u32, u32)>,
    /// Number of replays that a backfill would send to the function: all windows, in groups.
    pub invocations: usize,
    /// Requests to the object store that are billed as PUT: one to write each object, one to archive it. An object
    /// above 5 MiB takes one per part, and two more.
    pub put_requests: u64,
    /// The last ledger of the source; `None` if it has none or does not declare it.
    pub source_ends_at: Option<u32>,
    /// The replays themselves.
    #[serde(skip)]
    pub replays: Vec<PlannedReplay>,
}

/// A part of a backfill: the range that one invocation loads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PlannedReplay {
    /// First ledger.
    pub start_ledger: u32,
    /// Last ledger.
    pub end_ledger: u32,
    /// Ledgers per window, at most.
    pub window_ledgers: u32,
    /// Whether completed windows are replaced.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}

/// Plans a replay of the range, without writing anything.
///
/// # Errors
/// [`crate::Error::Database`] and [`crate::Error::Source`] when one of them does not answer; [`crate::Error::Usage`]
/// when no ledger of the range is retained.
pub async fn plan(config: &Config, range: LedgerWindow, options: &ReplayOptions) -> Result<Plan> {
    let client = connect(&config.database).await?;
    let stored = Settings::checked(&client, config).await?;
    let asked = range;
    let range = stored.retained(asked)?;
    let window_ledgers = options.window_ledgers.unwrap_or(config.window_ledgers);
    let limits = WindowLimits { window_ledgers, partition_ledgers: stored.partition_ledgers };
    let mut wanted = range;
    let mut replaced = Vec::new();
    if matches!(options.kind, ReplayKind::Force { .. }) {
        replaced = progress::covering(&client, range).await?.into_iter().map(|c| c.window).collect();
        wanted = replaced.iter().fold(range, |range, window| range.span(*window));
    }
    let missing = progress::uncovered(&client, wanted).await?;
    let available = Flight::new(&config.flight)?.range().await?;
    let tip = available.as_ref().map(|range| range.ledgers().map(LedgerWindow::end));
    let reachable = match tip {
        None => missing, // not declared
        Some(None) => Vec::new(),
        Some(Some(tip)) => missing.iter().filter_map(|free| free.until(tip)).collect(),
    };
    let source_ends_at = available.as_ref().and_then(SourceRange::ledgers).map(LedgerWindow::end);
    let plan = Plan::new(wanted, replaced, &reachable, limits, source_ends_at);
    Ok(Plan { retained_from: (range != asked).then_some(range.start()), ..plan })
}

impl Plan {
    /// The number of windows that a plan lists.
    pub const SHOWN: usize = 20;

    /// The largest number of replays of a backfill: their list must fit into one event.
    pub const REPLAYS: u64 = 1_000;

    /// Cuts the missing parts of a range into windows.
    fn new(
        range: LedgerWindow,
        replaced: Vec<LedgerWindow>,
        missing: &[LedgerWindow],
        limits: WindowLimits,
        source_ends_at: Option<u32>,
    ) -> Self {
        let windows: u64 = missing.iter().map(|free| limits.count(*free)).sum();
        let all = windows + replaced.len() as u64;
        let replays = replays(&replaced, missing, limits, all.div_ceil(Self::REPLAYS).max(1));
        let shown = replaced.iter().copied().chain(missing.iter().flat_map(|free| limits.windows(*free)));
        Plan {
            start_ledger: range.start(),
            end_ledger: range.end(),
            retained_from: None,
            ledgers: missing.iter().map(|free| free.ledgers()).sum(),
            windows,
            replaced: replaced.len() as u64,
            first_windows: shown.take(Self::SHOWN).map(|w| (w.start(), w.end())).collect(),
            invocations: replays.len(),
            put_requests: 2 * all,
            source_ends_at,
            replays,
        }
    }
}

/// All windows in ledger order, `group` per replay. A replay may span loaded ledgers: they are left alone, or replaced
/// by whole windows, which never straddle two replays.
fn replays(
    replaced: &[LedgerWindow],
    missing: &[LedgerWindow],
    limits: WindowLimits,
    group: u64,
) -> Vec<PlannedReplay> {
    let mut parts: Vec<(LedgerWindow, bool)> = replaced.iter().map(|window| (*window, true)).collect();
    parts.extend(missing.iter().map(|free| (*free, false)));
    parts.sort_unstable();
    let windows = parts.into_iter().flat_map(|(part, whole)| {
        // a completed window is replaced as a whole, whatever its length
        let limits = if whole {
            WindowLimits { window_ledgers: u32::MAX, partition_ledgers: u32::MAX }
        } else {
            limits
        };
        limits.windows(part)
    });
    let mut replays: Vec<PlannedReplay> = Vec::new();
    for (number, window) in (0u64..).zip(windows) {
        match replays.last_mut() {
            Some(last) if !number.is_multiple_of(group) => last.end_ledger = window.end(),
            _ => replays.push(PlannedReplay {
                start_ledger: window.start(),
                end_ledger: window.end(),
                window_ledgers: limits.window_ledgers,
                force: !replaced.is_empty(),
            }),
        }
    }
    replays
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: WindowLimits = WindowLimits { window_ledgers: 10, partition_ledgers: 100 };

    fn window(start: u32, end: u32) -> LedgerWindow {
        LedgerWindow::new(start, end).unwrap()
    }

    fn spans(plan: &Plan) -> Vec<(u32, u32)> {
        plan.replays.iter().map(|replay| (replay.start_ledger, replay.end_ledger)).collect()
    }

    #[test]
    fn a_small_range_is_one_replay_per_window() {
        let plan = Plan::new(window(95, 120), Vec::new(), &[window(95, 120)], LIMITS, Some(500));
        assert_eq!(spans(&plan), [(95, 99), (100, 109), (110, 119), (120, 120)]);
        assert_eq!((plan.windows, plan.put_requests, plan.invocations), (4, 8, 4));
        assert!(plan.replays.iter().all(|replay| replay.window_ledgers == 10 && !replay.force));
    }

    #[test]
    fn windows_to_replace_are_never_cut() {
        let plan =
            Plan::new(window(0, 49), vec![window(5, 34)], &[window(0, 4), window(35, 49)], LIMITS, None);
        assert_eq!(spans(&plan), [(0, 4), (5, 34), (35, 44), (45, 49)]);
        assert!(plan.replays.iter().all(|replay| replay.force));
    }

    #[test]
    fn the_list_of_a_long_range_still_fits_an_event() {
        let range = window(2, 60_000_000);
        let limits = WindowLimits { window_ledgers: 64, partition_ledgers: 100_000 };
        let plan = Plan::new(range, Vec::new(), &[range], limits, None);
        assert_eq!(plan.windows, 937_801);
        assert!(plan.invocations <= 1_000, "{}", plan.invocations);
        assert!(serde_json::to_vec(&plan.replays).unwrap().len() < 128 << 10);
    }

    proptest! {
        /// Every missing ledger is in exactly one replay, and replays do not overlap.
        #[test]
        fn replays_cover_what_is_missing_once(
            starts in proptest::collection::vec((0u32..40, 1u32..60), 1..8), group in 1u64..5,
        ) {
            let mut next = 0;
            let missing: Vec<LedgerWindow> = starts.iter().map(|(gap, length)| {
                let start = next + gap + 1;
                next = start + length;
                window(start, start + length - 1)
            }).collect();
            let replays = replays(&[], &missing, LIMITS, group);
            for pair in replays.windows(2) {
                prop_assert!(pair[0].end_ledger < pair[1].start_ledger);
            }
            for free in &missing {
                for ledger in free.start()..=free.end() {
                    let holding = replays.iter().filter(|r| r.start_ledger <= ledger && ledger <= r.end_ledger);
                    prop_assert_eq!(holding.count(), 1);
                }
            }
        }
    }
}
