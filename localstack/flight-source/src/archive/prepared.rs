//! The state at one checkpoint, proven and ready to be served.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pipeline::contract::checkpoint::Checkpoint;
use pipeline::contract::tables::Table;
use pipeline::contract::xdr::base16;
use tokio::runtime::Handle;

use super::bucket::{Read, Reader};
use super::checkpoints;
use super::files::Files;
use super::header::{self, Header};
use super::named::Named;
use super::rows::{self, At};
use super::scratch::{Scratch, Spooled};
use super::settled::{Settled, settle};
use super::state::{STATE_BYTES, State};
use super::versions::{PARTS, Versions};
use crate::dataset::{Batches, Dataset};
use crate::error::{Error, Result};
use crate::fault::Fault;

/// How often a long bucket is heard of.
const HEARD: Duration = Duration::from_secs(10);

/// The state at a checkpoint in temporary files, which are gone with the last stream of its rows.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) checkpoint: Checkpoint,
    at: At,
    settled: Settled,
    assets: Spooled,
    named: u64,
}

/// What a state is made of, and proven by.
#[derive(Clone)]
pub(crate) struct Maker {
    pub(crate) files: Files,
    pub(crate) scratch: Scratch,
    pub(crate) passphrase: String,
    /// Where the ledgers come from, if they are served too: their headers must be the same.
    pub(crate) ledgers: Option<Arc<dyn Dataset>>,
}

impl Prepared {
    pub(crate) fn ledger(&self) -> u32 {
        self.at.ledger
    }

    /// The exact number of rows of a table.
    pub(crate) fn rows(&self, table: Table) -> u64 {
        match table {
            Table::Data => self.settled.data,
            Table::Ttl => self.settled.data + self.settled.code,
            Table::Assets => self.named,
        }
    }

    /// The rows of a table, in ascending order of key hash or contract.
    pub(crate) fn batches(&self, table: Table, batch_rows: usize) -> Batches {
        rows::batches(table, self.at.clone(), &self.settled, &self.assets, batch_rows)
    }
}

impl Maker {
    /// Proves and counts the state at a checkpoint; `None` if the archive has no such checkpoint.
    ///
    /// # Errors
    /// [`Error::Corrupt`] and [`Error::Network`] for what is not proven, [`Error::Missing`] for a file that the checkpoint
    /// names, [`Error::Unreachable`], and [`Error::Scratch`].
    pub(crate) async fn make(self, ledger: u32) -> Result<Option<Prepared>> {
        let name = checkpoints::state(ledger);
        let json = match self.files.small(&name, STATE_BYTES).await {
            // forbidden, for example
            Err(Error::Unreachable { .. }) if !self.files.exists(&name).await? => return Ok(None),
            json => json?,
        };
        let Some(json) = json else { return Ok(None) };
        let at = |fault: Fault| fault.at(&name, ledger);
        let state = State::parse(&json).map_err(at)?;
        self.check_place(&state, ledger).map_err(at)?;
        let header = self.header(ledger).await?;
        state.prove(header.bucket_list_hash, header.protocol).map_err(at)?;
        self.check_ledger(&header).await?;
        let handle = Handle::current();
        let reading = tokio::task::spawn_blocking(move || self.read(&handle, &state, &header));
        reading.await.map_err(|error| Error::Unexpected(format!("the state at {ledger}: {error}")))?.map(Some)
    }

    fn check_place(&self, state: &State, ledger: u32) -> Result<(), Fault> {
        if state.current_ledger != ledger {
            return Err(format!("it is of ledger {}", state.current_ledger).into());
        }
        match &state.network_passphrase {
            Some(other) if *other != self.passphrase => Err(Fault::of_network(format!(
                "it is of the network {other:?}, and not of {:?}",
                self.passphrase
            ))),
            _ => Ok(()),
        }
    }

    async fn header(&self, ledger: u32) -> Result<Header> {
        let name = checkpoints::headers(ledger);
        let file = self.files.download(&name).await?.ok_or_else(|| missing(&name, ledger))?;
        let found = tokio::task::spawn_blocking(move || header::find(file, ledger)).await;
        let found = found.map_err(|error| Error::Unexpected(format!("{name}: {error}")))?;
        found.map_err(|fault| fault.at(&name, ledger))
    }

    /// Compares the header with the one of the ledgers that are served, if they have it.
    async fn check_ledger(&self, header: &Header) -> Result<()> {
        let Some(ledgers) = &self.ledgers else { return Ok(()) };
        if !ledgers.extent().await?.contains(header.ledger) {
            return Ok(());
        }
        let close = match ledgers.close(header.ledger).await {
            Err(Error::Missing(gap)) => {
                tracing::warn!("the header of ledger {} is not compared: {gap}", header.ledger);
                return Ok(());
            }
            close => close?,
        };
        match close.hash {
            Some(hash) if hash != header.hash => {
                let problem = format!(
                    "its header has the hash {}, but {} has {}",
                    base16(&header.hash),
                    ledgers.name(),
                    base16(&hash)
                );
                Err(Fault::from(problem).at(checkpoints::headers(header.ledger), header.ledger))
            }
            _ => Ok(()),
        }
    }

    /// Reads all buckets, one after the other, and settles what they say. Memory: the files' buffers, a record, and one file of
    /// versions. Disk: each version of contract data, contract code and
    /// times to live, and of the entries that name assets; then what the state keeps of them.
    fn read(&self, handle: &Handle, state: &State, header: &Header) -> Result<Prepared> {
        let (ledger, started) = (header.ledger, Instant::now());
        let mut reader = Reader {
            ledger,
            protocol: header.protocol,
            versions: Versions::create(&self.scratch)?,
            passphrase: &self.passphrase,
        };
        let buckets = state.buckets();
        let (mut before, mut heard) = (Read::default(), Instant::now());
        for (done, bucket) in buckets.iter().enumerate() {
            let name = checkpoints::bucket(&bucket.hash);
            let file = handle.block_on(self.files.download(&name))?.ok_or_else(|| missing(&name, ledger))?;
            let say = |read: Read, done: usize| {
                let (bytes, entries) = (before.bytes + read.bytes, before.records + read.records);
                tracing::info!(
                    checkpoint = ledger,
                    buckets = done,
                    of = buckets.len(),
                    bytes,
                    entries,
                    "reading"
                );
            };
            let read = reader.read(bucket, file, |read| {
                if heard.elapsed() > HEARD {
                    heard = Instant::now();
                    say(read, done);
                }
            });
            let read = read.map_err(|fault| fault.at(&name, ledger))?;
            say(read, done + 1);
            before = Read { bytes: before.bytes + read.bytes, records: before.records + read.records };
        }
        let versions = reader.versions.count();
        tracing::info!(checkpoint = ledger, versions, "settling");
        let mut named = Named::create(&self.scratch, &self.passphrase)?;
        let settled = settle(&self.scratch, reader.versions.finish()?, &mut named, |parts| {
            tracing::info!(checkpoint = ledger, parts, of = PARTS, "settling");
        });
        let settled = settled.map_err(|fault| fault.at(checkpoints::state(ledger), ledger))?;
        let (assets, named) = named.finish(&self.scratch)?;
        let prepared = Prepared {
            checkpoint: Checkpoint {
                ledger,
                bucket_list_hash: base16(&header.bucket_list_hash),
                protocol: header.protocol,
                tables: Table::ALL.to_vec(),
            },
            at: At { ledger, closed_at: header.closed_at, passphrase: self.passphrase.clone() },
            settled,
            assets,
            named,
        };
        tracing::info!(
            checkpoint = ledger,
            data = prepared.rows(Table::Data),
            ttl = prepared.rows(Table::Ttl),
            assets = named,
            bytes = prepared.settled.bytes(),
            seconds = started.elapsed().as_secs(),
            "the state is proven"
        );
        Ok(prepared)
    }
}

fn missing(name: &str, ledger: u32) -> Error {
    Error::Missing(format!("the archive has no {name}, which its checkpoint {ledger} needs"))
}
