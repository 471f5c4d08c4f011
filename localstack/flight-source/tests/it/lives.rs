//! The tables of a synthetic chain agree with each other, ledger by ledger; and what they say of the life of each entry.

use std::collections::{HashMap, HashSet};

use pipeline::contract::asset::{contract_id, credit};

use super::record::{AssetRecord, Record, TtlRecord, asset_records, records, ttl_records};
use super::*;

const LAST: u32 = FIRST + 1_999;

/// The rows of the chain in each table.
async fn tables() -> (Vec<Record>, Vec<TtlRecord>, Vec<AssetRecord>) {
    let mut source = serve(&spec()).await;
    (
        records(&source.rows(FIRST, LAST).await),
        ttl_records(&source.rows_of(Table::Ttl, FIRST, LAST).await),
        asset_records(&source.rows_of(Table::Assets, FIRST, LAST).await),
    )
}

/// Whether an entry lives, as far as rows say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Liveness {
    Live,
    Archived,
    Gone,
    Unknown,
}

/// What rows said of an entry so far.
#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    is_persistent: Option<bool>,
    /// The greatest last ledger said since it was created or restored.
    until: Option<u32>,
    is_evicted: bool,
    is_deleted: bool,
}

impl Entry {
    fn at(self, ledger: u32) -> Liveness {
        let ended = || match self.is_persistent {
            Some(true) => Liveness::Archived,
            Some(false) => Liveness::Gone,
            None => Liveness::Unknown,
        };
        match self.until {
            _ if self.is_deleted => Liveness::Gone,
            _ if self.is_evicted => ended(),
            Some(until) if until < ledger => ended(),
            Some(_) => Liveness::Live,
            None => Liveness::Unknown,
        }
    }

    fn apply_ttl(&mut self, row: &TtlRecord) {
        if let Some(durability) = &row.contract_durability {
            self.is_persistent = Some(durability == "ContractDataDurabilityPersistent");
        }
        match row.change.as_str() {
            "created" | "restored" => {
                *self = Self {
                    until: row.live_until_ledger,
                    is_persistent: self.is_persistent,
                    ..Self::default()
                };
            }
            "extended" => self.until = self.until.max(row.live_until_ledger),
            "removed" => (self.is_deleted, self.until) = (true, None),
            "evicted" => (self.is_evicted, self.until) = (true, None),
            other => panic!("{other}"),
        }
    }

    fn apply_data(&mut self, row: &Record) {
        self.is_persistent = Some(row.contract_durability == "ContractDataDurabilityPersistent");
        self.until = self.until.max(row.expiration_ledger_seq);
    }
}

/// The rows by ledger.
fn by_ledger<T>(rows: &[T], ledger: impl Fn(&T) -> u32) -> HashMap<u32, Vec<&T>> {
    let mut ledgers: HashMap<u32, Vec<&T>> = HashMap::new();
    rows.iter().for_each(|row| ledgers.entry(ledger(row)).or_default().push(row));
    ledgers
}

/// All entries at the end of a ledger, by brute force over all rows up to it.
fn model(data: &[Record], ttls: &[TtlRecord], ledger: u32) -> HashMap<String, Liveness> {
    let mut entries: HashMap<&str, Entry> = HashMap::new();
    let (data, ttls) =
        (by_ledger(data, |row| row.ledger_sequence), by_ledger(ttls, |row| row.ledger_sequence));
    for at in FIRST..=ledger {
        for row in ttls.get(&at).into_iter().flatten() {
            entries.entry(&row.ledger_key_hash).or_default().apply_ttl(row);
        }
        for row in data.get(&at).into_iter().flatten().filter(|row| !row.deleted) {
            entries.entry(&row.ledger_key_hash).or_default().apply_data(row);
        }
    }
    entries.into_iter().map(|(hash, entry)| (hash.to_owned(), entry.at(ledger))).collect()
}

#[tokio::test]
async fn entries_live_are_archived_and_end() {
    let (data, ttls, _) = tables().await;
    for ledger in [FIRST + 700, LAST] {
        let count = model(&data, &ttls, ledger).values().fold(HashMap::new(), |mut count, liveness| {
            *count.entry(*liveness).or_insert(0) += 1;
            count
        });
        for liveness in [Liveness::Live, Liveness::Archived, Liveness::Gone, Liveness::Unknown] {
            assert!(count.get(&liveness).is_some_and(|entries| *entries > 5), "{liveness:?}: {count:?}");
        }
    }
    let count = |change: &str| ttls.iter().filter(|row| row.change == change).count();
    let counts = ["created", "extended", "restored", "removed", "evicted"].map(count);
    assert!(counts.iter().all(|rows| *rows > 50), "{counts:?}");
    assert_eq!(counts.iter().sum::<usize>(), ttls.len());
    let with_data: HashSet<_> = data.iter().map(|row| &row.ledger_key_hash).collect();
    assert!(
        ttls.iter().any(|row| !with_data.contains(&row.ledger_key_hash)),
        "contract code, or not seen yet"
    );
}

/// What happens to an entry in `ttl` is possible after what happened before, and `data` agrees with it.
#[tokio::test]
async fn no_entry_changes_after_its_end_unless_it_begins_again() {
    let (data, ttls, _) = tables().await;
    let (data, ttls) =
        (by_ledger(&data, |row| row.ledger_sequence), by_ledger(&ttls, |row| row.ledger_sequence));
    let mut entries: HashMap<&str, Entry> = HashMap::new();
    let (mut agreed, mut expired) = (0, 0);
    for ledger in FIRST..=LAST {
        let rows = data.get(&ledger).map(Vec::as_slice).unwrap_or_default();
        let changes = ttls.get(&ledger).map(Vec::as_slice).unwrap_or_default();
        let has = |hash: &str, change: &str| {
            changes.iter().any(|row| row.ledger_key_hash == hash && row.change == change)
        };
        let written = |hash: &str, deleted: bool| {
            rows.iter().any(|row| row.ledger_key_hash == hash && row.deleted == deleted)
        };
        for row in rows {
            let entry = entries.entry(&row.ledger_key_hash).or_default();
            let begins = ["created", "restored"].iter().any(|change| has(&row.ledger_key_hash, change));
            let before = entry.at(ledger);
            assert!(begins || matches!(before, Liveness::Live | Liveness::Unknown), "{before:?}: {row:?}");
            assert!(!row.deleted || has(&row.ledger_key_hash, "removed"), "{row:?}");
        }
        for row in changes {
            let hash = row.ledger_key_hash.as_str();
            let entry = entries.entry(hash).or_default();
            let (before, is_persistent) = (entry.at(ledger), entry.is_persistent);
            let is_possible = match row.change.as_str() {
                "created" => before != Liveness::Live && before != Liveness::Archived && written(hash, false),
                "restored" => {
                    matches!(before, Liveness::Archived | Liveness::Unknown) && written(hash, false)
                }
                "extended" => {
                    matches!(before, Liveness::Live | Liveness::Unknown)
                        && (entry.until.is_none() || row.live_until_ledger > entry.until)
                }
                "removed" => matches!(before, Liveness::Live | Liveness::Unknown) && written(hash, true),
                _ => {
                    expired += usize::from(entry.until.is_some());
                    before != Liveness::Live && !entry.is_evicted && !entry.is_deleted
                }
            };
            assert!(is_possible, "{entry:?}: {row:?}");
            assert!(row.live_until_ledger.is_none_or(|until| until >= ledger), "{row:?}");
            entry.apply_ttl(row);
            assert!(is_persistent.is_none_or(|known| Some(known) == entry.is_persistent), "{row:?}");
        }
        for row in rows.iter().filter(|row| !row.deleted) {
            let entry = entries.entry(&row.ledger_key_hash).or_default();
            if let (Some(until), Some(said)) = (entry.until, row.expiration_ledger_seq) {
                assert_eq!(said, until, "{row:?}");
                agreed += 1;
            }
            entry.apply_data(row);
        }
    }
    assert!(agreed > 10_000 && expired > 500, "{agreed} rows agree, {expired} evicted after a known end");
}

#[tokio::test]
async fn assets_are_named_also_before_their_instances() {
    let (data, _, assets) = tables().await;
    let strkey = |row: &AssetRecord| {
        let asset = match (&row.asset_code, &row.asset_issuer) {
            (Some(code), Some(issuer)) => credit(code, issuer.parse().unwrap()).unwrap(),
            _ => stellar_xdr::Asset::Native,
        };
        stellar_strkey::Contract(contract_id(&asset, PUBNET).unwrap()).to_string().as_str().to_owned()
    };
    let mut named: HashMap<&str, u32> = HashMap::new();
    for row in &assets {
        assert_eq!(row.contract_id, strkey(row));
        named.entry(&row.contract_id).or_insert(row.ledger_sequence);
    }
    let order = |row: &AssetRecord| (row.ledger_sequence, row.contract_id.clone());
    assert!(assets.windows(2).all(|pair| order(&pair[0]) < order(&pair[1])), "sorted, and once per ledger");

    let instances: Vec<_> = data.iter().filter(|row| row.asset_type.is_some()).collect();
    for row in &instances {
        let of_ledger = |asset: &&AssetRecord| asset.ledger_sequence == row.ledger_sequence;
        assert!(assets.iter().filter(of_ledger).any(|asset| asset.contract_id == row.contract_id), "{row:?}");
    }
    let balances: HashSet<_> =
        data.iter().filter(|row| row.balance_holder.is_some()).map(|row| row.contract_id.as_str()).collect();
    let unnamed: Vec<_> = balances.iter().filter(|contract| !named.contains_key(**contract)).collect();
    assert_eq!(unnamed.len(), 1, "an asset that no row names: {unnamed:?}");
    let early = instances.iter().filter(|row| named[row.contract_id.as_str()] < row.ledger_sequence);
    assert!(early.count() > 5, "named before an instance");
    assert!(named.len() > 40, "{} assets, with those that have no contract", named.len());
}
