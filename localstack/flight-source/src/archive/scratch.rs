//! Temporary files: without names, so that they disappear with the process, however it ends.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};

/// Where temporary files are.
#[derive(Debug, Clone)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// Temporary files in a directory.
    pub(crate) fn at(directory: &Path) -> Self {
        Self(directory.to_owned())
    }

    /// A new, empty file, with a buffer of this many bytes.
    ///
    /// # Errors
    /// [`Error::Scratch`], like all functions of this module.
    pub(crate) fn create(&self, buffer: usize) -> Result<Spool> {
        let file = tempfile::tempfile_in(&self.0).map_err(|source| self.failed(source))?;
        Ok(Spool { file: BufWriter::with_capacity(buffer, file), length: 0, scratch: self.clone() })
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Scratch { directory: self.0.clone(), source }
    }
}

/// A file that is written from its beginning to its end.
pub(crate) struct Spool {
    file: BufWriter<File>,
    length: u64,
    scratch: Scratch,
}

impl Spool {
    /// Adds bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.length += bytes.len() as u64;
        self.file.write_all(bytes).map_err(|source| self.scratch.failed(source))
    }

    /// Ends the file.
    pub(crate) fn finish(self) -> Result<Spooled> {
        let file = self.file.into_inner().map_err(|error| self.scratch.failed(error.into_error()))?;
        Ok(Spooled { file: Arc::new(file), length: self.length, scratch: self.scratch })
    }
}

/// A file that was written, for any number of readers.
#[derive(Debug, Clone)]
pub(crate) struct Spooled {
    file: Arc<File>,
    length: u64,
    scratch: Scratch,
}

impl Spooled {
    /// How many bytes it has.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// All its bytes.
    pub(crate) fn read(&self) -> Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(self.length).unwrap_or(usize::MAX)];
        self.file.read_exact_at(&mut bytes, 0).map_err(|source| self.scratch.failed(source))?;
        Ok(bytes)
    }

    /// A reader of its own place.
    pub(crate) fn reader(&self) -> SpoolReader {
        SpoolReader { file: self.file.clone(), at: 0 }
    }

    /// The error of a reader of this file.
    pub(crate) fn failed(&self, source: io::Error) -> Error {
        self.scratch.failed(source)
    }
}

/// Reads a file from its beginning to its end.
#[derive(Debug)]
pub(crate) struct SpoolReader {
    file: Arc<File>,
    at: u64,
}

impl Read for SpoolReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}
