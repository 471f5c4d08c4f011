//! The versions of entries in the buckets, scattered over files by the hashes of their keys: what must be compared is in one
//! file. Disk: each version of interest once. Memory: the buffers of the files, 4 MiB.

use super::scratch::{Scratch, Spool, Spooled};
use crate::error::Result;

/// How many files: one for each first byte of a hash.
pub(crate) const PARTS: usize = 256;
/// Bytes of a file that wait in memory.
const BUFFER: usize = 16 << 10;
/// Hash, subject, age, what it is, length.
const HEAD: usize = 32 + 1 + 1 + 1 + 4;

/// What a version is of. An entry, its time to live and its archived copy share the hash of the entry's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    Entry = 0,
    Ttl = 1,
    Archived = 2,
}

/// What a version says of its subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version<'a> {
    /// It is contract data: the XDR of its ledger entry.
    Data(&'a [u8]),
    /// It is the instance of a contract, which may name an asset: the XDR of its ledger entry.
    Instance(&'a [u8]),
    /// It is another entry that names assets: the XDR of each, one after the other.
    Names(&'a [u8]),
    /// It is contract code.
    Code,
    /// It is a time to live: the last ledger.
    Until(u32),
    /// It is gone.
    Gone,
}

/// Versions as they are written.
pub(crate) struct Versions {
    parts: Vec<Spool>,
    count: u64,
}

impl Versions {
    /// No versions yet.
    ///
    /// # Errors
    /// [`Error::Scratch`](crate::error::Error::Scratch), like all functions of this module.
    pub(crate) fn create(scratch: &Scratch) -> Result<Self> {
        let parts = (0..PARTS).map(|_| scratch.create(BUFFER)).collect::<Result<_>>()?;
        Ok(Self { parts, count: 0 })
    }

    /// Adds the version of a subject in the bucket of this age.
    pub(crate) fn add(
        &mut self,
        key: &[u8; 32],
        subject: Subject,
        age: u8,
        version: Version<'_>,
    ) -> Result<()> {
        let until;
        let (what, value) = match version {
            Version::Data(xdr) => (0, xdr),
            Version::Code => (1, [].as_slice()),
            Version::Until(ledger) => {
                until = ledger.to_be_bytes();
                (2, until.as_slice())
            }
            Version::Gone => (3, [].as_slice()),
            Version::Instance(xdr) => (4, xdr),
            Version::Names(assets) => (5, assets),
        };
        let mut head = [0; HEAD];
        head[..32].copy_from_slice(key);
        head[32..35].copy_from_slice(&[subject as u8, age, what]);
        head[35..].copy_from_slice(&(value.len() as u32).to_be_bytes());
        let part = &mut self.parts[usize::from(key[0])];
        part.write(&head)?;
        part.write(value)?;
        self.count += 1;
        Ok(())
    }

    /// How many were added.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The files, in the order of the hashes in them.
    pub(crate) fn finish(self) -> Result<Vec<Spooled>> {
        self.parts.into_iter().map(Spool::finish).collect()
    }
}

/// A version as it is found in a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found<'a> {
    pub(crate) key: &'a [u8; 32],
    pub(crate) subject: Subject,
    pub(crate) age: u8,
    pub(crate) version: Version<'a>,
}

/// All versions in the bytes of a file, sorted: those of one subject follow each other, the newest first. `None` if the bytes
/// are not what was written.
pub(crate) fn sorted(mut bytes: &[u8]) -> Option<Vec<Found<'_>>> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let (key, rest) = bytes.split_first_chunk::<32>()?;
        let ([subject, age, what], rest) = rest.split_first_chunk::<3>()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (value, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        let subject =
            [Subject::Entry, Subject::Ttl, Subject::Archived].get(usize::from(*subject)).copied()?;
        let version = match what {
            0 => Version::Data(value),
            1 => Version::Code,
            2 => Version::Until(u32::from_be_bytes(value.try_into().ok()?)),
            3 => Version::Gone,
            4 => Version::Instance(value),
            5 => Version::Names(value),
            _ => return None,
        };
        all.push(Found { key, subject, age: *age, version });
        bytes = rest;
    }
    all.sort_unstable_by_key(|found| (found.key, found.subject, found.age));
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_come_back_by_key_and_subject_from_the_newest_on() {
        let scratch = Scratch::at(&std::env::temp_dir());
        let mut versions = Versions::create(&scratch).unwrap();
        let (low, high) = ([7; 32], {
            let mut key = [7; 32];
            key[31] = 8;
            key
        });
        let all = [
            (high, Subject::Entry, 3, Version::Gone),
            (low, Subject::Archived, 22, Version::Code),
            (low, Subject::Entry, 9, Version::Data(b"older")),
            (low, Subject::Ttl, 4, Version::Until(u32::MAX)),
            (low, Subject::Entry, 2, Version::Instance(b"newer")),
            (low, Subject::Entry, 10, Version::Names(b"")),
        ];
        for (key, subject, age, version) in all {
            versions.add(&key, subject, age, version).unwrap();
        }
        assert_eq!(versions.count(), 6);
        let parts = versions.finish().unwrap();
        assert_eq!(parts.iter().filter(|part| part.length() > 0).count(), 1);
        let bytes = parts[7].read().unwrap();
        let found = sorted(&bytes).unwrap();
        let order: Vec<_> = found.iter().map(|f| (*f.key, f.subject, f.age, f.version)).collect();
        assert_eq!(order, [all[4], all[2], all[5], all[3], all[1], all[0]]);
        assert!(sorted(&bytes[1..]).is_none() && sorted(&bytes[..bytes.len() - 1]).is_none());
    }
}
