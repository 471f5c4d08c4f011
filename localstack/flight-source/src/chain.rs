//! A synthetic chain: the rows of a ledger, of each table, depend on the seed, the parameters and the ledger, and not on the
//! window requested.

use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use chrono::{DateTime, Utc};
use pipeline::LedgerWindow;
use pipeline::contract::tables::Table;

use crate::dataset::{Batches, Close, Count, Dataset};
use crate::error::{Error, Result};

mod apps;
mod assets;
mod calendar;
mod cast;
mod changes;
mod dice;
mod keepers;
mod keys;
mod lives;
mod rows;
mod tip;
mod ttl;
mod values;

use calendar::Calendar;
use cast::Cast;
use keepers::Keepers;
use rows::Rows;
use tip::Tip;

/// The parameters of a chain.
#[derive(Debug, Clone)]
pub struct ChainSpec {
    /// A different seed gives a different chain.
    pub seed: u64,
    /// The first ledger.
    pub first_ledger: u32,
    /// The number of ledgers, at least 1.
    pub ledgers: u32,
    /// The mean number of rows per ledger, from 1 to 100,000; some ledgers are empty, a few have many more.
    pub rows_per_ledger: u32,
    /// When the chain started: from then on the tip advances.
    pub started_at: DateTime<Utc>,
    /// The tip at the start; `None` for the last ledger.
    pub tip: Option<u32>,
    /// The interval at which the tip advances by one ledger; `None` if it does not. With `tip` it stops at the last ledger,
    /// without it the chain grows without end.
    pub tip_every: Option<Duration>,
    /// When the tip at the start closed, in whole seconds: a fraction is dropped.
    pub tip_closed_at: DateTime<Utc>,
    /// Seconds between the close times of consecutive ledgers, from 1 to 600.
    pub ledger_seconds: u32,
    /// The network, which determines the contract ids of assets.
    pub network_passphrase: String,
}

/// A chain that is ready to serve.
#[derive(Debug)]
pub struct Chain {
    name: String,
    seed: u64,
    first: u32,
    cast: Cast,
    calendar: Calendar,
    keepers: Keepers,
    tip: Tip,
}

impl Chain {
    /// Makes the contracts and entries of the chain, in well under a second.
    ///
    /// # Errors
    /// [`Error::Options`] for parameters out of range.
    pub fn new(spec: &ChainSpec) -> Result<Self> {
        let refuse = |reason: String| Err(Error::Options(reason));
        let Some(last) = spec.ledgers.checked_sub(1).and_then(|more| spec.first_ledger.checked_add(more))
        else {
            return refuse(format!(
                "a chain of {} ledgers cannot start at ledger {}",
                spec.ledgers, spec.first_ledger
            ));
        };
        let start = spec.tip.unwrap_or(last);
        if !(spec.first_ledger..=last).contains(&start) {
            return refuse(format!("the tip {start} is not one of the ledgers {}-{last}", spec.first_ledger));
        }
        if !(1..=100_000).contains(&spec.rows_per_ledger) || !(1..=600).contains(&spec.ledger_seconds) {
            return refuse("rows per ledger must be 1 to 100000, and seconds per ledger 1 to 600".to_owned());
        }
        let span = (spec.first_ledger, spec.ledgers);
        let calendar =
            Calendar::new(spec.seed, spec.rows_per_ledger, span, cast::ASSETS, cast::LATE, cast::NEVER);
        let cast = Cast::new(spec.seed, &spec.network_passphrase, calendar.lives.entries())?;
        let ordinary = cast.keys[..cast.mortals].iter().map(|key| key.persistent);
        let keepers = Keepers::new(spec.seed, ordinary.chain(cast.codes.iter().map(|_| true)));
        Ok(Self {
            name: format!("chain {} {} {}", spec.seed, spec.first_ledger, spec.rows_per_ledger),
            seed: spec.seed,
            first: spec.first_ledger,
            cast,
            calendar,
            keepers,
            tip: Tip {
                start,
                end: if spec.tip.is_some() { last } else { u32::MAX },
                every: spec.tip_every,
                since: spec.started_at,
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

    fn tables(&self) -> &[Table] {
        &Table::ALL
    }

    fn schema(&self, table: Table) -> SchemaRef {
        table.source_schema()
    }

    async fn extent(&self) -> Result<LedgerWindow> {
        Ok(LedgerWindow::single(self.first).span(LedgerWindow::single(self.tip.now())))
    }

    async fn summary(&self, table: Table, extent: LedgerWindow) -> Result<Count> {
        match table {
            Table::Data => self.count(table, extent).await,
            // counting these means making most of them
            Table::Ttl | Table::Assets => Ok(Count { rows: None, close: self.close(extent.end()).await? }),
        }
    }

    async fn count(&self, table: Table, window: LedgerWindow) -> Result<Count> {
        let ledgers = window.start()..=window.end();
        let rows = match table {
            Table::Data => ledgers.map(|ledger| u64::from(self.calendar.rows(ledger))).sum(),
            Table::Ttl => self.ttl_count(window),
            Table::Assets => self.assets_count(window),
        };
        Ok(Count { rows: Some(rows), close: self.close(window.end()).await? })
    }

    async fn close(&self, ledger: u32) -> Result<Close> {
        Ok(Close { at: Some(self.tip.closed_at(ledger)), hash: None })
    }

    fn batches(self: Arc<Self>, table: Table, window: LedgerWindow, batch_rows: usize) -> Batches {
        match table {
            Table::Data => Box::new(Rows::new(self, window, batch_rows)),
            Table::Ttl => self.ttl(window, batch_rows),
            Table::Assets => self.assets(window, batch_rows),
        }
    }
}
