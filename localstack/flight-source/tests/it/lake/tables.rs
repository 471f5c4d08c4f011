//! The tables beside `data`: times to live, and assets.

use sha2::{Digest, Sha256};
use stellar_xdr::*;

use super::entries::*;
use super::maker::*;
use super::*;
use crate::record::{AssetRecord, Record, TtlRecord, asset_records, records, ttl_records};

const AT: u32 = 1_000;
const PERSISTENT: &str = "ContractDataDurabilityPersistent";
const TEMPORARY: &str = "ContractDataDurabilityTemporary";

/// The rows of each table.
type Tables = (Vec<Record>, Vec<TtlRecord>, Vec<AssetRecord>);

/// The rows of these ledgers, which start at [`AT`].
async fn tables_of(ledgers: Vec<LedgerCloseMeta>) -> Tables {
    let lake = tempfile::tempdir().unwrap();
    let end = AT + ledgers.len() as u32 - 1;
    put(lake.path(), (AT, end), &batch(AT, ledgers), "xdr.zst");
    let mut source = serve_lake(&at(lake.path())).await;
    (
        records(&source.rows(AT, end).await),
        ttl_records(&source.rows_of(Table::Ttl, AT, end).await),
        asset_records(&source.rows_of(Table::Assets, AT, end).await),
    )
}

async fn tables_of_changes(operations: Vec<Vec<LedgerEntryChange>>) -> Tables {
    let tx = Tx { meta: meta(4, vec![], operations, vec![]), ..Tx::default() };
    tables_of(vec![Maker::new(AT).ledger(Form::V2, vec![tx])]).await
}

/// The hash that identifies an entry.
fn hash(entry: &ContractDataEntry) -> String {
    let LedgerKey::Ttl(LedgerKeyTtl { key_hash }) = ttl(0, entry, 0).to_key() else { panic!("no TTL") };
    key_hash.to_string()
}

/// What a row says of a time to live.
fn said(row: &TtlRecord) -> (&str, &str, Option<u32>) {
    (row.ledger_key_hash.as_str(), row.change.as_str(), row.live_until_ledger)
}

#[tokio::test]
async fn a_time_to_live_is_created_extended_restored_and_removed() {
    let entry = numbered(1, 7);
    let until = |until| ttl(AT, &entry, until);
    let (_, rows, _) = tables_of_changes(vec![
        vec![created(AT, &entry), LedgerEntryChange::Created(until(2_000))],
        vec![LedgerEntryChange::State(until(2_000)), LedgerEntryChange::Updated(until(3_000))],
        vec![removed(&entry), LedgerEntryChange::Removed(until(0).to_key())],
        vec![restored(500, &entry), LedgerEntryChange::Restored(until(1_500))],
    ])
    .await;
    let hash = hash(&entry);
    let expected =
        [("created", Some(2_000)), ("extended", Some(3_000)), ("removed", None), ("restored", Some(1_500))];
    assert_eq!(
        rows.iter().map(said).collect::<Vec<_>>(),
        expected.map(|(change, until)| (hash.as_str(), change, until))
    );
    for row in rows {
        assert_eq!((row.contract_durability, row.ledger_sequence), (None, AT));
        assert_eq!(row.closed_at, close_time(AT) as i64 * 1_000_000);
    }
}

/// Transactions that are applied in parallel each show what they saw (CAP-63).
#[tokio::test]
async fn a_time_to_live_does_not_fall_while_its_entry_lives() {
    let entry = numbered(1, 7);
    let saw = |before, after| {
        vec![
            LedgerEntryChange::State(ttl(900, &entry, before)),
            LedgerEntryChange::Updated(ttl(AT, &entry, after)),
        ]
    };
    let (_, rows, _) = tables_of_changes(vec![saw(2_000, 5_000), saw(2_000, 3_000), saw(6_000, 4_000)]).await;
    let until: Vec<_> = rows.iter().map(|row| row.live_until_ledger.unwrap()).collect();
    assert_eq!(until, [5_000, 5_000, 6_000]);
}

#[tokio::test]
async fn every_entry_with_a_time_to_live_has_rows_also_nonces_and_codes() {
    let nonce = data(ScVal::LedgerKeyNonce(ScNonceKey { nonce: 7 }), ScVal::Void);
    let code = LedgerEntry {
        data: LedgerEntryData::Ttl(TtlEntry { key_hash: Hash([9; 32]), live_until_ledger_seq: 2_000 }),
        ..ttl(AT, &nonce, 0)
    };
    let (rows, ttls, _) = tables_of_changes(vec![vec![
        created(AT, &nonce),
        LedgerEntryChange::Created(ttl(AT, &nonce, 1_100)),
        LedgerEntryChange::Created(code),
    ]])
    .await;
    assert_eq!(rows, []);
    let hashes: Vec<_> = ttls.iter().map(|row| row.ledger_key_hash.clone()).collect();
    let mut expected = vec![hash(&nonce), "09".repeat(32)];
    expected.sort();
    assert_eq!(hashes, expected);
}

#[tokio::test]
async fn evictions_come_last_and_say_the_durability() {
    let (persistent, other) = (numbered(1, 1), numbered(2, 2));
    let temporary = ContractDataEntry { durability: ContractDataDurability::Temporary, ..numbered(3, 3) };
    let code = LedgerKey::ContractCode(LedgerKeyContractCode { hash: Hash([5; 32]) });
    for form in [Form::V1, Form::V2] {
        let mut maker = Maker::new(AT);
        maker.evicted = vec![
            code.clone(),
            key(&temporary),
            ttl(AT, &temporary, 0).to_key(),
            key(&persistent),
            LedgerKey::default(),
        ];
        let changes = vec![created(AT, &other), LedgerEntryChange::Created(ttl(AT, &other, 2_000))];
        let upgrade = vec![LedgerEntryChange::Updated(ttl(AT, &other, 3_000))];
        let (rows, ttls, _) = tables_of(vec![maker.upgraded(form, vec![tx(changes)], upgrade)]).await;
        assert_eq!(rows.len(), 1, "an eviction is no row of data");
        let seen: Vec<_> = ttls
            .iter()
            .map(|row| (row.change.as_str(), row.live_until_ledger, row.contract_durability.as_deref()))
            .collect();
        let expected = [
            ("created", Some(2_000), None),
            ("extended", Some(3_000), None),
            ("evicted", None, Some(PERSISTENT)),
            ("evicted", None, Some(TEMPORARY)),
            ("evicted", None, Some(PERSISTENT)),
        ];
        assert_eq!(seen, expected, "{form:?}");
        let of_code = Hash(Sha256::digest(code.to_xdr(Limits::none()).unwrap()).into()).to_string();
        let hashes: Vec<_> = ttls[2..].iter().map(|row| row.ledger_key_hash.clone()).collect();
        assert_eq!(hashes, [hash(&persistent), hash(&temporary), of_code], "by ledger key");
    }
}

#[tokio::test]
async fn persistent_entries_that_early_meta_has_whole_are_evicted_too() {
    let entry = numbered(1, 1);
    let LedgerCloseMeta::V1(mut meta) = Maker::new(AT).ledger(Form::V1, vec![]) else {
        panic!("of another version")
    };
    meta.unused = vec![super::entries::entry(900, &entry)].try_into().unwrap();
    let (_, ttls, _) = tables_of(vec![LedgerCloseMeta::V1(meta)]).await;
    assert_eq!(ttls.iter().map(said).collect::<Vec<_>>(), [(hash(&entry).as_str(), "evicted", None)]);
    assert_eq!(ttls[0].contract_durability.as_deref(), Some(PERSISTENT));
}

fn issuer() -> AccountId {
    "GA5ZSEJYB37JRC5AVCIA5MOP4RHTM335X2KGX3IHOJAPP5RE34K4KZVN".parse().unwrap()
}

/// The asset with this code, of up to 12 bytes; more than 4 make the other type.
fn asset(code: &[u8]) -> Asset {
    let mut padded = [0; 12];
    padded[..code.len()].copy_from_slice(code);
    match code.len() {
        0 => Asset::Native,
        1..=4 => {
            let asset_code = AssetCode4(padded[..4].try_into().unwrap());
            Asset::CreditAlphanum4(AlphaNum4 { asset_code, issuer: issuer() })
        }
        _ => Asset::CreditAlphanum12(AlphaNum12 { asset_code: AssetCode12(padded), issuer: issuer() }),
    }
}

fn of(data: LedgerEntryData) -> LedgerEntry {
    LedgerEntry { last_modified_ledger_seq: AT, data, ext: LedgerEntryExt::V0 }
}

fn trustline(asset: TrustLineAsset) -> LedgerEntry {
    of(LedgerEntryData::Trustline(TrustLineEntry { asset, ..TrustLineEntry::default() }))
}

fn trusting(code: &[u8]) -> LedgerEntry {
    trustline(match asset(code) {
        Asset::Native => TrustLineAsset::Native,
        Asset::CreditAlphanum4(asset) => TrustLineAsset::CreditAlphanum4(asset),
        Asset::CreditAlphanum12(asset) => TrustLineAsset::CreditAlphanum12(asset),
    })
}

fn offer(selling: &[u8], buying: &[u8]) -> LedgerEntry {
    let (selling, buying) = (asset(selling), asset(buying));
    of(LedgerEntryData::Offer(OfferEntry { selling, buying, ..OfferEntry::default() }))
}

fn pool(a: &[u8], b: &[u8]) -> LedgerEntry {
    let mut constant = LiquidityPoolEntryConstantProduct::default();
    (constant.params.asset_a, constant.params.asset_b) = (asset(a), asset(b));
    let body = LiquidityPoolEntryBody::LiquidityPoolConstantProduct(constant);
    of(LedgerEntryData::LiquidityPool(LiquidityPoolEntry { body, ..LiquidityPoolEntry::default() }))
}

fn claimable(code: &[u8]) -> LedgerEntry {
    let asset = asset(code);
    of(LedgerEntryData::ClaimableBalance(ClaimableBalanceEntry { asset, ..ClaimableBalanceEntry::default() }))
}

const NATIVE: &str = "CAS3J7GYLGXMF6TDJBBYYSE3HQ6BBSMLNUQ34T6TZMYMW2EVH34XOWMA";
const USDC: &str = "CCW67TSZV3SSS2HXMBQ5JFGCKJNXKZM7UQUWUZPUTHXSTZLEO7SJMI75";

/// The codes of rows; native has none.
fn codes(rows: &[AssetRecord]) -> Vec<&str> {
    let mut codes: Vec<_> = rows.iter().map(|row| row.asset_code.as_deref().unwrap_or_default()).collect();
    codes.sort_unstable();
    codes
}

#[tokio::test]
async fn every_entry_that_names_an_asset_gives_a_row_once_per_ledger() {
    let entries = [
        trusting(b"LINE"),
        trusting(b"USDC"),
        trustline(TrustLineAsset::PoolShare(PoolId(Hash([3; 32])))),
        offer(b"SELL", b"BUYING"),
        pool(b"", b"POOLB"),
        claimable(b"CLAIM"),
        claimable(b"USDC"),
    ];
    let changes = entries.iter().cloned().map(LedgerEntryChange::Created).collect();
    let again = vec![LedgerEntryChange::Updated(trusting(b"USDC"))];
    let gone = vec![
        LedgerEntryChange::State(trusting(b"GONE")),
        LedgerEntryChange::Removed(trusting(b"GONE").to_key()),
    ];
    let mut maker = Maker::new(AT);
    let (_, _, rows) = tables_of(vec![
        maker.ledger(Form::V2, vec![tx(changes), tx(again.clone()), tx(gone)]),
        maker.ledger(Form::V2, vec![tx(again)]),
    ])
    .await;
    let (first, second): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.ledger_sequence == AT);
    assert_eq!(codes(&first), ["", "BUYING", "CLAIM", "GONE", "LINE", "POOLB", "SELL", "USDC"]);
    assert_eq!(codes(&second), ["USDC"]);
    assert!(first.is_sorted_by(|left, right| left.contract_id < right.contract_id));
    let issuer = issuer().to_string();
    let row = |contract: &str| first.iter().find(|row| row.contract_id == contract).unwrap();
    let (native, usdc) = (row(NATIVE), row(USDC));
    assert_eq!((native.asset_type.as_str(), &native.asset_issuer), ("native", &None));
    assert_eq!(
        (usdc.asset_type.as_str(), usdc.asset_issuer.as_deref()),
        ("credit_alphanum4", Some(issuer.as_str()))
    );
    let long = first.iter().find(|row| row.asset_code.as_deref() == Some("BUYING")).unwrap();
    assert_eq!(long.asset_type, "credit_alphanum12");
}

#[tokio::test]
async fn codes_that_the_network_refuses_and_forged_instances_name_no_asset() {
    let usdc = |contract| {
        let PublicKey::PublicKeyTypeEd25519(Uint256(circle)) = issuer().0;
        created(AT, &asset_instance(contract, credit("AlphaNum4", "USDC", circle)))
    };
    let refused =
        [trusting(b"US C"), trusting(b"c\xc3\xa9s"), claimable(b"A\0B"), claimable(b"USDC\0\0\0\0\0\0\0\0")];
    let mut changes: Vec<_> = refused.iter().cloned().map(LedgerEntryChange::Created).collect();
    changes.push(usdc(contract(1)));
    assert_eq!(tables_of_changes(vec![changes]).await.2, []);
    let own = stellar_strkey::Contract::from_string(USDC).unwrap().0;
    let (_, _, rows) = tables_of_changes(vec![vec![usdc(ScAddress::Contract(ContractId(Hash(own))))]]).await;
    assert_eq!(codes(&rows), ["USDC"]);
}

/// stellar-core writes each list in an order of its own.
#[tokio::test]
async fn lists_in_another_order_give_the_same_rows_in_all_tables() {
    let of_entry = |number: u32| {
        let entry = numbered(number, 1);
        vec![
            created(AT, &entry),
            LedgerEntryChange::Created(ttl(AT, &entry, 2_000 + number)),
            LedgerEntryChange::Created(trusting(format!("A{number}").as_bytes())),
        ]
    };
    let (mut changes, mut evicted): (Vec<_>, Vec<_>) =
        ((0..6).flat_map(of_entry).collect(), (20..26).map(|number| key(&numbered(number, 0))).collect());
    let mut seen = None;
    for _ in 0..changes.len() {
        changes.rotate_left(1);
        changes.swap(0, 5);
        evicted.rotate_left(1);
        evicted.swap(0, 3);
        let mut maker = Maker::new(AT);
        maker.evicted = evicted.clone();
        let tables = tables_of(vec![maker.ledger(Form::V2, vec![tx(changes.clone())])]).await;
        assert_eq!((tables.0.len(), tables.1.len(), tables.2.len()), (6, 12, 6));
        assert_eq!(seen.get_or_insert_with(|| tables.clone()), &tables);
    }
}

/// A ticket opens the table that it was written for, and each table declares the same ledgers.
#[tokio::test]
async fn tables_are_declared_alike_and_counted_each() {
    let entry = numbered(1, 7);
    let changes = vec![created(AT, &entry), LedgerEntryChange::Created(ttl(AT, &entry, 2_000))];
    let lake = tempfile::tempdir().unwrap();
    let ledger = Maker::new(AT).ledger(
        Form::V2,
        vec![tx([changes.clone(), vec![LedgerEntryChange::Updated(ttl(AT, &entry, 2_001))]].concat())],
    );
    put(lake.path(), (AT, AT), &batch(AT, vec![ledger]), "xdr");
    let mut source = serve_lake(&at(lake.path())).await;
    let mut metadata = Vec::new();
    for (table, rows) in [(Table::Data, 1), (Table::Ttl, 2), (Table::Assets, 0)] {
        let info = source.table(table, AT, AT).await;
        assert_eq!(info.total_records, rows, "{}", table.name());
        assert_eq!(field(&info, "tables"), serde_json::json!(["data", "ttl", "assets"]));
        metadata.push(info.app_metadata.clone());
        let drained = source.drain(info).await;
        assert_eq!((drained.num_rows() as i64, drained.schema()), (rows, table.source_schema()));
    }
    assert!(metadata.iter().all(|json| *json == metadata[0]));
}
