//! Files of XDR records, compressed by gzip: each record has a mark in front, which is its length.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use sha2::{Digest, Sha256};
use stellar_xdr::{Limits, ReadXdr};

use crate::fault::Fault;

/// Maximum bytes of a record. The largest entries have about 200 KB.
const RECORD_BYTES: u32 = 64 << 20;
/// Maximum nesting of XDR: the network refuses values deeper than 500, and an entry adds about 10 levels.
const DEPTH: u32 = 600;
/// The bit of a mark that says that the record ends here. Records of these files have no other part.
const WHOLE: u32 = 1 << 31;

/// The records of a file, one after the other. Memory: one record, and 64 KiB.
pub(crate) struct Records<R> {
    bytes: BufReader<Hashing<MultiGzDecoder<R>>>,
    record: Vec<u8>,
    /// How many bytes may still come.
    rest: u64,
}

/// Hashes what is read.
struct Hashing<R> {
    inner: R,
    hash: Sha256,
    count: u64,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hash.update(&buffer[..count]);
        self.count += count as u64;
        Ok(count)
    }
}

impl<R: BufRead> Records<R> {
    /// The records of a file that has at most `at_most` bytes when it is decompressed.
    pub(crate) fn new(file: R, at_most: u64) -> Self {
        let hashing = Hashing { inner: MultiGzDecoder::new(file), hash: Sha256::new(), count: 0 };
        Self { bytes: BufReader::with_capacity(64 << 10, hashing), record: Vec::new(), rest: at_most }
    }

    /// The next record; `None` at the end of the file.
    ///
    /// # Errors
    /// A file that cannot be read or decompressed, a mark that is none, and a record or a file that is too long.
    pub(crate) fn next(&mut self) -> Result<Option<&[u8]>, Fault> {
        if self.bytes.fill_buf().map_err(Fault::of_reading)?.is_empty() {
            return Ok(None);
        }
        let mut mark = [0; 4];
        self.bytes.read_exact(&mut mark).map_err(Fault::of_reading)?;
        let mark = u32::from_be_bytes(mark);
        if mark & WHOLE == 0 {
            return Err(format!("{mark:#010x} is not the mark of a record").into());
        }
        let length = mark & !WHOLE;
        if length > RECORD_BYTES {
            return Err(format!("a record of {length} bytes is longer than {RECORD_BYTES}").into());
        }
        let left = self.rest.checked_sub(4 + u64::from(length));
        self.rest = left.ok_or("it is longer than such a file can be")?;
        self.record.clear();
        // memory grows with what is there, and not with what the mark says
        let read = (&mut self.bytes).take(length.into()).read_to_end(&mut self.record);
        match read.map_err(Fault::of_reading)? == length as usize {
            true => Ok(Some(&self.record)),
            false => Err("it is truncated".into()),
        }
    }

    /// How many decompressed bytes were read so far.
    pub(crate) fn count(&self) -> u64 {
        self.bytes.get_ref().count
    }

    /// The SHA-256 of all that was read: of the decompressed file, at its end.
    pub(crate) fn hash(self) -> [u8; 32] {
        self.bytes.into_inner().hash.finalize().into()
    }
}

/// Decodes a record.
///
/// # Errors
/// XDR that is not that of a `T`, or not that alone.
pub(crate) fn decoded<T: ReadXdr>(record: &[u8]) -> Result<T, Fault> {
    T::from_xdr(record, Limits { depth: DEPTH, len: record.len() })
        .map_err(|error| Fault::caused("a record cannot be decoded", error))
}
