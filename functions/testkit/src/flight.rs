//! A Flight server on a real socket that follows a test's script.
//!
//! [`Source`] is the server; an [`Answer`] says what one GetFlightInfo gets, its [`Step`]s what each DoGet then does.
//! [`Chain`] writes honest answers for given rows, and distorts them on request:
//!
//! ```no_run
//! use testkit::{Chain, Row, Source};
//!
//! let honest = Source::of_rows(vec![Row::at(10), Row::at(12)]);
//! let one_too_many = Chain::of_rows(vec![Row::at(10)]).declare(|total| total + 1).serve();
//! let cut_the_first_time = Chain::of_rows(vec![Row::at(10)]).cut_after(0).for_attempts(1).serve();
//! ```

mod chain;
mod connection;
mod encode;
mod service;
mod state;
mod source;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::FlightData;
use bytes::Bytes;
use tokio::sync::Semaphore;
use tonic::Status;

pub use chain::Chain;
pub use source::Source;
pub use state::State;
pub use wire::{Ending, Reason, WireSource};

/// The request of a GetFlightInfo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// `PATH ["contract","data"]`: which ledgers are there?
    Range {
        /// The number of this request, counted from 1.
        attempt: usize,
    },
    /// `PATH ["contract","data","<start>","<end>"]`: the rows of these ledgers.
    Window {
        /// The first ledger.
        start: u32,
        /// The last ledger.
        end: u32,
        /// The number of this request for the same window, counted from 1.
        attempt: usize,
    },
    /// `PATH ["contract","ttl","<start>","<end>"]`, or `assets`: the rows of another table in these ledgers.
    Side {
        /// `ttl` or `assets`.
        table: &'static str,
        /// The first ledger.
        start: u32,
        /// The last ledger.
        end: u32,
        /// The number of this request for the same table and window, counted from 1.
        attempt: usize,
    },
    /// `PATH ["contract","state","<ledger>"]`, or `state-ttl`, `state-assets`: the state at a checkpoint.
    State {
        /// `state`, `state-ttl` or `state-assets`.
        table: &'static str,
        /// The checkpoint; `None` asks which there are.
        ledger: Option<u32>,
        /// The number of this request for the same table and checkpoint, counted from 1.
        attempt: usize,
    },
}

/// The answer to a GetFlightInfo.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A FlightInfo, and the scripts of its endpoints.
    Info(Info),
    /// An error.
    Refuse(Status),
    /// No answer, ever.
    Silence,
    /// The connection drops.
    Cut,
}

/// The parts of a FlightInfo that the loader reads.
#[derive(Clone, Debug)]
pub struct Info {
    /// The ledgers that the server vouches for, as JSON; None sends no metadata.
    pub app_metadata: Option<Bytes>,
    /// The number of rows, or -1 for unknown.
    pub total_records: i64,
    /// Whether the endpoints are in the order of the rows.
    pub ordered: bool,
    /// One script per endpoint, played from the beginning by each DoGet of its ticket.
    pub endpoints: Vec<Vec<Step>>,
}

/// One step of a DoGet. After the last step the stream ends cleanly, with grpc-status 0.
#[derive(Clone, Debug)]
pub enum Step {
    /// One message of rows; the first of a stream sends its schema before it, unless [`Step::Schema`] came earlier.
    Batch(RecordBatch),
    /// The schema message alone. Twice in a stream is a fault.
    Schema(SchemaRef),
    /// This message as it stands.
    Raw(FlightData),
    /// A pause.
    Delay(Duration),
    /// Waits for a permit and takes it: the test adds one when the stream may go on.
    Wait(Arc<Semaphore>),
    /// Adds a permit: the test waits for it to know that the stream came this far.
    Reached(Arc<Semaphore>),
    /// Ends the stream with an error.
    Error(Status),
    /// Drops the TCP connection, with all its streams. What came before has been sent.
    Cut,
    /// Sends nothing more.
    Silence,
}

impl Info {
    /// A declared window: `start` to `end` vouched for, holding `total` rows.
    pub fn declared(start: u32, end: u32, total: i64, endpoints: Vec<Vec<Step>>) -> Info {
        let metadata = serde_json::json!({"start_ledger": start, "end_ledger": end});
        Info { app_metadata: Some(json(&metadata)), total_records: total, ordered: true, endpoints }
    }

    /// A window with nothing that proves it complete.
    pub fn undeclared(endpoints: Vec<Vec<Step>>) -> Info {
        Info { app_metadata: None, total_records: -1, ordered: false, endpoints }
    }

    /// With this JSON as app_metadata.
    pub fn metadata(mut self, metadata: &serde_json::Value) -> Info {
        self.app_metadata = Some(json(metadata));
        self
    }
}

impl From<Info> for Answer {
    fn from(info: Info) -> Answer {
        Answer::Info(info)
    }
}

impl From<Status> for Answer {
    fn from(status: Status) -> Answer {
        Answer::Refuse(status)
    }
}

/// The status for a caller with an invalid token, with this message.
pub fn unauthenticated(words: &str) -> Status {
    Status::unauthenticated(words)
}

fn json(value: &serde_json::Value) -> Bytes {
    Bytes::from(value.to_string())
}
