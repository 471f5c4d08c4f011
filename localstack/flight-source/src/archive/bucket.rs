//! One bucket, read from its beginning to its end: its versions of contract data, contract code and times to live, and of the
//! entries that name assets.

use std::io::BufRead;

use pipeline::contract::xdr::base16;
use sha2::{Digest, Sha256};
use stellar_xdr::{
    BucketEntry, BucketListType, BucketMetadata, BucketMetadataExt, HotArchiveBucketEntry, LedgerEntry,
    LedgerEntryData, LedgerKey, Limits, ScAddress, ScVal, WriteXdr,
};

use super::records::{Records, decoded};
use super::state::{Bucket, List};
use super::versions::{Subject, Version, Versions};
use crate::entry::{has_rows, ledger_key, named};
use crate::fault::{Fault, unencodable};

/// Maximum bytes of a bucket, decompressed: stellar-core writes none that is larger.
const BUCKET_BYTES: u64 = 100 << 30;

/// A record that need not be decoded, by its first words: an entry (LIVEENTRY, INITENTRY) or a key that is gone (DEADENTRY) of
/// an account, data of an account, or a setting.
const WRITTEN: [i32; 2] = [0, 2];
const GONE: i32 = 1;
const OF_NO_INTEREST: [i32; 3] = [0, 3, 8];

/// Where the contents of buckets go, and what they must agree with.
pub(crate) struct Reader<'a> {
    /// The checkpoint.
    pub(crate) ledger: u32,
    /// The protocol of the checkpoint's ledger.
    pub(crate) protocol: u32,
    pub(crate) passphrase: &'a str,
    pub(crate) versions: Versions,
}

/// What was read of a bucket.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Read {
    /// Bytes, decompressed.
    pub(crate) bytes: u64,
    /// Records.
    pub(crate) records: u64,
}

impl Reader<'_> {
    /// Reads a bucket; `seen` hears from time to time how far it is.
    ///
    /// # Errors
    /// A bucket that is damaged, or that does not have the hash that is its name.
    pub(crate) fn read(
        &mut self,
        bucket: &Bucket,
        file: impl BufRead,
        mut seen: impl FnMut(Read),
    ) -> Result<Read, Fault> {
        let (mut records, mut read) = (Records::new(file, BUCKET_BYTES), Read::default());
        while let Some(record) = records.next()? {
            match bucket.list {
                List::Live => self.live(record, bucket.age, read.records)?,
                List::HotArchive => self.archived(record, bucket.age, read.records)?,
            }
            read.records += 1;
            if read.records % 4096 == 0 {
                seen(Read { bytes: records.count(), ..read });
            }
        }
        read.bytes = records.count();
        let hash = base16(&records.hash());
        match hash == bucket.hash {
            true => Ok(read),
            false => Err(format!("its SHA-256 is {hash}, which is not its name").into()),
        }
    }

    /// A record of a bucket of the live list, and how many come before it.
    fn live(&mut self, record: &[u8], age: u8, before: u64) -> Result<(), Fault> {
        let word = |at: usize| {
            record.get(at..at + 4).map(|word| i32::from_be_bytes([word[0], word[1], word[2], word[3]]))
        };
        match (word(0), word(4), word(8)) {
            // what is inside it: the ledger of its last modification, and its type
            (Some(kind), _, Some(of)) if WRITTEN.contains(&kind) && OF_NO_INTEREST.contains(&of) => {
                return Ok(());
            }
            (Some(GONE), Some(of), _) if OF_NO_INTEREST.contains(&of) => return Ok(()),
            _ => {}
        }
        match decoded(record)? {
            BucketEntry::Liveentry(entry) | BucketEntry::Initentry(entry) => {
                self.written(&entry, &record[4..], Subject::Entry, age)
            }
            BucketEntry::Deadentry(key) => self.gone(&key, Subject::Entry, age),
            BucketEntry::Metaentry(meta) => self.meta(&meta, List::Live, before),
        }
    }

    /// The same of the list of archived entries.
    fn archived(&mut self, record: &[u8], age: u8, before: u64) -> Result<(), Fault> {
        let entry: HotArchiveBucketEntry = decoded(record)?;
        if before == 0 && !matches!(entry, HotArchiveBucketEntry::Metaentry(_)) {
            return Err("a bucket of archived entries does not begin with its metadata".into());
        }
        match entry {
            HotArchiveBucketEntry::Archived(entry) => {
                self.written(&entry, &record[4..], Subject::Archived, age)
            }
            HotArchiveBucketEntry::Live(key) => self.gone(&key, Subject::Archived, age),
            HotArchiveBucketEntry::Metaentry(meta) => self.meta(&meta, List::HotArchive, before),
        }
    }

    /// An entry that was written, and its XDR.
    fn written(&mut self, entry: &LedgerEntry, xdr: &[u8], subject: Subject, age: u8) -> Result<(), Fault> {
        if entry.last_modified_ledger_seq > self.ledger {
            let at = entry.last_modified_ledger_seq;
            return Err(format!("an entry was last modified in ledger {at}, which is later").into());
        }
        match &entry.data {
            LedgerEntryData::ContractData(data) if !has_rows(&data.key) => {}
            LedgerEntryData::ContractData(data) => {
                if !matches!(data.contract, ScAddress::Contract(_)) {
                    return Err("a contract data entry does not belong to a contract".into());
                }
                let version = match data.key {
                    ScVal::LedgerKeyContractInstance => Version::Instance(xdr),
                    _ => Version::Data(xdr),
                };
                self.versions.add(&hash(&ledger_key(data))?, subject, age, version)?;
            }
            LedgerEntryData::ContractCode(_) => {
                self.versions.add(&hash(&entry.to_key())?, subject, age, Version::Code)?;
            }
            LedgerEntryData::Ttl(ttl) if subject == Subject::Entry => {
                let until = Version::Until(ttl.live_until_ledger_seq);
                self.versions.add(&ttl.key_hash.0, Subject::Ttl, age, until)?;
            }
            _ if subject == Subject::Archived => {
                return Err("an archived entry is no contract data or code".into());
            }
            _ => self.names(entry, age)?,
        }
        Ok(())
    }

    /// An entry that may name assets.
    fn names(&mut self, entry: &LedgerEntry, age: u8) -> Result<(), Fault> {
        let mut assets = Vec::new();
        named(entry, self.passphrase, |asset| assets.push(asset.to_xdr(Limits::none())))
            .map_err(unencodable)?;
        let assets = assets.into_iter().collect::<Result<Vec<_>, _>>().map_err(unencodable)?.concat();
        if !assets.is_empty() {
            self.versions.add(&hash(&entry.to_key())?, Subject::Entry, age, Version::Names(&assets))?;
        }
        Ok(())
    }

    /// An entry that is no longer there.
    fn gone(&mut self, key: &LedgerKey, subject: Subject, age: u8) -> Result<(), Fault> {
        match key {
            LedgerKey::ContractData(data) if !has_rows(&data.key) => {}
            LedgerKey::Ttl(ttl) if subject == Subject::Entry => {
                self.versions.add(&ttl.key_hash.0, Subject::Ttl, age, Version::Gone)?;
            }
            key => self.versions.add(&hash(key)?, subject, age, Version::Gone)?,
        }
        Ok(())
    }

    fn meta(&self, meta: &BucketMetadata, list: List, before: u64) -> Result<(), Fault> {
        if before > 0 {
            return Err("its metadata are not at its beginning".into());
        }
        let is_of_list = match (&meta.ext, list) {
            (BucketMetadataExt::V0, List::Live) => true,
            (BucketMetadataExt::V1(of), List::Live) => *of == BucketListType::Live,
            (BucketMetadataExt::V1(of), List::HotArchive) => *of == BucketListType::HotArchive,
            (BucketMetadataExt::V0, List::HotArchive) => false,
        };
        if !is_of_list {
            return Err("its metadata are those of a bucket of the other list".into());
        }
        let (its, ours) = (meta.ledger_version, self.protocol);
        match its > ours {
            true => Err(format!("it is of protocol {its}, but its checkpoint of protocol {ours}").into()),
            false => Ok(()),
        }
    }
}

/// The hash that identifies an entry.
fn hash(key: &LedgerKey) -> Result<[u8; 32], Fault> {
    Ok(Sha256::digest(key.to_xdr(Limits::none()).map_err(unencodable)?).into())
}
