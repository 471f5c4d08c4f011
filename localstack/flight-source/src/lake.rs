//! A Galexie lake as a dataset: Stellar's ledger exporter writes every ledger to object storage, and the changes of
//! contract data in them are the rows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use futures::stream::{self, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, mpsc};

use crate::chain::PUBNET;
use crate::dataset::{Batches, Count, Dataset, MESSAGE_BYTES, Window};
use crate::error::Error;
use crate::schema::contract_data_schema;
use crate::trouble::Trouble;

mod catalogue;
mod changes;
mod entry;
mod flow;
mod kept;
mod ledger;
mod location;
mod manifest;
mod name;
mod object;

use catalogue::{Catalogue, Extent, unreachable};
use kept::Kept;
use ledger::Ledger;
pub use location::LakeOptions;
use location::Location;
use manifest::Manifest;

/// For how long the first and the last ledger are believed to be what they were.
const FRESH: Duration = Duration::from_secs(2);

/// What the streams of a lake share.
#[derive(Debug)]
struct Shared {
    store: Arc<dyn ObjectStore>,
    catalogue: Catalogue,
    kept: Kept,
    passphrase: String,
}

/// A lake that is open.
#[derive(Debug)]
pub struct Lake {
    name: String,
    schema: SchemaRef,
    shared: Arc<Shared>,
    extent: Mutex<Option<(Instant, Arc<Extent>)>>,
    runtime: Handle,
}

impl Lake {
    /// Opens a lake: reads its manifest where it has one, and finds its first and its last ledger. Of these, the last is
    /// read, so that a lake of another network is refused here.
    ///
    /// # Errors
    /// [`Error::Options`] for an address or a passphrase that cannot be right, [`Error::Lake`] when the lake does not
    /// answer, has no ledger, or its last one cannot be read.
    pub async fn open(options: &LakeOptions) -> Result<Self, Error> {
        let location = Location::open(options)?;
        let manifest = manifest(&location).await?;
        let passphrase = manifest.passphrase(options.network_passphrase.as_deref(), PUBNET)?;
        let store = location.store.clone();
        let catalogue = Catalogue::open(location).await?;
        let shared = Shared { store, catalogue, kept: Kept::new(options.cache_bytes), passphrase };
        let lake = Self {
            name: format!("lake {}", options.url),
            schema: contract_data_schema(),
            shared: Arc::new(shared),
            extent: Mutex::default(),
            runtime: Handle::current(),
        };
        let ledgers = lake.known().await?.ledgers;
        lake.count(Window { start: ledgers.end, end: ledgers.end }).await?;
        tracing::info!(url = options.url, %ledgers, network = lake.shared.passphrase, "lake");
        Ok(lake)
    }

    async fn known(&self) -> Result<Arc<Extent>, Trouble> {
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

async fn manifest(location: &Location) -> Result<Manifest, Error> {
    let path: Path = location.root.clone().join(manifest::NAME);
    match location.store.get(&path).await {
        Ok(found) => {
            let json = found.bytes().await.map_err(|error| unreachable(path.as_ref(), &error))?;
            let manifest = Manifest::parse(&json)?;
            tracing::info!(?manifest, "the manifest of the lake");
            Ok(manifest)
        }
        Err(object_store::Error::NotFound { .. }) => Ok(Manifest::default()),
        Err(error) => Err(unreachable(path.as_ref(), &error).into()),
    }
}

#[tonic::async_trait]
impl Dataset for Lake {
    fn name(&self) -> &str {
        &self.name
    }

    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    async fn extent(&self) -> Result<Window, Trouble> {
        Ok(self.known().await?.ledgers)
    }

    async fn summary(&self, extent: Window) -> Result<Count, Trouble> {
        // To count all rows would be to read all ledgers. A last ledger that cannot be read is an error of the windows that
        // it is in, and not of those before it.
        let last = self.count(Window { start: extent.end, end: extent.end }).await;
        let closed_at = match last {
            Ok(last) => last.closed_at,
            Err(trouble) => {
                tracing::warn!("{trouble}");
                None
            }
        };
        Ok(Count { rows: None, closed_at })
    }

    async fn count(&self, window: Window) -> Result<Count, Trouble> {
        let extent = self.known().await?;
        let mut count = Count { rows: Some(0), closed_at: None };
        if window.is_empty() {
            let last = Window { start: window.end, end: window.end };
            if extent.ledgers.covers(last) {
                count.closed_at = self.count(last).await?.closed_at;
            }
            return Ok(count);
        }
        let mut ledgers = flow::ledgers(self.shared.clone(), extent, window);
        while let Some(ledger) = ledgers.try_next().await? {
            count.rows = count.rows.map(|rows| rows + ledger.rows);
            count.closed_at = Some(ledger.closed_at);
            self.shared.kept.put(window, &ledger);
        }
        Ok(count)
    }

    fn batches(self: Arc<Self>, window: Window, batch_rows: usize) -> Batches {
        let (sender, ledgers) = mpsc::channel(1);
        let (schema, batch_rows, next) = (self.schema.clone(), batch_rows.max(1), u64::from(window.start));
        self.runtime.clone().spawn(self.send(window, sender));
        Box::new(Rows { schema, batch_rows, ledgers, next, end: window.end, waiting: Vec::new() })
    }
}

impl Lake {
    /// Sends the ledgers of a window, until they end or nobody takes them any more.
    async fn send(self: Arc<Self>, window: Window, sender: mpsc::Sender<Result<Arc<Ledger>, Trouble>>) {
        let mut ledgers = match self.known().await {
            Ok(extent) => flow::ledgers(self.shared.clone(), extent, window),
            Err(trouble) => stream::iter([Err(trouble)]).boxed(),
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

/// The batches of a window: those of its ledgers, put together up to the size of a message.
struct Rows {
    schema: SchemaRef,
    batch_rows: usize,
    ledgers: mpsc::Receiver<Result<Arc<Ledger>, Trouble>>,
    /// The ledger to come, up to the last of the window.
    next: u64,
    end: u32,
    /// In reverse.
    waiting: Vec<RecordBatch>,
}

impl Rows {
    /// The next batch of a ledger, of at most `batch_rows` rows.
    fn piece(&mut self) -> Result<Option<RecordBatch>, Trouble> {
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
                return Err(Trouble::Internal(format!("the ledgers ended before {}", self.next)));
            };
            self.waiting.extend(ledger?.batches.iter().rev().cloned());
            self.next += 1;
        }
    }

    fn batch(&mut self) -> Result<Option<RecordBatch>, Trouble> {
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
            false => Ok(Some(concat_batches(&self.schema, &pieces)?)),
        }
    }
}

impl Iterator for Rows {
    type Item = Result<RecordBatch, Trouble>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.batch();
        if batch.is_err() {
            self.next = u64::MAX;
            self.waiting.clear();
        }
        batch.transpose()
    }
}
