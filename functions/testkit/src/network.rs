//! A network made by hand: ledgers of changes, written as a Galexie lake and as a history archive, and the state after each.
//!
//! ```no_run
//! use testkit::network::{Action, Network, entries};
//!
//! let mut network = Network::new(2, 23, testkit::asset::TESTNET);
//! let counter = entries::numbered(1, 0);
//! network.close(vec![Action::create(counter, 500)]);
//! network.close(vec![Action::Update(entries::numbered(1, 7))]);
//! network.close_up_to(127); // the checkpoints 63 and 127
//! network.write_lake("lake".as_ref());
//! network.write_archive("archive".as_ref());
//! assert_eq!(network.state(63).kept().len(), 1);
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use stellar_xdr::{
    BucketEntry, ContractDataEntry, HotArchiveBucketEntry, LedgerCloseMeta, LedgerEntry, LedgerEntryChange,
    LedgerEntryData, LedgerEntryExt, LedgerHeaderHistoryEntry, LedgerKey,
};

pub mod archive;
pub mod buckets;
pub mod bulk;
mod driver;
pub mod entries;
pub mod ledger;
mod state;

pub use archive::Checkpoint;
pub use driver::Driver;
pub use state::{Kept, State, is_nonce, is_temporary, ttl_key};

use buckets::{Bucket, List};
use ledger::{Form, Maker, Tx, batch, meta, name};

/// The first protocol that archives persistent entries.
const ARCHIVING_PROTOCOL: u32 = 23;

/// A change that a ledger makes. One that the state before it does not allow panics.
#[derive(Debug, Clone)]
pub enum Action {
    /// A transaction creates contract data or contract code, which then lives until this ledger.
    Create(LedgerEntryData, u32),
    /// A transaction writes contract data that exists.
    Update(ContractDataEntry),
    /// A transaction extends a life to this ledger.
    Extend(LedgerKey, u32),
    /// A transaction removes an entry, and its time to live if it has one.
    Remove(LedgerKey),
    /// A transaction restores an entry that is archived or has expired; it then lives until this ledger.
    Restore(LedgerKey, u32),
    /// A transaction writes an entry that has no time to live, as trustlines and offers.
    Write(LedgerEntryData),
    /// The ledger evicts an entry when it closes: a temporary one is gone, a persistent one archived, from protocol 23 on.
    Evict(LedgerKey),
    /// The time to live of an entry disappears, which no network does and no ledger shows.
    LoseTtl(LedgerKey),
}

impl Action {
    /// A transaction creates contract data, which then lives until this ledger.
    pub fn create(data: ContractDataEntry, until: u32) -> Action {
        Action::Create(LedgerEntryData::ContractData(data), until)
    }
}

/// A network, from its first ledger to the last one that it closed.
pub struct Network {
    passphrase: String,
    maker: Maker,
    now: State,
    live: List<BucketEntry>,
    archived: List<HotArchiveBucketEntry>,
    ledgers: Vec<LedgerCloseMeta>,
    states: BTreeMap<u32, State>,
    checkpoints: BTreeMap<u32, Checkpoint>,
}

impl Network {
    /// A network without entries that will close `first` next.
    pub fn new(first: u32, protocol: u32, passphrase: &str) -> Network {
        let mut maker = Maker::of(first, passphrase);
        maker.protocol = protocol;
        Network {
            passphrase: passphrase.to_owned(),
            maker,
            now: State::default(),
            live: List::new(),
            archived: List::new(),
            ledgers: Vec::new(),
            states: BTreeMap::new(),
            checkpoints: BTreeMap::new(),
        }
    }

    /// Closes the following ledgers with this protocol.
    pub fn upgrade(&mut self, protocol: u32) {
        self.maker.protocol = protocol;
    }

    /// The protocol of the next ledger.
    pub fn protocol(&self) -> u32 {
        self.maker.protocol
    }

    /// The ledger that closes next.
    pub fn next(&self) -> u32 {
        self.maker.next
    }

    /// Its passphrase.
    pub fn passphrase(&self) -> &str {
        &self.passphrase
    }

    /// The entries now.
    pub fn now(&self) -> &State {
        &self.now
    }

    /// The entries after a ledger that it closed.
    pub fn state(&self, ledger: u32) -> &State {
        &self.states[&ledger]
    }

    /// The checkpoints so far: each ledger whose number is one less than a multiple of 64.
    pub fn checkpoints(&self) -> &BTreeMap<u32, Checkpoint> {
        &self.checkpoints
    }

    /// The header of a ledger that it closed.
    pub fn header(&self, ledger: u32) -> &LedgerHeaderHistoryEntry {
        let all = self.ledgers.iter().map(header_of);
        all.into_iter().find(|header| header.header.ledger_seq == ledger).expect("a ledger that was closed")
    }

    /// Closes ledgers without changes up to this one, inclusive.
    pub fn close_up_to(&mut self, ledger: u32) {
        while self.next() <= ledger {
            self.close(Vec::new());
        }
    }

    /// Closes the next ledger: each action that a transaction makes in an operation of its own, in this order. Returns its number.
    pub fn close(&mut self, actions: Vec<Action>) -> u32 {
        let (ledger, before) = (self.next(), self.now.clone());
        let (mut operations, mut evicted, mut touched) = (Vec::new(), Vec::new(), BTreeSet::new());
        for action in actions {
            let changes = self.act(ledger, action, &mut evicted, &mut touched);
            operations.extend((!changes.is_empty()).then_some(changes));
        }
        let is_new = self.protocol() >= ARCHIVING_PROTOCOL;
        let (form, version) = if is_new { (Form::V2, 4) } else { (Form::V1, 3) };
        let written = self.written(&before, &touched);
        self.live.add(ledger, written);
        if is_new {
            let archived = self.newly_archived(&before, &touched);
            self.archived.add(ledger, archived);
        }
        self.maker.bucket_list_hash = [0; 32];
        let made = archive::is_checkpoint(ledger).then(|| {
            let archived = is_new.then_some(&self.archived);
            let made = Checkpoint::new(ledger, self.protocol(), &self.passphrase, &self.live, archived);
            self.maker.bucket_list_hash = made.bucket_list_hash;
            made
        });
        self.maker.evicted = evicted;
        let txs = match operations.is_empty() {
            true => Vec::new(),
            false => vec![Tx { meta: meta(version, vec![], operations, vec![]), ..Tx::default() }],
        };
        self.ledgers.push(self.maker.ledger(form, txs));
        if let Some(mut made) = made {
            let first = self.ledgers.len().saturating_sub(64);
            made.headers = self.ledgers[first..].iter().map(header_of).cloned().collect();
            made.headers.retain(|header| header.header.ledger_seq / 64 == ledger / 64);
            self.checkpoints.insert(ledger, made);
        }
        self.states.insert(ledger, self.now.clone());
        ledger
    }

    /// What an action changes, as the meta of its operation shows it.
    fn act(
        &mut self,
        ledger: u32,
        action: Action,
        evicted: &mut Vec<LedgerKey>,
        touched: &mut BTreeSet<LedgerKey>,
    ) -> Vec<LedgerEntryChange> {
        let entry = |data| LedgerEntry { last_modified_ledger_seq: ledger, data, ext: LedgerEntryExt::V0 };
        let mut changes = Vec::new();
        let now = &mut self.now;
        let mut touch = |key: &LedgerKey| {
            touched.insert(key.clone());
        };
        match action {
            Action::Create(data, until) => {
                let entry = entry(data);
                let key = entry.to_key();
                for new in [entry, entries::ttl_of(ledger, &key, until)] {
                    touch(&new.to_key());
                    changes.push(LedgerEntryChange::Created(new.clone()));
                    let before = now.live.insert(new.to_key(), Arc::new(new));
                    assert!(before.is_none(), "it exists already");
                }
                assert!(!now.archived.contains_key(&key), "it is archived");
            }
            Action::Update(data) => {
                write(now, entry(LedgerEntryData::ContractData(data)), true, &mut touch, &mut changes)
            }
            Action::Write(data) => write(now, entry(data), false, &mut touch, &mut changes),
            Action::Extend(key, until) => {
                write(now, entries::ttl_of(ledger, &key, until), true, &mut touch, &mut changes);
            }
            Action::Remove(key) => {
                for key in [key.clone(), ttl_key(&key)] {
                    if let Some(before) = now.live.remove(&key) {
                        touch(&key);
                        changes.push(LedgerEntryChange::State(before.as_ref().clone()));
                        changes.push(LedgerEntryChange::Removed(key));
                    }
                }
                assert!(!changes.is_empty(), "there is nothing to remove");
            }
            Action::Restore(key, until) => {
                let data = match now.archived.remove(&key) {
                    Some(archived) => Arc::new(entry(archived.data.clone())),
                    None => now.live.get(&key).expect("there is nothing to restore").clone(),
                };
                for new in [data, Arc::new(entries::ttl_of(ledger, &key, until))] {
                    touch(&new.to_key());
                    changes.push(LedgerEntryChange::Restored(new.as_ref().clone()));
                    now.live.insert(new.to_key(), new);
                }
            }
            Action::Evict(key) => {
                let entry = now.live.remove(&key).expect("there is nothing to evict");
                now.live.remove(&ttl_key(&key)).expect("it has no time to live");
                if !is_temporary(&key) {
                    assert!(self.maker.protocol >= ARCHIVING_PROTOCOL, "this protocol does not archive");
                    now.archived.insert(key.clone(), entry);
                }
                for key in [key.clone(), ttl_key(&key)] {
                    touch(&key);
                    evicted.push(key);
                }
            }
            Action::LoseTtl(key) => {
                now.live.remove(&ttl_key(&key)).expect("it has no time to live");
                touch(&ttl_key(&key));
            }
        }
        changes
    }

    /// What goes into the newest bucket of the live list.
    fn written(&self, before: &State, touched: &BTreeSet<LedgerKey>) -> Bucket<BucketEntry> {
        let version = |key: &LedgerKey| {
            let version = match (before.live.get(key), self.now.live.get(key)) {
                (None, None) => return None,
                (None, Some(new)) => BucketEntry::Initentry(new.as_ref().clone()),
                (Some(old), Some(new)) if old == new => return None,
                (Some(_), Some(new)) => BucketEntry::Liveentry(new.as_ref().clone()),
                (Some(_), None) => BucketEntry::Deadentry(key.clone()),
            };
            Some((key.clone(), version))
        };
        touched.iter().filter_map(version).collect()
    }

    /// What goes into the newest bucket of the list of archived entries.
    fn newly_archived(&self, before: &State, touched: &BTreeSet<LedgerKey>) -> Bucket<HotArchiveBucketEntry> {
        let version = |key: &LedgerKey| {
            let version = match (before.archived.get(key), self.now.archived.get(key)) {
                (None, Some(entry)) => HotArchiveBucketEntry::Archived(entry.as_ref().clone()),
                (Some(_), None) => HotArchiveBucketEntry::Live(key.clone()),
                _ => return None,
            };
            Some((key.clone(), version))
        };
        touched.iter().filter_map(version).collect()
    }

    /// Writes the ledgers as a Galexie lake of one ledger for each object, not compressed.
    pub fn write_lake(&self, directory: &Path) {
        let manifest = serde_json::json!({ "networkPassphrase": self.passphrase });
        archive::put(directory, ".config.json", manifest.to_string().as_bytes());
        for ledger in &self.ledgers {
            let sequence = header_of(ledger).header.ledger_seq;
            let object = format!("{}.xdr", name(sequence, sequence));
            archive::put(directory, &object, &batch(sequence, vec![ledger.clone()]));
        }
    }

    /// Writes all checkpoints as a history archive.
    pub fn write_archive(&self, directory: &Path) {
        self.checkpoints.values().for_each(|checkpoint| checkpoint.write(directory));
        let newest = self.checkpoints.values().next_back().expect("a checkpoint");
        archive::put(directory, archive::NEWEST, newest.state.to_string().as_bytes());
    }
}

/// Writes an entry, whether it is there or, unless it must be, not.
fn write(
    now: &mut State,
    entry: LedgerEntry,
    must_exist: bool,
    touch: &mut impl FnMut(&LedgerKey),
    changes: &mut Vec<LedgerEntryChange>,
) {
    let key = entry.to_key();
    touch(&key);
    match now.live.insert(key, Arc::new(entry.clone())) {
        Some(before) => {
            changes.push(LedgerEntryChange::State(before.as_ref().clone()));
            changes.push(LedgerEntryChange::Updated(entry));
        }
        None => {
            assert!(!must_exist, "it does not exist");
            changes.push(LedgerEntryChange::Created(entry));
        }
    }
}

fn header_of(ledger: &LedgerCloseMeta) -> &LedgerHeaderHistoryEntry {
    match ledger {
        LedgerCloseMeta::V0(ledger) => &ledger.ledger_header,
        LedgerCloseMeta::V1(ledger) => &ledger.ledger_header,
        LedgerCloseMeta::V2(ledger) => &ledger.ledger_header,
    }
}
