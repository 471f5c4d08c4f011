//! The objects of a lake, found with as few listings as possible: a lake of the public network has 60 million objects.
//! Names sort from the newest to the oldest, so the newest object is the first of a listing, and the oldest is found by
//! bisection.

use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use pipeline::BoxError;
use pipeline::LedgerWindow;

use super::name::{self, Compression};
use crate::error::{Error, Result};
use crate::location::Location;

/// Maximum ledgers per lookup: a page of a bucket's listing has a thousand names.
const STEP: u32 = 1_000;
/// How many names of a listing are searched for the first object.
const LOOK_AT: usize = 1_000;

/// An object, as described by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Object {
    pub(crate) path: Path,
    pub(crate) ledgers: LedgerWindow,
    pub(crate) compression: Compression,
    pub(crate) size: u64,
}

/// A folder of objects: a partition, or the root of a lake without partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Folder {
    path: Path,
    ledgers: LedgerWindow,
}

/// The objects of a lake.
#[derive(Debug)]
pub(crate) struct Catalogue {
    location: Location,
    partitioned: bool,
}

/// The folders of a lake in the order of their ledgers, and its first and its last ledger.
#[derive(Debug, Clone)]
pub(crate) struct Extent {
    folders: Vec<Folder>,
    pub(crate) ledgers: LedgerWindow,
}

impl Catalogue {
    /// Detects whether the lake has partitions.
    ///
    /// # Errors
    /// [`Error::Missing`] when there are no ledgers, [`Error::Unreachable`].
    pub(crate) async fn open(location: Location) -> Result<Self> {
        let none = |seen: Option<String>| {
            let seen = seen.map_or(String::new(), |name| format!(", but there is {name}"));
            Error::Missing(format!(
                "there are no ledgers at {}{seen}: the address must be the root of a lake",
                location.url
            ))
        };
        let (mut seen, mut partitioned) = (None, None);
        if let Some(directory) = &location.directory {
            let names = listed(directory.clone()).await?;
            partitioned = match names.iter().any(|name| name::object(name).is_some()) {
                true => Some(false),
                false => names.iter().any(|name| name::partition(name).is_some()).then_some(true),
            };
            seen = names.into_iter().find(|name| !name.starts_with('.'));
        } else {
            let mut listing = location.store.list(Some(&location.root)).take(LOOK_AT);
            while let Some(object) =
                listing.try_next().await.map_err(|error| unreachable(&location.url, error))?
            {
                let parts: Vec<String> = object
                    .location
                    .prefix_match(&location.root)
                    .map(|parts| parts.map(|part| part.as_ref().to_owned()).collect())
                    .unwrap_or_default();
                partitioned = match parts.as_slice() {
                    [name] if name::object(name).is_some() => Some(false),
                    [folder, _] if name::partition(folder).is_some() => Some(true),
                    _ => None,
                };
                if partitioned.is_some() {
                    break;
                }
                let is_shown = parts.first().is_some_and(|part| !part.starts_with('.'));
                seen = seen.or_else(|| is_shown.then(|| parts.join("/")));
            }
        }
        match partitioned {
            Some(partitioned) => Ok(Self { location, partitioned }),
            None => Err(none(seen)),
        }
    }

    /// The first and the last ledger that the lake has now, by the names of their objects. `known` is the previous answer.
    pub(crate) async fn extent(&self, known: Option<&Extent>) -> Result<Extent> {
        let folders = self.folders().await?;
        let gone = || Error::Missing(format!("the ledgers at {} are gone", self.location.url));
        let mut last = None;
        for folder in folders.iter().rev() {
            last = self.from(folder, u32::MAX).await?.try_next().await?;
            if last.is_some() {
                break;
            }
        }
        let last = last.ok_or_else(gone)?;
        let mut first = None;
        for folder in &folders {
            first = self.oldest(folder, known.map(|known| known.ledgers.start())).await?;
            if first.is_some() {
                break;
            }
        }
        let first = first.ok_or_else(gone)?;
        Ok(Extent { folders, ledgers: name::without_genesis(first).span(last.ledgers) })
    }

    /// The first objects of a window, in order and without a gap: at least the one with its first ledger, perhaps not all.
    ///
    /// # Errors
    /// [`Error::Missing`] names the missing ledgers.
    pub(crate) async fn next(&self, extent: &Extent, window: LedgerWindow) -> Result<Vec<Object>> {
        let step = window.until(window.start().saturating_add(STEP - 1)).unwrap_or(window);
        let mut found = Vec::new();
        for folder in &extent.folders {
            if folder.ledgers.start() > step.end() || folder.ledgers.end() < step.start() {
                continue;
            }
            let mut objects = self.from(folder, step.end()).await?;
            let mut here = Vec::new();
            while let Some(object) = objects.try_next().await? {
                if object.ledgers.end() < step.start() {
                    break;
                }
                here.push(object);
            }
            found.extend(here.into_iter().rev());
        }
        let (mut taken, mut missing, mut next) = (Vec::new(), Vec::new(), u64::from(step.start()));
        for object in found {
            if u64::from(object.ledgers.end()) < next {
                continue;
            }
            if u64::from(object.ledgers.start()) > next {
                missing.push(span(next as u32, object.ledgers.start() - 1));
            }
            next = u64::from(object.ledgers.end()) + 1;
            taken.push(object);
        }
        if next <= u64::from(step.end()) {
            missing.push(span(next as u32, step.end()));
        }
        if missing.is_empty() {
            return self.sized(taken).await;
        }
        let named: Vec<String> = missing.iter().take(5).map(|gap| super::ledger::named(*gap)).collect();
        let more = if missing.len() > 5 { " and more" } else { "" };
        Err(Error::Missing(format!(
            "the lake {} has a gap: ledgers {}{more} are missing between the first, {}, and the last, {}",
            self.location.url,
            named.join(", "),
            extent.ledgers.start(),
            extent.ledgers.end()
        )))
    }

    /// Adds the sizes of files: listings of directories do not have them.
    async fn sized(&self, mut objects: Vec<Object>) -> Result<Vec<Object>> {
        if self.location.directory.is_some() {
            for object in &mut objects {
                let meta = self.location.store.head(&object.path).await;
                object.size = meta.map_err(|error| unreachable(object.path.as_ref(), error))?.size;
            }
        }
        Ok(objects)
    }

    async fn folders(&self) -> Result<Vec<Folder>> {
        let root = &self.location.root;
        if !self.partitioned {
            return Ok(vec![Folder { path: root.clone(), ledgers: span(0, u32::MAX) }]);
        }
        let names = match &self.location.directory {
            Some(directory) => listed(directory.clone()).await?,
            None => {
                let listing = self.location.store.list_with_delimiter(Some(root)).await;
                let listing = listing.map_err(|error| unreachable(&self.location.url, error))?;
                let names = listing.common_prefixes.iter().filter_map(|prefix| prefix.filename());
                names.map(str::to_owned).collect()
            }
        };
        let mut folders: Vec<Folder> = names
            .iter()
            .filter_map(|name| {
                Some(Folder { path: root.clone().join(name.as_str()), ledgers: name::partition(name)? })
            })
            .collect();
        folders.sort_by_key(|folder| folder.ledgers.start());
        Ok(folders)
    }

    /// The objects of a folder that start at `ledger` or earlier, newest first.
    async fn from(&self, folder: &Folder, ledger: u32) -> Result<BoxStream<'static, Result<Object>>> {
        let object = |path: Path, size: u64| {
            let (ledgers, compression) = name::object(path.filename()?)?;
            Some(Object { path, ledgers, compression, size })
        };
        if let Some(directory) = &self.location.directory {
            let names = listed(directory.join(folder.path.as_ref())).await?;
            let mut objects: Vec<Object> =
                names.iter().filter_map(|name| object(folder.path.clone().join(name.as_str()), 0)).collect();
            objects.retain(|object| object.ledgers.start() <= ledger);
            objects.sort_by(|a, b| (b.ledgers.start(), &a.path).cmp(&(a.ledgers.start(), &b.path)));
            return Ok(stream::iter(objects.into_iter().map(Ok)).boxed());
        }
        let offset = folder.path.clone().join(name::prefix(ledger));
        let listing = self.location.store.list_with_offset(Some(&folder.path), &offset);
        let url = self.location.url.clone();
        let depth = folder.path.parts().count() + 1;
        Ok(listing
            .map_err(move |error| unreachable(&url, error))
            .try_filter_map(move |meta| {
                let here = meta.location.parts().count() == depth;
                std::future::ready(Ok(object(meta.location, meta.size).filter(|_| here)))
            })
            .boxed())
    }

    /// The ledgers of the oldest object of a folder. `known` is the previous first ledger, which is usually still the
    /// first.
    async fn oldest(&self, folder: &Folder, known: Option<u32>) -> Result<Option<LedgerWindow>> {
        if self.location.directory.is_some() {
            let last =
                self.from(folder, u32::MAX).await?.try_fold(None, |_, object| async { Ok(Some(object)) });
            return Ok(last.await?.map(|object| object.ledgers));
        }
        let mut oldest = None;
        if let Some(known) = known.filter(|known| folder.ledgers.contains(*known)) {
            let mut objects = self.from(folder, known).await?;
            oldest = objects.try_next().await?;
            if let Some(still) = &oldest
                && objects.try_next().await?.is_none()
            {
                return Ok(Some(still.ledgers));
            }
        }
        let mut low = u64::from(folder.ledgers.start());
        let mut high = match &oldest {
            Some(object) => object.ledgers.start(),
            None => match self.from(folder, u32::MAX).await?.try_next().await? {
                None => return Ok(None),
                Some(newest) => {
                    let start = newest.ledgers.start();
                    oldest = Some(newest);
                    start
                }
            },
        };
        // there is an object at `high`; search low..high for an older one
        while low < u64::from(high) {
            let middle = (low + u64::from(high) - 1) / 2;
            match self.from(folder, middle as u32).await?.try_next().await? {
                Some(object) => {
                    high = object.ledgers.start();
                    oldest = Some(object);
                }
                None => low = middle + 1,
            }
        }
        Ok(oldest.map(|object| object.ledgers))
    }
}

/// The ledgers from `start` to `end`, which is not before it.
fn span(start: u32, end: u32) -> LedgerWindow {
    LedgerWindow::single(start).span(LedgerWindow::single(end))
}

/// The names in a directory; none if it does not exist.
async fn listed(directory: std::path::PathBuf) -> Result<Vec<String>> {
    let place = directory.display().to_string();
    let names = tokio::task::spawn_blocking(move || -> std::io::Result<Vec<String>> {
        let entries = match std::fs::read_dir(directory) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        entries.map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned())).collect()
    });
    match names.await {
        Ok(names) => names.map_err(|error| Error::Unreachable {
            problem: format!("cannot list {place}"),
            source: Some(error.into()),
        }),
        Err(error) => Err(Error::Unexpected(format!("listing {place}: {error}"))),
    }
}

/// The error of a store that cannot be read at this place.
pub(crate) fn unreachable(place: &str, error: impl Into<BoxError>) -> Error {
    Error::Unreachable { problem: format!("cannot read {place}"), source: Some(error.into()) }
}

#[cfg(test)]
mod tests;
