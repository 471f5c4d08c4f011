//! A Galexie lake as a dataset. Galexie, Stellar's ledger exporter, writes every ledger to object storage; the changes of
//! contract data in these ledgers are the rows, beside them those of times to live, and the assets named.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use futures::stream::{self, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use pipeline::LedgerWindow;
use pipeline::PUBNET;
use pipeline::contract::tables::Table;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, mpsc};

use crate::dataset::{Batches, Close, Count, Dataset, MESSAGE_BYTES};
use crate::error::{Error, Result};
use crate::location::{Address, Kind, Location};

mod assets;
mod cache;
mod catalogue;
mod changes;
mod flow;
mod ledger;
mod manifest;
mod name;
mod object;
mod ttls;

use cache::Cache;
use catalogue::{Catalogue, Extent, unreachable};
use ledger::Ledger;
use manifest::Manifest;

/// How long the first and the last ledger are cached.
const FRESH: Duration = Duration::from_secs(2);

/// A lake, and how to access it.
#[derive(Debug, Clone, Default)]
pub struct LakeOptions {
    /// A directory, `file:///path`, or `s3://bucket/prefix`.
    pub url: String,
    /// The region of the bucket; `None` for that of the environment, or else us-east-1.
    pub region: Option<String>,
    /// The URL of the S3 API; `None` for that of the environment, or else AWS.
    pub endpoint: Option<String>,
    /// Whether requests are not signed: the bucket is public. Otherwise the credentials come from the environment.
    pub anonymous: bool,
    /// The passphrase of the network; `None` for that of the manifest, or else the public network.
    pub network_passphrase: Option<String>,
    /// Memory for rows between counting and sending.
    pub cache_bytes: usize,
}

/// The state shared by the streams of a lake.
#[derive(Debug)]
struct Shared {
    store: Arc<dyn ObjectStore>,
    catalogue: Catalogue,
    cache: Cache,
    passphrase: String,
}

/// An open lake.
#[derive(Debug)]
pub struct Lake {
    name: String,
    shared: Arc<Shared>,
    extent: Mutex<Option<(Instant, Arc<Extent>)>>,
    runtime: Handle,
}

impl Lake {
    /// Opens a lake: reads its manifest if there is one, finds its first and its last ledger, and reads the last one, so
    /// that a lake of another network is refused at once.
    ///
    /// # Errors
    /// [`Error::Store`] for an address that cannot be used, [`Error::Manifest`], [`Error::Options`] when manifest and
    /// options name different networks, [`Error::Missing`] when there are no ledgers, [`Error::Unreachable`], and
    /// [`Error::Network`] when the last ledger is of another network. If that ledger is damaged, the lake opens: the other
    /// ledgers can be served.
    pub async fn open(options: &LakeOptions) -> Result<Self> {
        let location = Location::open(&Address {
            kind: Kind::Lake,
            url: &options.url,
            region: options.region.as_deref(),
            endpoint: options.endpoint.as_deref(),
            anonymous: options.anonymous,
        })?;
        let manifest = manifest(&location).await?;
        let passphrase = manifest.passphrase(options.network_passphrase.as_deref(), PUBNET)?;
        let store = location.store.clone();
        let catalogue = Catalogue::open(location).await?;
        let shared = Shared { store, catalogue, cache: Cache::new(options.cache_bytes), passphrase };
        let lake = Self {
            name: format!("lake {}", options.url),
            shared: Arc::new(shared),
            extent: Mutex::default(),
            runtime: Handle::current(),
        };
        let ledgers = lake.known().await?.ledgers;
        match lake.close(ledgers.end()).await {
            // It is an error of the windows that contain it.
            Err(damage @ Error::Corrupt { .. }) => tracing::warn!("{}", damage.chain()),
            read => drop(read?),
        }
        tracing::info!(url = options.url, %ledgers, network = lake.shared.passphrase, "lake opened");
        Ok(lake)
    }

    /// The passphrase of its network.
    pub fn network_passphrase(&self) -> &str {
        &self.shared.passphrase
    }

    async fn known(&self) -> Result<Arc<Extent>> {
        let mut known = self.extent.lock().await;
        if let Some((since, extent)) = &*known
            && since.elapsed() < FRESH
        {
            return Ok(extent.clone());
        }
        let before = known.as_ref().map(|(_, extent)| extent.clone());
        let extent = Arc::new(self.shared.catalogue.extent(before.as_deref()).await?);
        *known = Some((Instant::now(), extent.clone()));
        Ok(extent)
    }
}

async fn manifest(location: &Location) -> Result<Manifest> {
    let path: Path = location.root.clone().join(manifest::NAME);
    match location.store.get(&path).await {
        Ok(found) => {
            let json = found.bytes().await.map_err(|error| unreachable(path.as_ref(), error))?;
            let manifest = Manifest::parse(&json)?;
            tracing::info!(?manifest, "manifest of the lake");
            Ok(manifest)
        }
        Err(object_store::Error::NotFound { .. }) => Ok(Manifest::default()),
        Err(error) => Err(unreachable(path.as_ref(), error)),
    }
}

#[tonic::async_trait]
impl Dataset for Lake {
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
        Ok(self.known().await?.ledgers)
    }

    async fn summary(&self, _: Table, extent: LedgerWindow) -> Result<Count> {
        // Counting all rows would mean reading all ledgers. If the last ledger cannot be read, that is an error of the
        // windows that contain it, and not of this request.
        let close = self.close(extent.end()).await.unwrap_or_else(|error| {
            tracing::warn!("{}", error.chain());
            Close::default()
        });
        Ok(Count { rows: None, close })
    }

    async fn count(&self, table: Table, window: LedgerWindow) -> Result<Count> {
        let extent = self.known().await?;
        let mut count = Count { rows: Some(0), close: Close::default() };
        let mut ledgers = flow::ledgers(self.shared.clone(), extent, window);
        while let Some(ledger) = ledgers.try_next().await? {
            count.rows = count.rows.map(|rows| rows + ledger.rows(table).count);
            count.close = Close { at: Some(ledger.closed_at), hash: Some(ledger.hash) };
            self.shared.cache.put(window, &ledger);
        }
        Ok(count)
    }

    async fn close(&self, ledger: u32) -> Result<Close> {
        match self.known().await?.ledgers.contains(ledger) {
            true => Ok(self.count(Table::Data, LedgerWindow::single(ledger)).await?.close),
            false => Ok(Close::default()),
        }
    }

    fn batches(self: Arc<Self>, table: Table, window: LedgerWindow, batch_rows: usize) -> Batches {
        let (sender, ledgers) = mpsc::channel(1);
        let (batch_rows, next) = (batch_rows.max(1), u64::from(window.start()));
        self.runtime.clone().spawn(self.send(window, sender));
        Box::new(Rows { table, batch_rows, ledgers, next, end: window.end(), waiting: Vec::new() })
    }
}

impl Lake {
    /// Sends the ledgers of a window until they end or the receiver is dropped.
    async fn send(self: Arc<Self>, window: LedgerWindow, sender: mpsc::Sender<Result<Arc<Ledger>>>) {
        let mut ledgers = match self.known().await {
            Ok(extent) => flow::ledgers(self.shared.clone(), extent, window),
            Err(error) => stream::iter([Err(error)]).boxed(),
        };
        loop {
            let next = tokio::select! {
                next = ledgers.next() => next,
                () = sender.closed() => return,
            };
            let Some(ledger) = next else { return };
            if sender.send(ledger).await.is_err() {
                return;
            }
        }
    }
}

/// The batches of a table in a window: those of its ledgers, merged up to the size of a message.
struct Rows {
    table: Table,
    batch_rows: usize,
    ledgers: mpsc::Receiver<Result<Arc<Ledger>>>,
    /// The next ledger to receive.
    next: u64,
    end: u32,
    /// Batches received and not yet returned, in reverse order.
    waiting: Vec<RecordBatch>,
}

impl Rows {
    /// The next batch of a single ledger, of at most `batch_rows` rows.
    fn piece(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.waiting.pop() {
                let rows = batch.num_rows().min(self.batch_rows);
                if rows < batch.num_rows() {
                    self.waiting.push(batch.slice(rows, batch.num_rows() - rows));
                }
                return Ok(Some(batch.slice(0, rows)));
            }
            if self.next > u64::from(self.end) {
                return Ok(None);
            }
            let Some(ledger) = self.ledgers.blocking_recv() else {
                return Err(Error::Unexpected(format!("the ledgers ended before ledger {}", self.next)));
            };
            self.waiting.extend(ledger?.rows(self.table).batches.iter().rev().cloned());
            self.next += 1;
        }
    }

    fn batch(&mut self) -> Result<Option<RecordBatch>> {
        let (mut pieces, mut rows, mut bytes) = (Vec::new(), 0, 0);
        while let Some(piece) = self.piece()? {
            let size = |batch: &RecordBatch| {
                let column = |column: &arrow::array::ArrayRef| column.to_data().get_slice_memory_size();
                batch.columns().iter().map(column).sum::<Result<usize, _>>()
            };
            let more = size(&piece)?;
            if !pieces.is_empty()
                && (rows + piece.num_rows() > self.batch_rows || bytes + more > MESSAGE_BYTES)
            {
                self.waiting.push(piece);
                break;
            }
            rows += piece.num_rows();
            bytes += more;
            pieces.push(piece);
        }
        match pieces.is_empty() {
            true => Ok(None),
            false => Ok(Some(concat_batches(&self.table.source_schema(), &pieces)?)),
        }
    }
}

impl Iterator for Rows {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.batch();
        if batch.is_err() {
            self.next = u64::MAX;
            self.waiting.clear();
        }
        batch.transpose()
    }
}
