//! The state out of the versions: of each entry the newest, with its time to live, in the order of the hashes of their keys.

use std::io::{self, BufRead};

use pipeline::contract::xdr::base16;

use super::named::Named;
use super::scratch::{Scratch, Spool, Spooled};
use super::versions::{Found, PARTS, Subject, Version, sorted};
use crate::error::{Error, Result};
use crate::fault::Fault;

const BUFFER: usize = 256 << 10;
/// Hash, what it is, last ledger, length.
const HEAD: usize = 32 + 1 + 4 + 4;

/// How an entry is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It exists, and this is the last ledger in which it lives.
    Until(u32),
    /// It was evicted, and can be restored.
    Archived,
}

/// An entry of the state.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: [u8; 32],
    pub(crate) kept: Kept,
    /// The XDR of the ledger entry, of contract data; `None` for contract code.
    pub(crate) data: Option<Vec<u8>>,
}

/// The state in a file.
#[derive(Debug, Clone)]
pub(crate) struct Settled {
    file: Spooled,
    /// How many entries of contract data.
    pub(crate) data: u64,
    /// How many entries of contract code.
    pub(crate) code: u64,
}

/// Settles one file of versions after the other, and gives each back to the disk. Memory: the largest of them, which is about a
/// 256th of all versions, and 64 bytes for each version in it.
///
/// # Errors
/// Contract data and code without a time to live, and two versions in one bucket; [`Error::Scratch`].
pub(crate) fn settle(
    scratch: &Scratch,
    parts: Vec<Spooled>,
    named: &mut Named<'_>,
    mut seen: impl FnMut(usize),
) -> Result<Settled, Fault> {
    let mut out = Out { file: scratch.create(BUFFER)?, data: 0, code: 0, named };
    for (number, part) in parts.into_iter().enumerate() {
        let bytes = part.read()?;
        drop(part);
        let unexpected = || Error::Unexpected("a temporary file of entries has changed".to_owned());
        let versions = sorted(&bytes).ok_or_else(unexpected)?;
        for of_one_key in versions.chunk_by(|one, next| one.key == next.key) {
            out.entry(of_one_key[0].key, newest(of_one_key)?)?;
        }
        if (number + 1) % (PARTS / 8) == 0 {
            seen(number + 1);
        }
    }
    Ok(Settled { file: out.file.finish()?, data: out.data, code: out.code })
}

/// The newest version of each [`Subject`] of one key.
fn newest<'a>(versions: &[Found<'a>]) -> Result<[Option<Version<'a>>; 3], Fault> {
    let mut newest = [None; 3];
    for of_subject in versions.chunk_by(|one, next| one.subject == next.subject) {
        newest[of_subject[0].subject as usize] = Some(of_subject[0].version);
        if of_subject.windows(2).any(|pair| pair[0].age == pair[1].age) {
            let key = base16(of_subject[0].key);
            return Err(format!("a bucket has two versions of the entry with the key hash {key}").into());
        }
    }
    Ok(newest)
}

struct Out<'a, 'b> {
    file: Spool,
    data: u64,
    code: u64,
    named: &'a mut Named<'b>,
}

impl Out<'_, '_> {
    /// Writes what is kept of the newest versions of one key.
    fn entry(&mut self, key: &[u8; 32], newest: [Option<Version<'_>>; 3]) -> Result<(), Fault> {
        let version = |subject: Subject| newest[subject as usize].filter(|version| *version != Version::Gone);
        let (entry, kept) = match (version(Subject::Entry), version(Subject::Ttl)) {
            (Some(Version::Names(assets)), _) => return self.named.add_all(assets),
            (Some(entry), Some(Version::Until(ledger))) => (entry, Kept::Until(ledger)),
            (Some(_), _) => {
                return Err(format!("the entry with the key hash {} has no time to live", base16(key)).into());
            }
            // a time to live without an entry is that of a nonce, which is left out
            (None, _) => match version(Subject::Archived) {
                Some(entry) => (entry, Kept::Archived),
                None => return Ok(()),
            },
        };
        let xdr = match entry {
            Version::Instance(xdr) => {
                self.named.add_instance(xdr)?;
                xdr
            }
            Version::Data(xdr) => xdr,
            _ => &[],
        };
        match xdr.is_empty() {
            true => self.code += 1,
            false => self.data += 1,
        }
        let mut head = [0; HEAD];
        head[..32].copy_from_slice(key);
        if let Kept::Until(ledger) = kept {
            head[32] = 1;
            head[33..37].copy_from_slice(&ledger.to_be_bytes());
        }
        head[37..].copy_from_slice(&(xdr.len() as u32).to_be_bytes());
        self.file.write(&head)?;
        Ok(self.file.write(xdr)?)
    }
}

impl Settled {
    /// Reads the entries from the first on.
    pub(crate) fn entries(&self) -> Entries {
        Entries { bytes: io::BufReader::with_capacity(BUFFER, self.file.reader()), file: self.file.clone() }
    }

    /// How many bytes it takes on disk.
    pub(crate) fn bytes(&self) -> u64 {
        self.file.length()
    }
}

/// The entries of a state, by ascending key hash.
#[derive(Debug)]
pub(crate) struct Entries {
    bytes: io::BufReader<super::scratch::SpoolReader>,
    file: Spooled,
}

impl Entries {
    fn read(&mut self) -> io::Result<Option<Entry>> {
        if self.bytes.fill_buf()?.is_empty() {
            return Ok(None);
        }
        let mut head = [0; HEAD];
        io::Read::read_exact(&mut self.bytes, &mut head)?;
        let word = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let mut key = [0; 32];
        key.copy_from_slice(&head[..32]);
        let kept = if head[32] == 1 { Kept::Until(word(33)) } else { Kept::Archived };
        let mut xdr = vec![0; word(37) as usize];
        io::Read::read_exact(&mut self.bytes, &mut xdr)?;
        Ok(Some(Entry { key, kept, data: (!xdr.is_empty()).then_some(xdr) }))
    }
}

impl Iterator for Entries {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().map_err(|error| self.file.failed(error)).transpose()
    }
}
