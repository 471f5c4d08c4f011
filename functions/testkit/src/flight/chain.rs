//! Honest answers for given rows, and distortions of them.

use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow::array::RecordBatch;
use bytes::Bytes;
use chrono::{DateTime, SecondsFormat};
use tonic::Status;

use super::{Answer, Info, Request, Source, State, Step};
use crate::rows::{Row, closed_at};
use crate::schema::{batch, schema};
use crate::sides::{Named, Ttl, assets_batch, ttl_batch};

type Total = Arc<dyn Fn(i64) -> i64 + Send + Sync>;
type Reshape = Arc<dyn Fn(RecordBatch) -> RecordBatch + Send + Sync>;

/// A range of ledgers and its rows, in stream order.
///
/// The answer to a window is its rows, declared; beyond the tip, the rows up to the tip; for a window wholly beyond the
/// tip or before the first ledger, the existing range and no rows. The methods distort the answers to windows, always
/// or [for the first attempts](Chain::for_attempts).
#[derive(Clone)]
pub struct Chain {
    rows: Vec<Row>,
    sides: Option<(Vec<Ttl>, Vec<Named>)>,
    states: Vec<State>,
    range: RangeInclusive<u32>,
    batch_rows: usize,
    endpoints: usize,
    ordered: bool,
    declared: bool,
    total: Total,
    reshape: Reshape,
    kept: Option<usize>,
    last: Vec<Step>,
    refusal: Option<Status>,
    attempts: usize,
}

impl Chain {
    /// The chain of these rows, from the lowest of their ledgers to the highest.
    pub fn of_rows(rows: Vec<Row>) -> Chain {
        let ledgers = || rows.iter().map(|row| row.ledger_sequence);
        let range = ledgers().min().unwrap_or(1)..=ledgers().max().unwrap_or(0);
        Chain {
            rows,
            sides: None,
            states: Vec::new(),
            range,
            batch_rows: 1024,
            endpoints: 1,
            ordered: true,
            declared: true,
            total: Arc::new(|total| total),
            reshape: Arc::new(|batch| batch),
            kept: None,
            last: Vec::new(),
            refusal: None,
            attempts: usize::MAX,
        }
    }

    /// Has these rows of the tables `ttl` and `assets` too, in this order.
    pub fn with_sides(mut self, ttls: Vec<Ttl>, assets: Vec<Named>) -> Chain {
        self.sides = Some((ttls, assets));
        self
    }

    /// Has the state at these checkpoints too, the oldest first.
    pub fn with_states(mut self, states: Vec<State>) -> Chain {
        self.states = states;
        self
    }

    /// Covers this range of ledgers, with or without rows.
    pub fn range(mut self, range: RangeInclusive<u32>) -> Chain {
        self.range = range;
        self
    }

    /// Sends at most this many rows per message.
    pub fn batch_rows(mut self, rows: usize) -> Chain {
        self.batch_rows = rows.max(1);
        self
    }

    /// Spreads the messages over this many endpoints, in order.
    pub fn endpoints(mut self, endpoints: usize) -> Chain {
        self.endpoints = endpoints.max(1);
        self
    }

    /// Says whether the endpoints are in order.
    pub fn ordered(mut self, ordered: bool) -> Chain {
        self.ordered = ordered;
        self
    }

    /// Transforms each message: renames, retypes, reorders or adds columns.
    pub fn reshape(mut self, reshape: impl Fn(RecordBatch) -> RecordBatch + Send + Sync + 'static) -> Chain {
        self.reshape = Arc::new(reshape);
        self
    }

    /// Declares nothing: no app_metadata, no number of rows.
    pub fn undeclared(mut self) -> Chain {
        self.declared = false;
        self
    }

    /// Declares another number of rows than it sends.
    pub fn declare(mut self, total: impl Fn(i64) -> i64 + Send + Sync + 'static) -> Chain {
        self.total = Arc::new(total);
        self
    }

    /// Ends the stream cleanly after this many messages of rows.
    pub fn end_after(self, batches: usize) -> Chain {
        self.then_after(batches, vec![])
    }

    /// Drops the connection after this many messages of rows.
    pub fn cut_after(self, batches: usize) -> Chain {
        self.then_after(batches, vec![Step::Cut])
    }

    /// Falls silent after this many messages of rows.
    pub fn silence_after(self, batches: usize) -> Chain {
        self.then_after(batches, vec![Step::Silence])
    }

    /// Ends the stream with an error after this many messages of rows.
    pub fn error_after(self, batches: usize, status: Status) -> Chain {
        self.then_after(batches, vec![Step::Error(status)])
    }

    /// Plays these steps after this many messages of rows, counted over all endpoints, in place of the rest.
    pub fn then_after(mut self, batches: usize, steps: Vec<Step>) -> Chain {
        self.kept = Some(batches);
        self.last = steps;
        self
    }

    /// Plays these steps after the last message, in the last endpoint.
    pub fn then(mut self, steps: Vec<Step>) -> Chain {
        self.last = steps;
        self
    }

    /// Refuses windows with this error.
    pub fn refuse(mut self, status: Status) -> Chain {
        self.refusal = Some(status);
        self
    }

    /// Distorts this many attempts at each window; later ones are honest.
    pub fn for_attempts(mut self, attempts: usize) -> Chain {
        self.attempts = attempts;
        self
    }

    /// The answer of this chain, for a script that changes it further.
    pub fn answer(&self, request: Request) -> Answer {
        match request {
            Request::Range { .. } => Answer::Info(Info {
                app_metadata: Some(self.vouched(*self.range.start(), *self.range.end())),
                total_records: -1,
                ordered: true,
                endpoints: Vec::new(),
            }),
            Request::Window { start, end, attempt } if attempt <= self.attempts => {
                match self.refusal.clone() {
                    Some(status) => Answer::Refuse(status),
                    None => Answer::Info(self.distorted(start, end)),
                }
            }
            Request::Window { start, end, .. } => Answer::Info(self.honest(start, end)),
            Request::Side { table, start, end, .. } => self.side(table, start, end),
            Request::State { table, ledger, .. } => self.state(table, ledger),
        }
    }

    /// Serves this chain.
    pub fn serve(self) -> Source {
        Source::serve(move |request| self.answer(request))
    }

    /// The honest answer for a window, in the configured shape of messages.
    fn honest(&self, start: u32, end: u32) -> Info {
        let (first, tip) = (*self.range.start(), *self.range.end());
        let rows: Vec<Row> = self
            .rows
            .iter()
            .filter(|row| (start..=end.min(tip)).contains(&row.ledger_sequence))
            .cloned()
            .collect();
        if start < first || start > tip {
            let metadata = self.vouched(start.max(first), tip);
            return Info {
                app_metadata: Some(metadata),
                total_records: 0,
                ordered: true,
                endpoints: Vec::new(),
            };
        }
        Info {
            app_metadata: Some(self.vouched(start, end.min(tip))),
            total_records: rows.len() as i64,
            ordered: self.ordered,
            endpoints: self.spread(rows.chunks(self.batch_rows).map(batch).collect()),
        }
    }

    /// The honest answer for another table, in one endpoint.
    fn side(&self, table: &str, start: u32, end: u32) -> Answer {
        let Some((ttls, assets)) = &self.sides else {
            return Answer::Refuse(Status::not_found(format!("there is no table {table}")));
        };
        let end = end.min(*self.range.end());
        let within = |ledger: u32| (start..=end).contains(&ledger);
        let batches: Vec<RecordBatch> = if table == "ttl" {
            let rows: Vec<Ttl> = ttls.iter().filter(|row| within(row.ledger_sequence)).cloned().collect();
            rows.chunks(self.batch_rows).map(ttl_batch).collect()
        } else {
            let rows: Vec<Named> = assets.iter().filter(|row| within(row.ledger_sequence)).cloned().collect();
            rows.chunks(self.batch_rows).map(assets_batch).collect()
        };
        Answer::Info(Info {
            app_metadata: Some(self.vouched(start, end)),
            total_records: batches.iter().map(|batch| batch.num_rows() as i64).sum(),
            ordered: true,
            endpoints: vec![batches.into_iter().map(Step::Batch).collect()],
        })
    }

    /// The answer for the state at a checkpoint, or for which there are.
    fn state(&self, table: &str, ledger: Option<u32>) -> Answer {
        let (Some(oldest), Some(newest)) = (self.states.first(), self.states.last()) else {
            return Answer::Refuse(Status::not_found("there is no state at any checkpoint"));
        };
        let Some(ledger) = ledger else {
            let metadata =
                serde_json::json!({"oldest_ledger": oldest.ledger, "newest_ledger": newest.ledger});
            return Answer::Info(Info::undeclared(Vec::new()).metadata(&metadata));
        };
        match self.states.iter().find(|state| state.ledger == ledger) {
            Some(state) => Answer::Info(state.info(table)),
            None => Answer::Refuse(Status::not_found(format!("there is no checkpoint {ledger}"))),
        }
    }

    fn distorted(&self, start: u32, end: u32) -> Info {
        let mut info = self.honest(start, end);
        if self.declared {
            info.total_records = (self.total)(info.total_records);
        } else {
            info.app_metadata = None;
            info.total_records = -1;
            info.ordered = false;
        }
        let mut left = self.kept.unwrap_or(usize::MAX);
        let mut ends_in = info.endpoints.len().saturating_sub(1);
        for (n, steps) in info.endpoints.iter_mut().enumerate() {
            steps.retain(|step| {
                let rows = matches!(step, Step::Batch(_));
                let keep = !rows || left > 0;
                left -= usize::from(rows && keep);
                keep
            });
            if left == 0 {
                ends_in = ends_in.min(n);
            }
        }
        if let Some(steps) = info.endpoints.get_mut(ends_in) {
            steps.extend(self.last.clone());
        }
        info
    }

    /// The batches over the endpoints, each of which begins with the schema.
    fn spread(&self, batches: Vec<RecordBatch>) -> Vec<Vec<Step>> {
        let per_endpoint = batches.len().div_ceil(self.endpoints).max(1);
        let empty = (self.reshape)(RecordBatch::new_empty(schema())).schema();
        let mut endpoints = vec![vec![Step::Schema(empty)]; self.endpoints];
        for (n, batch) in batches.into_iter().enumerate() {
            endpoints[n / per_endpoint].push(Step::Batch((self.reshape)(batch)));
        }
        endpoints
    }

    fn vouched(&self, start: u32, end: u32) -> Bytes {
        let tip = *self.range.end();
        let closed = self.rows.iter().rfind(|row| row.ledger_sequence == tip).map(|row| row.closed_at);
        let closed = DateTime::from_timestamp_micros(closed.unwrap_or(closed_at(tip)));
        let mut json = serde_json::json!({"start_ledger": start, "end_ledger": end});
        if let Some(closed) = closed {
            json["latest_closed_at"] = closed.to_rfc3339_opts(SecondsFormat::AutoSi, true).into();
        }
        if self.sides.is_some() {
            json["tables"] = serde_json::json!(["data", "ttl", "assets"]);
        }
        super::json(&json)
    }
}
