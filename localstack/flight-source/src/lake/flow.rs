//! The ledgers of a window as a stream. Objects are fetched and decoded concurrently, ahead of the reader, and delivered in
//! order; each ledger must be the successor of the one before.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use futures::future;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;
use pipeline::LedgerWindow;
use pipeline::contract::xdr::base16;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::Shared;
use super::cache::Cache;
use super::catalogue::{Catalogue, Extent, Object, unreachable};
use super::ledger::{Ledger, named};
use super::object::ObjectReader;
use crate::error::{Error, Result};
use crate::fault::Fault;

/// Maximum objects per stream that are fetched, decoded or waiting for the reader.
const AHEAD: usize = 16;
/// Maximum compressed bytes of the objects of one stream, unless a single object is larger.
const AHEAD_BYTES: u32 = 64 << 20;
/// Maximum compressed bytes of an object.
const OBJECT_BYTES: u64 = 512 << 20;

/// The next part of a window.
enum Step {
    Cached(Arc<Ledger>),
    /// An object, the ledgers wanted of it, and its share of [`AHEAD_BYTES`].
    Fetch(Object, LedgerWindow, OwnedSemaphorePermit),
}

/// A ledger in memory, or the ledgers of an object as they are decoded.
enum Piece {
    Cached(Arc<Ledger>),
    Decoding { object: Object, wanted: LedgerWindow, ledgers: mpsc::Receiver<Result<Ledger>> },
}

/// The ledgers of a window inside `extent`. The stream ends at the first error.
pub(crate) fn ledgers(
    lake: Arc<Shared>,
    extent: Arc<Extent>,
    window: LedgerWindow,
) -> BoxStream<'static, Result<Arc<Ledger>>> {
    let plan = Plan {
        lake: lake.clone(),
        extent,
        next: u64::from(window.start()),
        window,
        found: VecDeque::new(),
        room: Arc::new(Semaphore::new(AHEAD_BYTES as usize)),
    };
    let steps = stream::try_unfold(plan, |mut plan| async move {
        Ok::<_, Error>(plan.step().await?.map(|step| (step, plan)))
    });
    let pieces =
        steps.map_ok(move |step| future::ready(Ok::<_, Error>(begin(&lake, step)))).try_buffered(AHEAD);
    let ledgers = pieces.map_ok(flatten).try_flatten();
    linked(ledgers.boxed(), window)
}

struct Plan {
    lake: Arc<Shared>,
    extent: Arc<Extent>,
    window: LedgerWindow,
    next: u64,
    found: VecDeque<Object>,
    room: Arc<Semaphore>,
}

impl Plan {
    async fn step(&mut self) -> Result<Option<Step>> {
        let rest = u32::try_from(self.next).ok().and_then(|next| self.window.from(next));
        let Some(rest) = rest else { return Ok(None) };
        if self.found.is_empty() {
            let cache: &Cache = &self.lake.cache;
            if let Some(ledger) = cache.get(rest.start()) {
                self.next += 1;
                return Ok(Some(Step::Cached(ledger)));
            }
            let catalogue: &Catalogue = &self.lake.catalogue;
            self.found = catalogue.next(&self.extent, rest).await?.into();
        }
        let Some(object) = self.found.pop_front() else { return Ok(None) };
        if object.size > OBJECT_BYTES {
            let problem = format!("it has {} bytes, more than {OBJECT_BYTES}", object.size);
            return Err(Fault::from(problem).at(&object.path, named(object.ledgers)));
        }
        // No deadlock: permits are taken in the order of the stream, so those taken belong to objects that are read first.
        let share = u32::try_from(object.size).unwrap_or(u32::MAX).clamp(1, AHEAD_BYTES);
        let room = self.room.clone().acquire_many_owned(share).await;
        let room = room.map_err(|error| Error::Unexpected(error.to_string()))?;
        let wanted = rest.until(object.ledgers.end()).ok_or_else(|| {
            Error::Unexpected(format!("object {} ends before ledger {}", object.path, rest.start()))
        })?;
        self.next = u64::from(wanted.end()) + 1;
        Ok(Some(Step::Fetch(object, wanted, room)))
    }
}

/// Starts to fetch and decode an object in the background. The decoder stays at most one ledger ahead of the reader, and
/// stops when the reader is dropped.
fn begin(lake: &Arc<Shared>, step: Step) -> Piece {
    let (object, wanted, room) = match step {
        Step::Cached(ledger) => return Piece::Cached(ledger),
        Step::Fetch(object, wanted, room) => (object, wanted, room),
    };
    let (sender, ledgers) = mpsc::channel(1);
    let (lake, at_work) = (lake.clone(), object.clone());
    tokio::spawn(async move {
        let fetched = tokio::select! {
            fetched = fetch(&lake, &at_work) => fetched,
            () = sender.closed() => return,
        };
        let decoding = tokio::task::spawn_blocking(move || {
            let send = |ledger| sender.blocking_send(ledger).is_ok();
            match fetched {
                Ok(compressed) => decode(&lake.passphrase, &at_work, &compressed, wanted, send),
                Err(error) => {
                    send(Err(error));
                }
            }
            drop(room);
        });
        if let Err(error) = decoding.await {
            tracing::error!("the decoder panicked: {error}"); // the reader gets an error: the ledgers end early
        }
    });
    Piece::Decoding { object, wanted, ledgers }
}

async fn fetch(lake: &Shared, object: &Object) -> Result<Bytes> {
    let key = object.path.as_ref();
    let failed = |error: object_store::Error| match error {
        object_store::Error::NotFound { .. } => Error::Missing(format!(
            "object {key} with ledger {} was listed, but is gone",
            named(object.ledgers)
        )),
        error => unreachable(key, error),
    };
    let got = lake.store.get(&object.path).await.map_err(failed)?;
    if got.meta.size != object.size {
        return Err(Error::Unreachable {
            problem: format!(
                "object {key} is still being written: it had {} bytes, now {}",
                object.size, got.meta.size
            ),
            source: None,
        });
    }
    got.bytes().await.map_err(failed)
}

/// Sends the wanted ledgers of an object; stops when `send` returns false.
fn decode(
    passphrase: &str,
    object: &Object,
    compressed: &[u8],
    wanted: LedgerWindow,
    send: impl Fn(Result<Ledger>) -> bool,
) {
    let of = (object.ledgers, object.compression);
    let reader = match ObjectReader::open(object.path.as_ref(), compressed, of, passphrase) {
        Ok(reader) => reader,
        Err(error) => {
            send(Err(error));
            return;
        }
    };
    for ledger in reader {
        let go_on = match ledger {
            Ok(ledger) if ledger.sequence < wanted.start() => true,
            Ok(ledger) if ledger.sequence > wanted.end() => false,
            Ok(ledger) => send(Ok(ledger)),
            Err(error) => {
                send(Err(error));
                false
            }
        };
        if !go_on {
            return;
        }
    }
}

/// The ledgers of a piece. If they end before the last one wanted, the decoder has panicked.
fn flatten(piece: Piece) -> BoxStream<'static, Result<Arc<Ledger>>> {
    let (object, wanted, ledgers) = match piece {
        Piece::Cached(ledger) => return stream::iter([Ok(ledger)]).boxed(),
        Piece::Decoding { object, wanted, ledgers } => (object, wanted, ledgers),
    };
    let state = (object, ledgers, u64::from(wanted.start()), wanted.end());
    stream::try_unfold(state, |(object, mut ledgers, next, end)| async move {
        match ledgers.recv().await {
            Some(ledger) => Ok(Some((Arc::new(ledger?), (object, ledgers, next + 1, end)))),
            None if next > u64::from(end) => Ok(None),
            None => Err(Error::Unexpected(format!(
                "object {}, ledger {next}: the decoder ended early",
                object.path
            ))),
        }
    })
    .boxed()
}

/// The ledgers, checked: each is the successor of the one before, by number and by hash.
fn linked(
    ledgers: BoxStream<'static, Result<Arc<Ledger>>>,
    window: LedgerWindow,
) -> BoxStream<'static, Result<Arc<Ledger>>> {
    let state = (ledgers, None::<Arc<Ledger>>, window);
    stream::try_unfold(state, |(mut ledgers, before, window)| async move {
        let Some(ledger) = ledgers.try_next().await? else { return Ok(None) };
        let expected = before.as_ref().map_or(window.start(), |before| before.sequence.saturating_add(1));
        if ledger.sequence != expected {
            return Err(Error::Unexpected(format!("ledger {} instead of {expected}", ledger.sequence)));
        }
        if let Some(before) = &before
            && before.hash != ledger.previous
        {
            return Err(Error::Corrupt {
                place: format!("ledger {} does not follow ledger {}", ledger.sequence, before.sequence),
                problem: format!(
                    "it names {} as the hash of the ledger before it, which is {}",
                    base16(&ledger.previous),
                    base16(&before.hash)
                ),
                source: None,
            });
        }
        Ok(Some((ledger.clone(), (ledgers, Some(ledger), window))))
    })
    .boxed()
}
