//! Verify against the network: the state that follows from the history up to a checkpoint against the one that the network's
//! validators signed, entry by entry. If they are equal, so was every change in between.

use std::cmp::Ordering;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::UInt32Type;
use serde::Serialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::config::Config;
use crate::contract::checkpoint::{Checkpoint, newest_until};
use crate::contract::tables::{Table, position};
use crate::contract::tuples::{RowsDigest, Tuples, encode};
use crate::contract::values::Checker;
use crate::contract::window::LedgerWindow;
use crate::database::binary::{BinaryRows, next_field};
use crate::database::settings::Settings;
use crate::database::{Client, LONG_WORK, connect, get, ledger, progress, snapshot, sql};
use crate::error::{DatabaseContext, Error, Result};
use crate::report::{Event, Watch};
use crate::retry::retry;
use crate::source::{Drain, Drained, Flight, OfferedWindow, drain};
use crate::store::EntryOrder;

/// What `verify` found at a checkpoint.
#[derive(Debug, Clone, Default, Serialize)]
pub struct CheckpointVerification {
    /// The checkpoint.
    pub ledger: u32,
    /// Hex hash of the whole state of the network after it, which the source has proven its entries by.
    pub bucket_list_hash: String,
    /// The version of the network's protocol there.
    pub protocol: u32,
    /// Contract data entries that the network has.
    pub entries: u64,
    /// Hex SHA-256 over their rows, as a snapshot of this checkpoint would have it.
    pub rows_digest: String,
    /// Entries that are equal: value, last modification and, where it is known, time to live.
    pub equal: u64,
    /// Entries of the history that the network does not have any more, because their time was over.
    pub gone: u64,
    /// Entries of the network that did not change since the first loaded ledger, and so cannot be known without a snapshot.
    pub not_loaded: u64,
    /// Entries that differ.
    pub different: u64,
    /// The first of these, at most [`CheckpointVerification::EXAMPLES`].
    pub examples: Vec<Difference>,
}

/// An entry that differs from the network's.
#[derive(Debug, Clone, Serialize)]
pub struct Difference {
    /// Hex SHA-256 of the LedgerKey XDR.
    pub ledger_key_hash: String,
    /// Strkey of the contract.
    pub contract_id: String,
    /// What differs.
    pub problem: String,
}

impl CheckpointVerification {
    /// The number of differences listed.
    pub const EXAMPLES: usize = 20;

    fn differ(&mut self, entry: &Entry, problem: String) {
        self.different += 1;
        if self.examples.len() < Self::EXAMPLES {
            let Entry { hash, contract, .. } = entry;
            self.examples.push(Difference {
                ledger_key_hash: hash.clone(),
                contract_id: contract.clone(),
                problem,
            });
        }
    }
}

/// An entry at the checkpoint, of either side.
#[derive(Debug, Default)]
struct Entry {
    hash: String,
    contract: String,
    last_modified: i64,
    /// Of the value's text.
    value: [u8; 32],
    live_until: Option<i64>,
    /// Of the history: whether its time is over, as far as is known.
    is_over: bool,
}

/// Compares the state at a checkpoint; `None` for the newest one that the source has and this database reaches.
///
/// # Errors
/// [`Error::Usage`] when ledgers up to the checkpoint are not loaded or no longer retained; [`Error::Source`],
/// [`Error::Database`]. A difference is not an error.
pub async fn verify_checkpoint(
    config: &Config,
    wanted: Option<u32>,
    watch: Watch,
) -> Result<CheckpointVerification> {
    let client = connect(&config.database).await?;
    client.limit(LONG_WORK).await?;
    Settings::checked(&client, config).await?;
    let flight = Flight::new(&config.flight)?;
    let checkpoint = match wanted {
        Some(checkpoint) => checkpoint,
        None => newest(&client, &flight).await?,
    };
    let history = history(&client, checkpoint).await?;
    let ask = |_| flight.state(Table::Data, checkpoint);
    let (declared, offered) = retry(config.max_retries, "ask the source", ask).await?;
    watch(Event::Counted(offered.rows().unwrap_or(0)));
    let Checkpoint { bucket_list_hash, protocol, .. } = declared;
    let mut found = CheckpointVerification {
        ledger: checkpoint,
        bucket_list_hash,
        protocol,
        ..CheckpointVerification::default()
    };
    let mut network = Network::of(config, &flight, offered);
    let statement = sql::CHECKPOINT_STATES.replace("{ledger}", &checkpoint.to_string());
    let mut ours = BinaryRows::begin(&client, &statement, "read the state at a checkpoint").await?;
    merge(&mut network, &mut ours, &history, &mut found, &watch).await?;
    found.rows_digest = network.digest.finish();
    Ok(found)
}

/// The newest checkpoint that the source has and this database reaches.
async fn newest(client: &Client, flight: &Flight) -> Result<u32> {
    let available = flight.checkpoints().await?;
    let row = client.query_one(sql::LAST_LEDGER, &[]).await.database("read the newest ledger")?;
    let loaded = ledger(&row, "ledger")?.and_then(newest_until);
    let newest = loaded.map(|loaded| loaded.min(available.newest_ledger));
    newest.filter(|newest| *newest >= available.oldest_ledger).ok_or_else(|| {
        Error::Usage(
            "no checkpoint of the source is in the loaded ledgers: load more, or name one".to_owned(),
        )
    })
}

/// What is known of the history up to a checkpoint.
#[derive(Debug)]
struct History {
    /// Whether it begins with the whole state.
    is_whole: bool,
    /// Its first ledger: that after the snapshot, if there is one.
    first: u32,
    /// Whether every change of a time to live in it is known.
    has_lives: bool,
}

/// # Errors
/// [`Error::Usage`] when the state at the checkpoint does not follow from what is loaded.
async fn history(client: &Client, checkpoint: u32) -> Result<History> {
    let base = snapshot::stored(client).await?;
    let row = client.query_one(sql::FIRST_LEDGER, &[]).await.database("read the first ledger")?;
    let condensed_to = ledger(&row, "condensed_to")?.unwrap_or(0);
    if condensed_to > checkpoint.saturating_add(1) {
        return Err(Error::Usage(format!(
            "the history before ledger {condensed_to} is not retained: the state at checkpoint {checkpoint} is not known any more"
        )));
    }
    let begun = match &base {
        Some(base) => Some(base.ledger.saturating_add(1)),
        None => ledger(&row, "first_ledger")?,
    };
    let first =
        begun.ok_or_else(|| Error::Usage("nothing is loaded: there is nothing to compare".to_owned()))?;
    if checkpoint.saturating_add(1) < first {
        return Err(Error::Usage(format!(
            "checkpoint {checkpoint} is before ledger {first}, the first that is loaded"
        )));
    }
    if let Ok(range) = LedgerWindow::new(first, checkpoint)
        && let Some(missing) = progress::uncovered(client, range).await?.first()
    {
        return Err(Error::Usage(format!(
            "ledgers {missing} are not loaded: load them first, and the state at checkpoint {checkpoint} follows from the history"
        )));
    }
    let lives = client
        .query_one(sql::TTLS_KNOWN, &[&i64::from(first), &i64::from(checkpoint)])
        .await
        .database("read which times to live are known")?;
    Ok(History { is_whole: base.is_some(), first, has_lives: get(&lives, "known")? })
}

/// Merges both sides, which are in the order of their hashes.
async fn merge(
    network: &mut Network<'_>,
    ours: &mut BinaryRows<'_>,
    history: &History,
    found: &mut CheckpointVerification,
    watch: &Watch,
) -> Result<()> {
    let (mut theirs, mut mine) = (network.next().await?, next_entry(ours).await?);
    loop {
        let order = match (&theirs, &mine) {
            (Some(theirs), Some(mine)) => theirs.hash.cmp(&mine.hash),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return Ok(()),
        };
        match (order, &theirs, &mine) {
            (Ordering::Equal, Some(theirs), Some(mine)) => compare(theirs, mine, history, found),
            (Ordering::Less, Some(entry), _)
                if !history.is_whole && entry.last_modified < i64::from(history.first) =>
            {
                found.not_loaded += 1;
            }
            (Ordering::Less, Some(entry), _) => {
                found.differ(entry, "the network has it, this database does not".to_owned());
            }
            (_, _, Some(entry)) if entry.is_over => found.gone += 1,
            (_, _, Some(entry)) => {
                found.differ(entry, "this database has it, the network does not".to_owned());
            }
            _ => return Ok(()),
        }
        if order != Ordering::Greater {
            found.entries += 1;
            if found.entries.is_multiple_of(1_000) {
                watch(Event::Entries(1_000));
            }
            theirs = network.next().await?;
        }
        if order != Ordering::Less {
            mine = next_entry(ours).await?;
        }
    }
}

/// Compares an entry that both sides have.
fn compare(theirs: &Entry, mine: &Entry, history: &History, found: &mut CheckpointVerification) {
    let problem = if theirs.value != mine.value {
        Some("it has another value than the network's".to_owned())
    } else if theirs.last_modified != mine.last_modified {
        let Entry { last_modified, .. } = theirs;
        Some(format!(
            "it was last modified in ledger {}, in the network in {last_modified}",
            mine.last_modified
        ))
    } else if history.has_lives
        && let (Some(theirs), Some(mine)) = (theirs.live_until, mine.live_until)
        && theirs != mine
    {
        Some(format!("it lives until ledger {mine}, in the network until {theirs}"))
    } else {
        None
    };
    match problem {
        Some(problem) => found.differ(theirs, problem),
        None => found.equal += 1,
    }
}

/// The next entry of the history.
async fn next_entry(rows: &mut BinaryRows<'_>) -> Result<Option<Entry>> {
    let Some(mut fields) = rows.next().await? else { return Ok(None) };
    let text = |field: Option<&[u8]>| String::from_utf8_lossy(field.unwrap_or_default()).into_owned();
    let number = |field: Option<&[u8]>| field.and_then(|f| Some(i64::from_be_bytes(f.try_into().ok()?)));
    let (hash, contract) = (text(next_field(&mut fields)), text(next_field(&mut fields)));
    let last_modified = number(next_field(&mut fields));
    let value = next_field(&mut fields).and_then(|value| value.try_into().ok());
    let (live_until, is_over) = (number(next_field(&mut fields)), next_field(&mut fields));
    let (Some(last_modified), Some(value)) = (last_modified, value) else {
        return Err(Error::Unexpected(format!("entry {hash} comes without its value")));
    };
    Ok(Some(Entry { hash, contract, last_modified, value, live_until, is_over: is_over == Some(&[1]) }))
}

/// The entries that the network has, as the source sends them.
struct Network<'a> {
    drain: Drain<'a>,
    order: EntryOrder,
    checker: Checker,
    digest: RowsDigest,
    tuples: Tuples,
    batch: Option<RecordBatch>,
    row: usize,
}

impl<'a> Network<'a> {
    fn of(config: &Config, flight: &'a Flight, offered: OfferedWindow) -> Self {
        Network {
            drain: drain(flight, offered),
            order: EntryOrder::default(),
            checker: Checker::new(Table::Data, config.network.clone()),
            digest: RowsDigest::new(Table::Data),
            tuples: Tuples::default(),
            batch: None,
            row: 0,
        }
    }

    /// The next entry; checked as those of a snapshot are.
    async fn next(&mut self) -> Result<Option<Entry>> {
        loop {
            if let Some(batch) = self.batch.as_ref().filter(|batch| self.row < batch.num_rows()) {
                let entry = entry(batch, self.row);
                self.row += 1;
                return Ok(Some(entry));
            }
            match self.drain.next().await? {
                Drained::Batch(batch) | Drained::OutOfOrder(batch) => {
                    self.order.check(&batch)?;
                    encode(Table::Data, &batch, Uuid::nil(), &mut self.tuples)?;
                    self.checker.check(&batch)?;
                    self.digest.update(&self.tuples);
                    (self.batch, self.row) = (Some(batch), 0);
                }
                Drained::Complete(..) => return Ok(None),
            }
        }
    }
}

/// An entry of a staged batch.
fn entry(batch: &RecordBatch, row: usize) -> Entry {
    let text = |column: usize| {
        let texts = batch.column(column).as_string::<i32>();
        if texts.is_valid(row) { texts.value(row) } else { "" }
    };
    let number = |column: usize| {
        let numbers = batch.column(column).as_primitive::<UInt32Type>();
        numbers.is_valid(row).then(|| i64::from(numbers.value(row)))
    };
    Entry {
        hash: text(position::LEDGER_KEY_HASH).to_owned(),
        contract: text(position::CONTRACT_ID).to_owned(),
        last_modified: number(position::LAST_MODIFIED_LEDGER).unwrap_or_default(),
        value: Sha256::digest(text(position::VAL_XDR)).into(),
        live_until: number(position::EXPIRATION_LEDGER_SEQ),
        is_over: false,
    }
}
