//! A history archive: the files in which the nodes of a network publish its whole state, every 64 ledgers. A state is served
//! when it is proven: its buckets have the hash that the header of its ledger names.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{self, BoxFuture, Shared};
use pipeline::contract::checkpoint::Checkpoints;

use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::fault::Fault;
use crate::location::{Address, Kind, Location};

mod bucket;
mod checkpoints;
mod files;
mod header;
mod named;
mod prepared;
mod records;
mod rows;
mod scratch;
mod settled;
mod state;
mod versions;

use files::Files;
use prepared::{Maker, Prepared};
use scratch::Scratch;
use state::{STATE_BYTES, State};

/// How long the store may be silent, unless the options say otherwise.
const PATIENCE: Duration = Duration::from_secs(30);

/// An archive, and how to access it.
#[derive(Debug, Clone, Default)]
pub struct ArchiveOptions {
    /// A directory, `file:///path`, `s3://bucket/prefix`, or `https://host/path`.
    pub url: String,
    /// The region of the bucket; `None` for that of the environment, or else us-east-1.
    pub region: Option<String>,
    /// The URL of the S3 API; `None` for that of the environment, or else AWS.
    pub endpoint: Option<String>,
    /// Whether requests to a bucket are not signed. Otherwise the credentials come from the environment.
    pub anonymous: bool,
    /// The passphrase of the network; `None` for the one that the archive names.
    pub network_passphrase: Option<String>,
    /// Where a state is kept while it is served, in files without names; `None` for the system's directory. The public network
    /// takes several gigabytes.
    pub temporary: Option<PathBuf>,
    /// How long the store may be silent; `None` for 30 seconds.
    pub patience: Option<Duration>,
}

/// What a preparation came to, the same for all who wait for it; `None` if there is no such checkpoint.
type Outcome = Result<Option<Arc<Prepared>>, Arc<Error>>;

/// An open archive. It keeps the state at the checkpoint that was prepared last.
pub struct Archive {
    name: String,
    files: Files,
    maker: Maker,
    /// The oldest checkpoint, once it is known.
    oldest: tokio::sync::Mutex<Option<u32>>,
    shelf: Arc<Mutex<Shelf>>,
    /// One state is prepared at a time.
    turn: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Default)]
struct Shelf {
    last: Option<Arc<Prepared>>,
    at_work: HashMap<u32, Shared<BoxFuture<'static, Outcome>>>,
}

impl Archive {
    /// Opens an archive: reads which checkpoint is its newest. The headers of checkpoints must be those of `ledgers`, as far as
    /// these have them.
    ///
    /// # Errors
    /// [`Error::Store`] for an address that cannot be used, [`Error::Missing`] when there is no archive,
    /// [`Error::Corrupt`], [`Error::Unreachable`], and [`Error::Options`] when archive and options name different networks, or
    /// none.
    pub async fn open(options: &ArchiveOptions, ledgers: Option<Arc<dyn Dataset>>) -> Result<Self> {
        let location = Location::open(&Address {
            kind: Kind::Archive,
            url: &options.url,
            region: options.region.as_deref(),
            endpoint: options.endpoint.as_deref(),
            anonymous: options.anonymous,
        })?;
        let files = Files::new(location, options.patience.unwrap_or(PATIENCE));
        let newest = newest(&files, &options.url).await?;
        let passphrase = match (&options.network_passphrase, newest.network_passphrase) {
            (Some(asked), Some(here)) if *asked != here => {
                return Err(Error::Options(format!(
                    "the archive is of the network {here:?}, and not of {asked:?}"
                )));
            }
            (Some(passphrase), _) => passphrase.clone(),
            (None, Some(here)) => here,
            (None, None) => {
                return Err(Error::Options(
                    "the archive does not name its network: set --network-passphrase".to_owned(),
                ));
            }
        };
        tracing::info!(
            url = options.url,
            newest = newest.current_ledger,
            network = passphrase,
            "archive opened"
        );
        let scratch = Scratch::at(&options.temporary.clone().unwrap_or_else(std::env::temp_dir));
        scratch.create(0)?;
        Ok(Self {
            name: format!("archive {}", options.url),
            maker: Maker { files: files.clone(), scratch, passphrase, ledgers },
            files,
            oldest: tokio::sync::Mutex::default(),
            shelf: Arc::default(),
            turn: Arc::default(),
        })
    }

    /// Identifies the archive in a few words.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The checkpoints that the archive has now.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Corrupt`], [`Error::Unreachable`].
    pub(crate) async fn checkpoints(&self) -> Result<Checkpoints> {
        let newest_ledger = newest(&self.files, &self.name).await?.current_ledger;
        let mut known = self.oldest.lock().await;
        let still = match *known {
            Some(oldest) => self.files.exists(&checkpoints::state(oldest)).await?,
            None => false,
        };
        let oldest_ledger = match *known {
            Some(oldest) if still => oldest,
            _ => self.oldest(newest_ledger).await?,
        };
        *known = Some(oldest_ledger);
        Ok(Checkpoints { oldest_ledger, newest_ledger })
    }

    /// The oldest checkpoint, by bisection: from it on, an archive has every checkpoint.
    async fn oldest(&self, newest: u32) -> Result<u32> {
        let (mut low, mut high) = (0, checkpoints::number(newest));
        while low < high {
            let middle = (low + high) / 2;
            match self.files.exists(&checkpoints::state(checkpoints::numbered(middle))).await? {
                true => high = middle,
                false => low = middle + 1,
            }
        }
        Ok(checkpoints::numbered(low))
    }

    /// The state at a checkpoint, proven and counted, which may take minutes. All who ask for the same share the work, and it
    /// goes on when none of them waits for it any longer.
    ///
    /// # Errors
    /// [`Error::Missing`] for a ledger that is no checkpoint of the archive, and the errors of [`Maker::make`].
    pub(crate) async fn prepared(&self, ledger: u32) -> Result<Arc<Prepared>, Arc<Error>> {
        let made = match checkpoints::is_checkpoint(ledger) {
            true => self.work(ledger).await?,
            false => None,
        };
        match made {
            Some(prepared) => Ok(prepared),
            None => Err(Arc::new(self.no_checkpoint(ledger).await)),
        }
    }

    /// The state at a checkpoint, if it is the one prepared last.
    pub(crate) fn last(&self, ledger: u32) -> Option<Arc<Prepared>> {
        shelf(&self.shelf).last.clone().filter(|last| last.ledger() == ledger)
    }

    /// The work on a state: the one in hand, or else a new one.
    fn work(&self, ledger: u32) -> Shared<BoxFuture<'static, Outcome>> {
        let mut shelf = shelf(&self.shelf);
        match shelf.last.as_ref().filter(|last| last.ledger() == ledger) {
            Some(last) => future::ready(Ok(Some(last.clone()))).boxed().shared(),
            None => shelf.at_work.entry(ledger).or_insert_with(|| self.begin(ledger)).clone(),
        }
    }

    /// Begins to prepare a state, in a task of its own.
    fn begin(&self, ledger: u32) -> Shared<BoxFuture<'static, Outcome>> {
        let at_work = AtWork { shelf: self.shelf.clone(), ledger };
        let (maker, turn) = (self.maker.clone(), self.turn.clone());
        let work = tokio::spawn(async move {
            let _turn = turn.lock().await;
            let made = maker.make(ledger).await.map(|made| made.map(Arc::new)).map_err(Arc::new)?;
            if let Some(prepared) = &made {
                shelf(&at_work.shelf).last = Some(prepared.clone());
            }
            drop(at_work);
            Ok(made)
        });
        let ended = work.map(move |ended| {
            let panicked = |error| Error::Unexpected(format!("the state at {ledger}: {error}"));
            ended.map_err(|error| Arc::new(panicked(error)))?
        });
        ended.boxed().shared()
    }

    /// The error of a ledger that is no checkpoint of the archive: it names the nearest one.
    async fn no_checkpoint(&self, ledger: u32) -> Error {
        match self.checkpoints().await {
            Ok(Checkpoints { oldest_ledger: oldest, newest_ledger: newest }) => {
                let nearest = checkpoints::nearest(ledger, oldest, newest);
                Error::Missing(format!(
                    "ledger {ledger} is no checkpoint of the {}: the nearest one is {nearest}; they are every 64 ledgers from \
                     {oldest} to {newest}",
                    self.name
                ))
            }
            Err(error) => error,
        }
    }
}

/// A preparation in hand: it is taken from the shelf when it ends, however it ends.
struct AtWork {
    shelf: Arc<Mutex<Shelf>>,
    ledger: u32,
}

impl Drop for AtWork {
    fn drop(&mut self) {
        shelf(&self.shelf).at_work.remove(&self.ledger);
    }
}

fn shelf(shelf: &Mutex<Shelf>) -> MutexGuard<'_, Shelf> {
    shelf.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The state file of the newest checkpoint.
async fn newest(files: &Files, place: &str) -> Result<State> {
    let name = checkpoints::NEWEST;
    let json = files.small(name, STATE_BYTES).await?.ok_or_else(|| {
        Error::Missing(format!("there is no {name} at {place}: the address must be the root of an archive"))
    })?;
    let at = |fault: Fault| fault.at(name, "newest");
    let state = State::parse(&json).map_err(at)?;
    match checkpoints::is_checkpoint(state.current_ledger) {
        true => Ok(state),
        false => Err(at(format!("it is of ledger {}, which is no checkpoint", state.current_ledger).into())),
    }
}
