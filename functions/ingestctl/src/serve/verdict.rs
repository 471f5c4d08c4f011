//! The verdict: how things are in one sentence, and what to do about it.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::standing::{Phase, Snapshot, Standing};
use crate::numbers::{age, number};

/// How things are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// Nothing was observed yet.
    Starting,
    /// Everything that the source has is loaded, or about to be.
    Well,
    /// Loading goes on; there is more to load than a window or two.
    Behind,
    /// Something wants somebody.
    Trouble,
}

/// How things are, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    /// In one word.
    pub(super) state: State,
    /// In one sentence.
    pub(super) headline: String,
    /// What is wrong or worth knowing, the worst first.
    pub(super) points: Vec<Point>,
}

/// Something that is wrong or worth knowing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Point {
    /// What it is, in a sentence.
    pub(super) what: String,
    /// What the software says of it, word by word.
    pub(super) details: Option<String>,
    /// What to do.
    pub(super) advice: &'static str,
}

/// How long nothing may be known after the start.
const START_SECONDS: i64 = 15;

/// An overview older than this, although the database answers, is worth a word.
const OVERVIEW_LIFE: i64 = 60;

/// A lag of so many full windows is none: one waits to be full, one is being loaded.
const WINDOWS_OF_LAG: i64 = 2;

/// That somebody has asked it to end.
fn ending(snapshot: &Snapshot) -> Option<Point> {
    snapshot.loading.ending.then(|| Point {
        what: "This process is ending.".to_owned(),
        details: None,
        advice: "What is under way is finished, or given up and loaded anew by the next one.",
    })
}

/// Judges what is known.
pub(super) fn of(snapshot: &Snapshot, standing: &Standing, now: DateTime<Utc>) -> Verdict {
    let troubles = troubles(snapshot, standing, now);
    if let Some(first) = troubles.first() {
        let headline = match troubles.len() {
            1 => first.what.clone(),
            2 => format!("{} And one more thing is wrong.", first.what),
            n => format!("{} And {} more things are wrong.", first.what, n - 1),
        };
        return Verdict { state: State::Trouble, headline, points: troubles };
    }
    let Some(overview) = &snapshot.overview else {
        let headline = "Starting: nothing is known yet.".to_owned();
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
            advice: "Loading goes on by itself. For a long way, `ingestctl replay` with larger windows, more of them at \
                     once, is faster: `--window-ledgers 2000 --parallel 4`. It may run beside this.",
        });
    }
    // A replay far behind leaves ledgers missing that no schedule cares for.
    let begins = status.schedule_start.map_or(0, i64::from);
    let holes = status.gaps.iter().filter(|gap| gap.end_ledger >= begins).count();
    if holes > 0 {
        points.push(Point {
            what: match status.gap_count {
                1 => "Between loaded ledgers, one range is missing.".to_owned(),
                n => format!("Between loaded ledgers, {} ranges are missing.", number(n)),
            },
            details: None,
            advice: "What is missing is loaded by itself, the lowest ledgers first.",
        });
    }
    if snapshot.loading.phase == Phase::StandingBy {
        points.push(Point {
            what: "Another process is loading; this one stands by.".to_owned(),
            details: None,
            advice: "Nothing is to be done: it takes over when the other one ends.",
        });
    }
    points.extend(ending(snapshot));
    let (state, headline) = if is_late || holes > 0 {
        (State::Behind, "Behind: there is more to load, and loading goes on.".to_owned())
    } else {
        match (status.windows, status.last_ledger) {
            (0, _) => (State::Well, "Well: nothing is loaded yet, and nothing was to be.".to_owned()),
            (_, Some(last)) => (State::Well, format!("All is well: loaded up to ledger {last}.")),
            (_, None) => (State::Well, "All is well.".to_owned()),
        }
    };
    Verdict { state, headline, points }
}

/// What wants somebody, the worst first.
fn troubles(snapshot: &Snapshot, standing: &Standing, now: DateTime<Utc>) -> Vec<Point> {
    let mut troubles = Vec::new();
    let mut add = |what: &str, details: Option<&String>, advice: &'static str| {
        troubles.push(Point { what: what.to_owned(), details: details.cloned(), advice });
    };
    match &snapshot.seen {
        None if (now - standing.started_at).num_seconds() > START_SECONDS => add(
            "Database and source were not observed for a while.",
            None,
            "This process does not come to its work: look at its log, and whether it gets any processor time.",
        ),
        None => {}
        Some(seen) => {
            let reachable = &seen.reachable;
            if reachable.database_error.is_some() {
                add(
                    "The database is out of reach.",
                    reachable.database_error.as_ref(),
                    "See that PostgreSQL runs, and that DATABASE_URL or DB_… lead to it and log in. Loading goes on by \
                     itself when it answers again. What is shown below is as it was then.",
                );
            }
            if reachable.schema_error.is_some() {
                add(
                    "The database is not one to load into.",
                    reachable.schema_error.as_ref(),
                    "Run `ingestctl migrate` as the owner, or see that DATABASE_URL and NETWORK belong together.",
                );
            }
            if reachable.source_error.is_some() {
                add(
                    "The source is out of reach.",
                    reachable.source_error.as_ref(),
                    "See that it runs, and that FLIGHT_ENDPOINT leads to it. Loading goes on by itself when it answers \
                     again.",
                );
            }
        }
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
            advice: "Another follows within a minute. The README says what to do about each error.",
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
                advice: "The windows after it go on, and it is tried again by itself, more and more rarely. The causes are \
                         below, each with the command that loads the window once its cause is mended.",
            });
        }
    }
    let known_at = snapshot.overview.as_ref().map_or(standing.started_at, |overview| overview.read_at);
    let stale = (now - known_at).num_seconds();
    if let Some(error) =
        snapshot.overview_error.as_ref().filter(|_| stale > OVERVIEW_LIFE && troubles.is_empty())
    {
        troubles.push(Point {
            what: format!("For {} the database has not told how it stands.", age(stale)),
            details: Some(error.clone()),
            advice: "It answers, and not these questions: see what else keeps it busy, and what this role may read.",
        });
    }
    troubles
}
