//! A synthetic chain: the rows of a ledger are a function of the seed, the parameters and the ledger,
//! whatever window asks for them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::datatypes::SchemaRef;
use chrono::{DateTime, Utc};

use crate::dataset::{Batches, Count, Dataset, Window};
use crate::error::Error;
use crate::schema::contract_data_schema;
use crate::trouble::Trouble;

mod calendar;
mod cast;
mod dice;
mod keys;
mod rows;
mod tip;
mod values;

use calendar::Calendar;
use cast::Cast;
use rows::Rows;
use tip::Tip;

/// What a chain is made from.
#[derive(Debug, Clone)]
pub struct ChainSpec {
    /// Another seed is another chain.
    pub seed: u64,
    /// The first ledger that it has.
    pub first_ledger: u32,
    /// How many ledgers it has, at least 1.
    pub ledgers: u32,
    /// The mean number of rows of a ledger, from 1 to 100,000; some ledgers are empty, a few have many more.
    pub rows_per_ledger: u32,
    /// The tip at the start; none: the last ledger.
    pub tip: Option<u32>,
    /// How long it takes until the tip moves on by one ledger; none: it stands still. With `tip` it moves up
    /// to the last ledger, without it the chain grows.
    pub tip_every: Option<Duration>,
    /// When the tip at the start closed; the sub-second part does not count.
    pub tip_closed_at: DateTime<Utc>,
    /// Seconds from the close of a ledger to that of the next, from 1 to 600.
    pub ledger_seconds: u32,
    /// The network, which decides the contract ids of assets.
    pub network_passphrase: String,
}

/// The passphrase of the public network.
pub const PUBNET: &str = "Public Global Stellar Network ; September 2015";

/// A chain, ready to be served.
#[derive(Debug)]
pub struct Chain {
    name: String,
    seed: u64,
    first: u32,
    schema: SchemaRef,
    cast: Cast,
    calendar: Calendar,
    tip: Tip,
}

impl Chain {
    /// Makes the cast of the chain, in well under a second; its clock starts.
    pub fn new(spec: &ChainSpec) -> Result<Self, Error> {
        let refuse = |reason: String| Err(Error::Options(reason));
        let Some(last) = spec.ledgers.checked_sub(1).and_then(|more| spec.first_ledger.checked_add(more))
        else {
            return refuse(format!(
                "a chain of {} ledgers cannot begin at {}",
                spec.ledgers, spec.first_ledger
            ));
        };
        let start = spec.tip.unwrap_or(last);
        if !(spec.first_ledger..=last).contains(&start) {
            return refuse(format!("the tip {start} is not one of the ledgers {}-{last}", spec.first_ledger));
        }
        if !(1..=100_000).contains(&spec.rows_per_ledger) || !(1..=600).contains(&spec.ledger_seconds) {
            return refuse("rows per ledger are 1 to 100000, seconds per ledger 1 to 600".to_owned());
        }
        let span = (spec.first_ledger, spec.ledgers);
        let calendar =
            Calendar::new(spec.seed, spec.rows_per_ledger, span, cast::ASSETS, cast::LATE, cast::NEVER);
        let cast = Cast::new(spec.seed, &spec.network_passphrase, calendar.mortals())?;
        Ok(Self {
            name: format!("chain {} {} {}", spec.seed, spec.first_ledger, spec.rows_per_ledger),
            seed: spec.seed,
            first: spec.first_ledger,
            schema: contract_data_schema(),
            cast,
            calendar,
            tip: Tip {
                start,
                end: if spec.tip.is_some() { last } else { u32::MAX },
                every: spec.tip_every,
                since: Instant::now(),
                closed_at: DateTime::from_timestamp(spec.tip_closed_at.timestamp(), 0).unwrap_or_default(),
                ledger_seconds: spec.ledger_seconds,
            },
        })
    }
}

#[tonic::async_trait]
impl Dataset for Chain {
    fn name(&self) -> &str {
        &self.name
    }

    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    async fn extent(&self) -> Result<Window, Trouble> {
        Ok(Window { start: self.first, end: self.tip.now() })
    }

    async fn count(&self, window: Window) -> Result<Count, Trouble> {
        let rows = (window.start..=window.end).map(|ledger| u64::from(self.calendar.rows(ledger))).sum();
        Ok(Count { rows: Some(rows), closed_at: Some(self.tip.closed_at(window.end)) })
    }

    fn batches(self: Arc<Self>, window: Window, batch_rows: usize) -> Batches {
        let schema = self.schema();
        Box::new(Rows::new(self, schema, window, batch_rows))
    }
}
