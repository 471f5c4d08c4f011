//! The expected state, computed from the rows of the source without any code or SQL of the loader.

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;

use testkit::asset::PUBNET;
use testkit::{Asset, Row};

use crate::support::World;

/// Ledgers to a partition, in every world.
pub(crate) const PARTITION_LEDGERS: u32 = 64;

/// Synthetic ledgers with everything that makes loading difficult: none or many rows, identical rows, a key that
/// changes twice in a ledger, removals, balances beyond int64, and an asset that becomes known after its first
/// balances.
pub(crate) fn ledgers(range: RangeInclusive<u32>) -> Vec<Row> {
    range.flat_map(ledger).collect()
}

fn ledger(l: u32) -> Vec<Row> {
    let usdc = Asset::credit("USDC", 1);
    let of_usdc = Row::at(l).of_contract(usdc.contract_id(PUBNET));
    let plain = |key: u32| Row::at(l).contract(1 + l % 3).key(key).value(l.into());
    match l % 5 {
        0 => vec![],
        1 => vec![plain(l % 7), plain(l % 7), of_usdc.balance(l % 4, i128::from(l) * 10)],
        2 => {
            vec![plain(1), plain(1).deleted(), plain(2).temporary(), of_usdc.balance(l % 4, beyond_int64(l))]
        }
        3 if l % 15 == 3 => vec![of_usdc.instance(&usdc), plain(3)],
        3 => vec![plain(4).deleted()],
        _ => vec![plain(l % 7).value(7), plain(l % 7).value(8), Row::at(l).contract(9).wasm_instance(l)],
    }
}

/// The balance of a synthetic row whose int64 is null.
fn beyond_int64(ledger: u32) -> i128 {
    i128::from(i64::MAX) + i128::from(ledger)
}

fn balance(row: &Row) -> Option<i128> {
    let stated = row.balance.map(i128::from);
    stated.or_else(|| row.balance_holder.as_ref().map(|_| beyond_int64(row.ledger_sequence)))
}

/// A row with its number in its ledger.
type Numbered<'a> = (i32, &'a Row);

/// The rows of these ledgers, numbered in stream order.
fn numbered<'a>(rows: &'a [Row], loaded: &[RangeInclusive<u32>]) -> Vec<Numbered<'a>> {
    let mut next: BTreeMap<u32, i32> = BTreeMap::new();
    let mut all: Vec<Numbered<'_>> = Vec::new();
    for row in rows.iter().filter(|row| loaded.iter().any(|range| range.contains(&row.ledger_sequence))) {
        let number = next.entry(row.ledger_sequence).or_default();
        all.push((*number, row));
        *number += 1;
    }
    all.sort_by_key(|(index, row)| (row.ledger_sequence, *index));
    all
}

fn render(values: &[Option<String>]) -> String {
    values.iter().map(|value| value.as_deref().unwrap_or("-")).collect::<Vec<_>>().join(" | ")
}

/// What entries and key_states have in common, apart from the asset.
const SHARED: &str =
    "ledger_sequence, change_index, ledger_key_hash, contract_id, contract_key_type, contract_durability,
    balance_holder, balance, last_modified_ledger, deleted, (extract(epoch from closed_at) * 1000000)::bigint,
    key_xdr, val_xdr, contract_instance_type, contract_instance_wasm_hash, expiration_ledger_seq";

fn shared((index, row): &Numbered<'_>) -> Vec<Option<String>> {
    let some = |text: &str| Some(text.to_owned());
    vec![
        Some(row.ledger_sequence.to_string()),
        Some(index.to_string()),
        row.ledger_key_hash.clone(),
        some(&row.contract_id),
        some(&row.contract_key_type),
        some(&row.contract_durability),
        row.balance_holder.clone(),
        balance(row).map(|amount| amount.to_string()),
        Some(row.last_modified_ledger.to_string()),
        some(if row.deleted { "t" } else { "f" }),
        Some(row.closed_at.to_string()),
        row.key_xdr.clone(),
        row.val_xdr.clone(),
        row.contract_instance_type.clone(),
        row.contract_instance_wasm_hash.clone(),
        row.expiration_ledger_seq.map(|ledger| ledger.to_string()),
    ]
}

fn asset(row: &Row) -> Vec<Option<String>> {
    vec![row.asset_code.clone(), row.asset_issuer.clone(), row.asset_type.clone()]
}

impl World {
    /// Fails the test unless exactly these ledgers are loaded, each once and equal to the source: rows, windows, current
    /// state, archive, and nothing in staging/; and unless `verify` agrees.
    pub(crate) async fn expect_whole(&self, loaded: &[RangeInclusive<u32>]) {
        let rows = numbered(&self.rows, loaded);
        self.expect_entries(&rows).await;
        self.expect_windows(&rows, loaded).await;
        self.expect_states(&rows).await;
        self.succeeds("verify").await;
    }

    /// Fails the test unless, of these loaded ledgers, `entries` has exactly those from the boundary on, without a
    /// partition below it, while the current state is that of all of them, before and after a rebuild; and unless
    /// `verify` agrees.
    pub(crate) async fn expect_retained(&self, loaded: &[RangeInclusive<u32>], boundary: u32) {
        let rows = numbered(&self.rows, loaded);
        let kept: Vec<_> =
            rows.iter().filter(|row| row.1.ledger_sequence >= boundary).map(|row| (row.0, row.1)).collect();
        self.expect_entries(&kept).await;
        let low = format!(
            "select count(*) from pg_class where relnamespace = 'contract_data'::regnamespace
             and relname ~ '^entries_[0-9]{{10}}$' and substr(relname, 9)::bigint < {boundary}"
        );
        assert_eq!(self.database.value(&low).await, "0", "partitions below {boundary}");
        self.expect_states(&rows).await;
        let assets =
            "select contract_id, asset_code, learnt_from from contract_data.contract_assets order by 1";
        let known = self.database.rows(assets).await;
        self.database.value("select contract_data.refresh_current_states()").await;
        self.expect_states(&rows).await;
        assert_eq!(self.database.rows(assets).await, known, "assets after a refresh");
        self.succeeds("verify").await;
    }

    async fn expect_entries(&self, rows: &[Numbered<'_>]) {
        let columns = format!("{SHARED}, asset_code, asset_issuer, asset_type");
        let sql =
            format!("select {columns} from contract_data.entries order by ledger_sequence, change_index");
        let expected: Vec<_> = rows.iter().map(|row| render(&[shared(row), asset(row.1)].concat())).collect();
        assert_same("entries", &self.database.rows(&sql).await, &expected);
        let strangers = "select count(*) from contract_data.entries e where not exists (
            select from contract_data.ingestion_progress p where p.status = 'completed' and p.batch_id = e.batch_id
            and e.ledger_sequence between p.start_ledger and p.end_ledger)";
        assert_eq!(self.database.value(strangers).await, "0", "rows of a batch that is not their window's");
    }

    async fn expect_windows(&self, rows: &[Numbered<'_>], loaded: &[RangeInclusive<u32>]) {
        let sql = "select start_ledger, end_ledger, status, folded, archived, entries_processed, object
                   from contract_data.ingestion_progress where status = 'completed' order by start_ledger, end_ledger";
        let windows = self.database.rows(sql).await;
        let hints = "select count(*) from contract_data.ingestion_progress open where status <> 'completed' and exists (
            select from contract_data.ingestion_progress done where done.status = 'completed'
            and done.start_ledger <= open.start_ledger and done.end_ledger >= open.end_ledger)";
        assert_eq!(self.database.value(hints).await, "0", "hints about completed windows");
        let mut expected = Vec::new();
        let mut archive = Vec::new();
        let mut covered: Vec<RangeInclusive<u32>> = Vec::new();
        for window in &windows {
            let mut bounds = window.split(" | ").map(|word| word.parse::<u32>().unwrap_or_default());
            let (start, end) = (bounds.next().unwrap(), bounds.next().unwrap());
            match covered.last_mut() {
                Some(last) if *last.end() + 1 == start => *last = *last.start()..=end,
                _ => covered.push(start..=end),
            }
            let count = rows.iter().filter(|(_, row)| (start..=end).contains(&row.ledger_sequence)).count();
            let folder = start / PARTITION_LEDGERS * PARTITION_LEDGERS;
            assert_eq!(end / PARTITION_LEDGERS * PARTITION_LEDGERS, folder, "{window} crosses a partition");
            let object = format!(
                "archive/contract_data/v1/network=pubnet/ledger_range={folder}/{start}-{end}.parquet"
            );
            expected.push(format!("{start} | {end} | completed | t | t | {count} | {object}"));
            archive.push(object);
        }
        assert_same("ingestion_progress", &windows, &expected);
        assert_eq!(covered, loaded, "ledgers of the completed windows");
        archive.sort();
        let objects = self.objects().await;
        let (kept, staging): (Vec<_>, Vec<_>) = objects.into_iter().partition(|o| o.starts_with("archive/"));
        // Other tables of a window stand beside its data.
        let (kept, sides): (Vec<_>, Vec<_>) = kept.into_iter().partition(|o| !is_side(o));
        for side in &sides {
            let data =
                side.replace("contract_ttl", "contract_data").replace("contract_assets", "contract_data");
            assert!(archive.contains(&data), "{side} without {data}");
        }
        assert_same("archive/", &kept, &archive);
        // The rest of an unsealed attempt is invisible to the store, and expires; so are its other tables without data.
        let sealed: Vec<_> =
            staging.into_iter().filter(|object| object.ends_with(".parquet") && !is_side(object)).collect();
        assert_eq!(sealed, Vec::<String>::new(), "left in staging/");
    }

    async fn expect_states(&self, rows: &[Numbered<'_>]) {
        let instances = rows.iter().filter(|(_, row)| row.asset_type.is_some());
        let assets: HashMap<&str, &Row> =
            instances.map(|(_, row)| (row.contract_id.as_str(), *row)).collect();
        let newest: BTreeMap<&str, &Numbered<'_>> =
            rows.iter().map(|row| (row.1.ledger_key_hash.as_deref().unwrap(), row)).collect();
        let expected: Vec<String> = newest
            .values()
            .map(|state| {
                let known = assets.get(state.1.contract_id.as_str());
                let of_balance = known.filter(|_| state.1.balance_holder.is_some());
                let asset = of_balance.map_or(vec![None; 3], |instance| asset(instance));
                render(&[shared(state), asset].concat())
            })
            .collect();
        let columns = format!("{SHARED}, asset_code, asset_issuer, asset_type");
        let sql = format!("select {columns} from contract_data.key_states order by ledger_key_hash");
        assert_same("key_states", &self.database.rows(&sql).await, &expected);
    }
}

/// Compares line by line, and shows the first difference instead of everything.
#[track_caller]
pub(crate) fn assert_same(what: &str, found: &[String], expected: &[String]) {
    let lengths = (found.len(), expected.len());
    for n in 0..lengths.0.max(lengths.1) {
        assert_eq!(
            found.get(n),
            expected.get(n),
            "{what}: line {n}, of {} found and {} expected",
            lengths.0,
            lengths.1
        );
    }
}

/// Whether an object is of a table beside `data`.
fn is_side(object: &str) -> bool {
    ["archive/contract_ttl/", "archive/contract_assets/"].iter().any(|dataset| object.starts_with(dataset))
        || [".ttl.parquet", ".assets.parquet"].iter().any(|end| object.ends_with(end))
}
