//! The files of an archive: read with a bound on every wait.

use std::io::{self, BufRead, Read};
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures::StreamExt;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::checkpoints::below;
use crate::error::{Error, Result};
use crate::location::Location;

/// How many chunks of a download may wait for their reader.
const AHEAD: usize = 16;

/// The files of an archive.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    location: Location,
    /// How long the store may be silent.
    patience: Duration,
}

impl Files {
    pub(crate) fn new(location: Location, patience: Duration) -> Self {
        Self { location, patience }
    }

    fn path(&self, name: &str) -> Path {
        below(&self.location.root, name)
    }

    /// Whether there is a file of this name. A bucket that may not be listed says that it is forbidden instead of absent.
    ///
    /// # Errors
    /// [`Error::Unreachable`].
    pub(crate) async fn exists(&self, name: &str) -> Result<bool> {
        use object_store::Error as Failure;
        match self.wait(name, self.location.store.head(&self.path(name))).await? {
            Ok(_) => Ok(true),
            Err(Failure::NotFound { .. } | Failure::PermissionDenied { .. }) => Ok(false),
            Err(error) => Err(unreadable(name, error)),
        }
    }

    /// The contents of a file; `None` if there is none.
    ///
    /// # Errors
    /// [`Error::Unreachable`], and [`Error::Corrupt`] if it has more than `at_most` bytes.
    pub(crate) async fn small(&self, name: &str, at_most: usize) -> Result<Option<Vec<u8>>> {
        let Some(mut download) = self.download(name).await? else { return Ok(None) };
        let mut bytes = Vec::new();
        while let Some(chunk) = download.chunks.recv().await {
            bytes.extend_from_slice(&chunk?);
            if bytes.len() > at_most {
                return Err(Error::Corrupt {
                    place: format!("object {name}"),
                    problem: format!("it has more than {at_most} bytes"),
                    source: None,
                });
            }
        }
        Ok(Some(bytes))
    }

    /// A file as it arrives, a few chunks ahead of its reader; `None` if there is none.
    ///
    /// # Errors
    /// [`Error::Unreachable`], here and in the download.
    pub(crate) async fn download(&self, name: &str) -> Result<Option<Download>> {
        let got = match self.wait(name, self.location.store.get(&self.path(name))).await? {
            Ok(got) => got,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(unreadable(name, error)),
        };
        let (sender, chunks) = mpsc::channel(AHEAD);
        let (files, name, mut stream) = (self.clone(), name.to_owned(), got.into_stream());
        tokio::spawn(async move {
            loop {
                let chunk = tokio::select! {
                    chunk = files.wait(&name, stream.next()) => chunk,
                    () = sender.closed() => return,
                };
                let chunk = match chunk {
                    Ok(None) => return,
                    Ok(Some(chunk)) => chunk.map_err(|error| unreadable(&name, error)),
                    Err(stalled) => Err(stalled),
                };
                let is_last = chunk.is_err();
                if sender.send(chunk).await.is_err() || is_last {
                    return;
                }
            }
        });
        Ok(Some(Download { chunks, now: Bytes::new() }))
    }

    /// Waits for the store, as long as its silence may last.
    async fn wait<T>(&self, name: &str, answer: impl Future<Output = T>) -> Result<T> {
        timeout(self.patience, answer).await.map_err(|_| Error::Unreachable {
            problem: format!(
                "the archive {} stalled: nothing of {name} came for {} seconds",
                self.location.url,
                self.patience.as_secs_f32()
            ),
            source: None,
        })
    }
}

fn unreadable(name: &str, error: object_store::Error) -> Error {
    Error::Unreachable {
        problem: format!("cannot read {name} of the archive"),
        source: Some(Box::new(error)),
    }
}

/// A file as it arrives, for a thread that may block. A failure of the store is an [`Error`] inside the [`io::Error`].
pub(crate) struct Download {
    chunks: mpsc::Receiver<Result<Bytes>>,
    now: Bytes,
}

impl BufRead for Download {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.now.is_empty() {
            match self.chunks.blocking_recv() {
                Some(chunk) => self.now = chunk.map_err(io::Error::other)?,
                None => break,
            }
        }
        Ok(&self.now)
    }

    fn consume(&mut self, amount: usize) {
        self.now.advance(amount);
    }
}

impl Read for Download {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let amount = self.fill_buf()?.len().min(buffer.len());
        buffer[..amount].copy_from_slice(&self.now[..amount]);
        self.consume(amount);
        Ok(amount)
    }
}
