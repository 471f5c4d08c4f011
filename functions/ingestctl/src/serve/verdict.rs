//! The verdict: the state in one sentence, and advice.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::standing::{Phase, Snapshot, Standing};
use crate::numbers::{age, number};

/// The overall state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// Nothing was observed yet.
    Starting,
    /// Everything that the source has is loaded, or soon will be.
    Well,
    /// Loading continues; more than a window or two are left.
    Behind,
    /// Something requires attention.
    Trouble,
}

/// The state in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    /// The state.
    pub(super) state: State,
    /// The headline.
    pub(super) headline: String,
    /// Problems and notes, the worst first.
    pub(super) points: Vec<Point>,
}

/// A problem or a note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Point {
    /// One sentence about it.
    pub(super) what: String,
    /// The original error message.
    pub(super) details: Option<String>,
    /// What to do.
    pub(super) advice: &'static str,
}

/// How long after startup the state may be unknown.
const START_SECONDS: i64 = 15;

/// An overview older than this is reported, if the database answers.
const OVERVIEW_LIFE: i64 = 60;

/// A lag of this many full windows is normal: one is filling, one is being loaded.
const WINDOWS_OF_LAG: i64 = 2;

/// The note that the process is stopping.
fn ending(snapshot: &Snapshot) -> Option<Point> {
    snapshot.loading.ending.then(|| Point {
        what: "This process is stopping.".to_owned(),
        details: None,
        advice: "The current window is finished, or cancelled and loaded again by the next process.",
    })
}

/// Computes the verdict.
pub(super) fn of(snapshot: &Snapshot, standing: &Standing, now: DateTime<Utc>) -> Verdict {
    let troubles = troubles(snapshot, standing, now);
    if let Some(first) = troubles.first() {
        let headline = match troubles.len() {
            1 => first.what.clone(),
            2 => format!("{} There is one more problem.", first.what),
            n => format!("{} There are {} more problems.", first.what, n - 1),
        };
        return Verdict { state: State::Trouble, headline, points: troubles };
    }
    let Some(overview) = &snapshot.overview else {
        let headline = "Starting: no observation yet.".to_owned();
        return Verdict { state: State::Starting, headline, points: ending(snapshot).into_iter().collect() };
    };
    let status = &overview.status;
    let mut points = Vec::new();
    let lag = status.lag_ledgers.unwrap_or(0);
    let is_late = lag > i64::from(standing.window_ledgers) * WINDOWS_OF_LAG;
    if is_late {
        points.push(Point {
            what: format!("The source is {} ledgers ahead of what is loaded.", number(lag)),
            details: None,
            advice: "Loading continues by itself. To catch up faster, run `ingestctl replay` with larger windows, more of \
                     them in parallel: `--window-ledgers 2000 --parallel 4`. It may run beside this process.",
        });
    }
    // A replay of old ledgers leaves gaps below the schedule's start.
    let begins = status.schedule_start.unwrap_or(0);
    let holes = status.gaps.iter().filter(|gap| gap.end() >= begins).count();
    if holes > 0 {
        points.push(Point {
            what: match status.gap_count {
                1 => "Between loaded ledgers, one range is missing.".to_owned(),
                n => format!("Between loaded ledgers, {} ranges are missing.", number(n)),
            },
            details: None,
            advice: "The missing ledgers are loaded automatically, the lowest first.",
        });
    }
    if snapshot.loading.phase == Phase::StandingBy {
        points.push(Point {
            what: "Another process is loading; this one stands by.".to_owned(),
            details: None,
            advice: "Nothing to do: it takes over when the other one ends.",
        });
    }
    points.extend(ending(snapshot));
    let (state, headline) = if is_late || holes > 0 {
        (State::Behind, "Behind: there is more to load, and loading continues.".to_owned())
    } else {
        match (status.windows, status.last_ledger) {
            (0, _) => (State::Well, "Well: nothing is loaded yet, and there was nothing to load.".to_owned()),
            (_, Some(last)) => (State::Well, format!("All is well: loaded up to ledger {last}.")),
            (_, None) => (State::Well, "All is well.".to_owned()),
        }
    };
    Verdict { state, headline, points }
}

/// The problems, the worst first.
fn troubles(snapshot: &Snapshot, standing: &Standing, now: DateTime<Utc>) -> Vec<Point> {
    let mut troubles = Vec::new();
    let mut add = |what: &str, details: Option<&String>, advice: &'static str| {
        troubles.push(Point { what: what.to_owned(), details: details.cloned(), advice });
    };
    match &snapshot.seen {
        None if (now - standing.started_at).num_seconds() > START_SECONDS => add(
            "Database and source have not been checked for a while.",
            None,
            "This process makes no progress: check its log, and whether it gets processor time.",
        ),
        None => {}
        Some(seen) => {
            let reachable = &seen.reachable;
            if reachable.database_error.is_some() {
                add(
                    "The database is out of reach.",
                    reachable.database_error.as_ref(),
                    "Check that PostgreSQL runs, and that DATABASE_URL or DB_… have the right address and login. Loading \
                     continues by itself once it answers. The figures below are the last known ones.",
                );
            }
            if reachable.schema_error.is_some() {
                add(
                    "This loader cannot use the database.",
                    reachable.schema_error.as_ref(),
                    "Run `ingestctl migrate` as the owner, or check that DATABASE_URL and NETWORK match.",
                );
            }
            if reachable.source_error.is_some() {
                add(
                    "The source is out of reach.",
                    reachable.source_error.as_ref(),
                    "Check that it runs, and that FLIGHT_ENDPOINT has the right address. Loading continues by itself once \
                     it answers.",
                );
            }
        }
    }
    if let Some(since) = snapshot.standstill {
        let minutes = since.as_secs() / 60;
        troubles.push(Point {
            what: format!("The loader has taken no step for {minutes} minutes."),
            details: None,
            advice: "Source, store or database hardly move, or this process gets no processor time: check its log. Restarting it \
                     loses nothing.",
        });
    }
    let loading = &snapshot.loading;
    if loading.failures_in_a_row > 0 && troubles.is_empty() {
        let times = match loading.failures_in_a_row {
            1 => "The last run failed.".to_owned(),
            n => format!("The last {} runs failed.", number(n)),
        };
        troubles.push(Point {
            what: times,
            details: loading.last_error.as_ref().map(|failure| failure.message.clone()),
            advice: "The next run starts within a minute. The README explains each error.",
        });
    }
    if let Some(overview) = &snapshot.overview {
        let failed = overview.status.failed_count;
        if failed > 0 {
            troubles.push(Point {
                what: match failed {
                    1 => "One window failed and is not loaded.".to_owned(),
                    n => format!("{} windows failed and are not loaded.", number(n)),
                },
                details: None,
                advice: "Later windows continue to load, and failed ones are retried at growing intervals. The causes are \
                         below, each with the command that loads the window once its cause is fixed.",
            });
        }
    }
    let known_at = snapshot.overview.as_ref().map_or(standing.started_at, |overview| overview.read_at);
    let stale = (now - known_at).num_seconds();
    if let Some(error) =
        snapshot.overview_error.as_ref().filter(|_| stale > OVERVIEW_LIFE && troubles.is_empty())
    {
        troubles.push(Point {
            what: format!("The database has not reported its state for {}.", age(stale)),
            details: Some(error.clone()),
            advice: "It answers, but not the status queries: check its load, and what this role may read.",
        });
    }
    troubles
}
