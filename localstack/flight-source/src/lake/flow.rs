//! The ledgers of a window as a stream: objects are fetched and decoded ahead of the reader, side by side, and handed
//! over in order, each ledger linked to the one before.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use futures::future;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::Shared;
use super::catalogue::{Catalogue, Extent, Object, unreachable};
use super::entry::hex;
use super::kept::Kept;
use super::ledger::{Ledger, named};
use super::object::Unpacked;
use crate::dataset::Window;
use crate::trouble::Trouble;

/// Objects of one stream that are fetched, decoded or wait for the reader, at most.
const AHEAD: usize = 16;
/// What the packed objects of one stream may take together, unless one alone has more.
const AHEAD_BYTES: u32 = 64 << 20;
/// What a packed object may take, at most.
const OBJECT_BYTES: u64 = 512 << 20;

/// What comes next in a window.
enum Step {
    Kept(Arc<Ledger>),
    /// An object, of which these ledgers are wanted, and its share of [`AHEAD_BYTES`].
    Fetch(Object, Window, OwnedSemaphorePermit),
}

/// Ledgers that are there, or come from an object as they are decoded.
enum Piece {
    Kept(Arc<Ledger>),
    Decoding { object: Object, wanted: Window, ledgers: mpsc::Receiver<Result<Ledger, Trouble>> },
}

/// The ledgers of a window that `extent` covers. The stream ends at the first trouble.
pub(crate) fn ledgers(
    lake: Arc<Shared>,
    extent: Arc<Extent>,
    window: Window,
) -> BoxStream<'static, Result<Arc<Ledger>, Trouble>> {
    let plan = Plan {
        lake: lake.clone(),
        extent,
        next: u64::from(window.start),
        window,
        found: VecDeque::new(),
        room: Arc::new(Semaphore::new(AHEAD_BYTES as usize)),
    };
    let steps = stream::try_unfold(plan, |mut plan| async move {
        Ok::<_, Trouble>(plan.step().await?.map(|step| (step, plan)))
    });
    let pieces =
        steps.map_ok(move |step| future::ready(Ok::<_, Trouble>(begin(&lake, step)))).try_buffered(AHEAD);
    let ledgers = pieces.map_ok(flatten).try_flatten();
    linked(ledgers.boxed(), window)
}

struct Plan {
    lake: Arc<Shared>,
    extent: Arc<Extent>,
    window: Window,
    next: u64,
    found: VecDeque<Object>,
    room: Arc<Semaphore>,
}

impl Plan {
    async fn step(&mut self) -> Result<Option<Step>, Trouble> {
        let end = self.window.end;
        if self.next > u64::from(end) {
            return Ok(None);
        }
        let next = self.next as u32;
        if self.found.is_empty() {
            let kept: &Kept = &self.lake.kept;
            if let Some(ledger) = kept.get(next) {
                self.next += 1;
                return Ok(Some(Step::Kept(ledger)));
            }
            let catalogue: &Catalogue = &self.lake.catalogue;
            self.found = catalogue.next(&self.extent, Window { start: next, end }).await?.into();
        }
        let Some(object) = self.found.pop_front() else { return Ok(None) };
        if object.size > OBJECT_BYTES {
            let key = &object.path;
            return Err(Trouble::Corrupt(format!(
                "object {key} has {} bytes, more than {OBJECT_BYTES}",
                object.size
            )));
        }
        // In the order of the objects: who waits for room has none, and whoever has room is before it in the stream.
        let share = u32::try_from(object.size).unwrap_or(u32::MAX).clamp(1, AHEAD_BYTES);
        let room = self.room.clone().acquire_many_owned(share).await;
        let room = room.map_err(|error| Trouble::Internal(error.to_string()))?;
        let wanted = Window { start: next, end: object.ledgers.end.min(end) };
        self.next = u64::from(wanted.end) + 1;
        Ok(Some(Step::Fetch(object, wanted, room)))
    }
}

/// Begins to fetch and to decode an object. The decoder is one ledger ahead of its reader at most; both go on while the
/// reader is with the objects before, and end when it leaves.
fn begin(lake: &Arc<Shared>, step: Step) -> Piece {
    let (object, wanted, room) = match step {
        Step::Kept(ledger) => return Piece::Kept(ledger),
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
                Ok(packed) => decode(&lake.passphrase, &at_work, &packed, wanted, send),
                Err(trouble) => {
                    send(Err(trouble));
                }
            }
            drop(room);
        });
        if let Err(error) = decoding.await {
            tracing::error!("the decoder: {error}"); // the reader hears that it ended early
        }
    });
    Piece::Decoding { object, wanted, ledgers }
}

async fn fetch(lake: &Shared, object: &Object) -> Result<Bytes, Trouble> {
    let key = object.path.as_ref();
    let trouble = |error: object_store::Error| match error {
        object_store::Error::NotFound { .. } => Trouble::Missing(format!(
            "object {key} with ledger {} was there, and is gone",
            named(object.ledgers)
        )),
        error => unreachable(key, &error),
    };
    let got = lake.store.get(&object.path).await.map_err(trouble)?;
    if got.meta.size != object.size {
        return Err(Trouble::Unreachable(format!(
            "object {key} is being written: it has {} bytes, and had {}",
            got.meta.size, object.size
        )));
    }
    got.bytes().await.map_err(trouble)
}

/// Sends the wanted ledgers of an object; stops when one is not taken.
fn decode(
    passphrase: &str,
    object: &Object,
    packed: &[u8],
    wanted: Window,
    send: impl Fn(Result<Ledger, Trouble>) -> bool,
) {
    let of = (object.ledgers, object.packing);
    let unpacked = match Unpacked::open(object.path.as_ref(), packed, of, passphrase) {
        Ok(unpacked) => unpacked,
        Err(trouble) => {
            send(Err(trouble));
            return;
        }
    };
    for ledger in unpacked {
        let go_on = match ledger {
            Ok(ledger) if ledger.sequence < wanted.start => true,
            Ok(ledger) if ledger.sequence > wanted.end => false,
            Ok(ledger) => send(Ok(ledger)),
            Err(trouble) => {
                send(Err(trouble));
                false
            }
        };
        if !go_on {
            return;
        }
    }
}

/// The ledgers of a piece. A decoder that ends before its last ledger has died.
fn flatten(piece: Piece) -> BoxStream<'static, Result<Arc<Ledger>, Trouble>> {
    let (object, wanted, ledgers) = match piece {
        Piece::Kept(ledger) => return stream::iter([Ok(ledger)]).boxed(),
        Piece::Decoding { object, wanted, ledgers } => (object, wanted, ledgers),
    };
    let state = (object, ledgers, u64::from(wanted.start), wanted.end);
    stream::try_unfold(state, |(object, mut ledgers, next, end)| async move {
        match ledgers.recv().await {
            Some(ledger) => Ok(Some((Arc::new(ledger?), (object, ledgers, next + 1, end)))),
            None if next > u64::from(end) => Ok(None),
            None => Err(Trouble::Internal(format!(
                "object {}, ledger {next}: the decoder ended early",
                object.path
            ))),
        }
    })
    .boxed()
}

/// The ledgers, each of them the one after the one before, by number and by hash.
fn linked(
    ledgers: BoxStream<'static, Result<Arc<Ledger>, Trouble>>,
    window: Window,
) -> BoxStream<'static, Result<Arc<Ledger>, Trouble>> {
    let state = (ledgers, None::<Arc<Ledger>>, window);
    stream::try_unfold(state, |(mut ledgers, before, window)| async move {
        let Some(ledger) = ledgers.try_next().await? else { return Ok(None) };
        let expected = before.as_ref().map_or(window.start, |before| before.sequence.saturating_add(1));
        if ledger.sequence != expected {
            return Err(Trouble::Internal(format!("ledger {} came in place of {expected}", ledger.sequence)));
        }
        if let Some(before) = &before
            && before.hash != ledger.previous
        {
            return Err(Trouble::Corrupt(format!(
                "ledger {} does not follow ledger {}: it names {} as the hash of the one before, which has {}",
                ledger.sequence,
                before.sequence,
                hex(&ledger.previous),
                hex(&before.hash)
            )));
        }
        Ok(Some((ledger.clone(), (ledgers, Some(ledger), window))))
    })
    .boxed()
}
