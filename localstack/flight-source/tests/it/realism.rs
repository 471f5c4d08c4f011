//! The features that make a synthetic chain realistic.

use std::collections::{HashMap, HashSet};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};
use stellar_strkey::ed25519;
use stellar_xdr::{
    ContractDataDurability, ContractExecutable, ContractId, Hash, LedgerKey, LedgerKeyContractData, Limits,
    ReadXdr, ScAddress, ScSymbol, ScVal, WriteXdr,
};

use super::record::{Record, records};
use super::*;

const NATIVE: &str = "CAS3J7GYLGXMF6TDJBBYYSE3HQ6BBSMLNUQ34T6TZMYMW2EVH34XOWMA";
const USDC: &str = "CCW67TSZV3SSS2HXMBQ5JFGCKJNXKZM7UQUWUZPUTHXSTZLEO7SJMI75";

/// All rows of the chain, over the socket.
async fn rows() -> Vec<Record> {
    let mut source = serve(&spec()).await;
    records(&source.rows(FIRST, FIRST + 1_999).await)
}

fn scval(base64: &str) -> ScVal {
    let xdr = BASE64_STANDARD.decode(base64).unwrap();
    ScVal::from_xdr(xdr, Limits::none()).unwrap()
}

fn contract(strkey: &str) -> [u8; 32] {
    stellar_strkey::Contract::from_string(strkey).unwrap().0
}

/// Holder and amount, if key and value have the form of a balance of a Stellar asset contract.
fn balance_of(key: &ScVal, val: &ScVal) -> Option<(String, i128)> {
    let symbol = |val: &ScVal| match val {
        ScVal::Symbol(ScSymbol(name)) => name.to_utf8_string().unwrap(),
        _ => String::new(),
    };
    let (ScVal::Vec(Some(key)), ScVal::Map(Some(map))) = (key, val) else { return None };
    let [name, ScVal::Address(ScAddress::Contract(ContractId(Hash(holder))))] = key.0.as_slice() else {
        return None;
    };
    let names: Vec<_> = map.0.iter().map(|entry| symbol(&entry.key)).collect();
    if symbol(name) != "Balance" || names != ["amount", "authorized", "clawback"] {
        return None;
    }
    let ScVal::I128(amount) = &map.0[0].val else { return None };
    let holder = stellar_strkey::Contract(*holder).to_string().as_str().to_owned();
    Some((holder, i128::from(amount.hi) << 64 | i128::from(amount.lo)))
}

#[tokio::test]
async fn every_row_agrees_with_its_xdr() {
    let (mut key_types, mut val_types, mut asset_types) = (HashMap::new(), HashMap::new(), HashMap::new());
    let (mut beyond, mut balances, mut wasm, mut hashes) = (0, 0, 0, HashMap::new());
    for row in rows().await {
        let (key, val) = (scval(&row.key_xdr), scval(&row.val_xdr));
        let id = contract(&row.contract_id);

        let key_type = match key {
            ScVal::LedgerKeyContractInstance => "ScValTypeScvLedgerKeyContractInstance".to_owned(),
            _ => format!("ScValTypeScv{}", key.name()),
        };
        assert_eq!(row.contract_key_type, key_type);
        let durability = match row.contract_durability.as_str() {
            "ContractDataDurabilityPersistent" => ContractDataDurability::Persistent,
            "ContractDataDurabilityTemporary" => ContractDataDurability::Temporary,
            other => panic!("durability {other}"),
        };
        *key_types.entry((key_type, durability)).or_insert(0) += 1;
        *val_types.entry(val.name()).or_insert(0) += 1;

        let contract = ScAddress::Contract(ContractId(Hash(id)));
        let ledger_key =
            LedgerKey::ContractData(LedgerKeyContractData { contract, key: key.clone(), durability });
        let hash = Hash(Sha256::digest(ledger_key.to_xdr(Limits::none()).unwrap()).into()).to_string();
        assert_eq!(row.ledger_key_hash, hash);
        let of = (row.contract_id.clone(), row.key_xdr.clone(), durability);
        assert_eq!(hashes.entry(hash).or_insert_with(|| of.clone()), &of);

        let is_asset = row.asset_type.is_some();
        assert!(!(is_asset && row.balance_holder.is_some()), "an asset and a balance in one row");
        match balance_of(&key, &val) {
            Some((holder, amount)) => {
                balances += 1;
                beyond += usize::from(i64::try_from(amount).is_err());
                assert_eq!(row.balance_holder, Some(holder));
                assert_eq!(row.balance, i64::try_from(amount).ok());
                assert_eq!(durability, ContractDataDurability::Persistent);
            }
            None => assert_eq!((&row.balance_holder, row.balance), (&None, None)),
        }
        match &val {
            ScVal::ContractInstance(instance) => {
                assert_eq!(key, ScVal::LedgerKeyContractInstance);
                match &instance.executable {
                    ContractExecutable::Wasm(Hash(code)) => {
                        wasm += 1;
                        assert_eq!(row.contract_instance_type.as_deref(), Some("wasm"));
                        let code: String = code.iter().map(|byte| format!("{byte:02x}")).collect();
                        assert_eq!(row.contract_instance_wasm_hash, Some(code));
                        assert!(!is_asset);
                    }
                    ContractExecutable::StellarAsset => {
                        assert_eq!(row.contract_instance_type.as_deref(), Some("stellar_asset"));
                        assert_eq!(row.contract_instance_wasm_hash, None);
                        *asset_types.entry(row.asset_type.clone().unwrap()).or_insert(0) += 1;
                    }
                    other => panic!("executable {other:?}"),
                }
            }
            _ => {
                assert_eq!((&row.contract_instance_type, &row.contract_instance_wasm_hash), (&None, &None));
                assert_eq!((is_asset, &row.asset_code, &row.asset_issuer), (false, &None, &None));
            }
        }
        match (row.asset_type.as_deref(), &row.asset_code, &row.asset_issuer) {
            (None | Some("native"), None, None) => {}
            (Some(kind @ ("credit_alphanum4" | "credit_alphanum12")), Some(code), Some(issuer)) => {
                let lengths = if kind == "credit_alphanum4" { 1..=4 } else { 5..=12 };
                assert!(
                    lengths.contains(&code.len()) && code.bytes().all(|c| c.is_ascii_alphanumeric()),
                    "{code:?}"
                );
                ed25519::PublicKey::from_string(issuer).unwrap();
            }
            other => panic!("asset {other:?}"),
        }
    }
    for key_type in ["Vec", "Symbol", "U128"] {
        for durability in [ContractDataDurability::Persistent, ContractDataDurability::Temporary] {
            let kind = (format!("ScValTypeScv{key_type}"), durability);
            assert!(key_types.contains_key(&kind) || key_type == "Symbol", "no {kind:?} in {key_types:?}");
        }
    }
    for val_type in ["Map", "Vec", "Bytes", "Symbol", "ContractInstance"] {
        assert!(val_types.get(val_type).is_some_and(|n| *n > 20), "few {val_type} in {val_types:?}");
    }
    assert_eq!(asset_types.len(), 3, "{asset_types:?}");
    assert!(
        balances > 15_000 && wasm > 500 && beyond > 20,
        "{balances} balances, {wasm} wasm, {beyond} beyond"
    );
}

#[tokio::test]
async fn instances_of_assets_are_seen_early_late_and_never() {
    let rows = rows().await;
    let mut instances: HashMap<&str, (u32, usize)> = HashMap::new();
    let mut balances: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, row) in rows.iter().enumerate() {
        let contract = row.contract_id.as_str();
        if row.asset_type.is_some() {
            instances.entry(contract).or_insert((row.ledger_sequence - FIRST, at));
        } else if row.balance_holder.is_some() {
            balances.entry(contract).or_default().push(at);
        }
    }
    assert_eq!(balances.len(), 12);
    assert_eq!(instances.len(), 11, "one asset contract never writes its instance");
    let late: Vec<_> = instances.values().filter(|(ledger, _)| *ledger >= 40).collect();
    assert_eq!(late.len(), 1, "one of them writes it late: {instances:?}");
    assert!(late[0].0 > 1_000);
    let before = |(contract, (_, at)): (&&str, &(u32, usize))| balances[contract][0] < *at;
    assert!(instances.iter().any(before), "a balance before the instance");

    let (_, native) = instances[NATIVE];
    assert_eq!(rows[native].asset_type.as_deref(), Some("native"));
    let (_, usdc) = instances[USDC];
    assert_eq!(rows[usdc].asset_code.as_deref(), Some("USDC"));
    let holders: HashSet<_> = balances[USDC].iter().map(|at| &rows[*at].balance_holder).collect();
    assert!(holders.len() > 300, "{} holders of USDC", holders.len());
}

#[tokio::test]
async fn entries_change_often_are_deleted_and_come_back() {
    let rows = rows().await;
    let mut last: HashMap<&str, &Record> = HashMap::new();
    let (mut deleted, mut restored, mut back, mut at_once, mut twice, mut alike) = (0, 0, 0, 0, 0, 0);
    let mut gone = HashSet::new();
    let mut seen = HashSet::new();
    for row in &rows {
        let before = last.insert(&row.ledger_key_hash, row);
        if let Some(before) = before.filter(|before| before.ledger_sequence == row.ledger_sequence) {
            twice += usize::from(before.val_xdr != row.val_xdr);
            at_once += usize::from(before.deleted && !row.deleted);
        }
        alike += usize::from(!seen.insert(row));
        if row.last_modified_ledger < row.ledger_sequence {
            // deleted or restored
            if let Some(before) = before {
                assert!(!before.deleted, "of an entry that does not exist");
                assert_eq!(row.last_modified_ledger, before.last_modified_ledger);
                assert_eq!(row.val_xdr, before.val_xdr, "it shows the last value");
            } else {
                assert!(row.last_modified_ledger < FIRST, "of an entry that did not exist");
            }
        }
        if row.deleted {
            deleted += 1;
            assert!(row.last_modified_ledger < row.ledger_sequence);
            gone.insert(&row.ledger_key_hash);
        } else {
            restored += usize::from(row.last_modified_ledger < row.ledger_sequence);
            back += usize::from(gone.remove(&row.ledger_key_hash));
        }
    }
    assert!(restored > 50, "{restored} restored");
    assert!(deleted > 500 && back > 100 && at_once > 5, "{deleted} deleted, {back} back, {at_once} at once");
    assert!(twice > 1_000 && alike > 200, "{twice} twice in a ledger, {alike} alike");
    assert!(rows.iter().any(|row| row.deleted && row.balance_holder.is_some()), "no balance is deleted");
}

#[tokio::test]
async fn sizes_popularity_and_lifetimes_are_uneven() {
    let rows = rows().await;
    let per_ledger = rows.iter().fold(HashMap::new(), |mut per_ledger, row| {
        *per_ledger.entry(row.ledger_sequence).or_insert(0) += 1;
        per_ledger
    });
    let empty = 2_000 - per_ledger.len();
    assert!((20..80).contains(&empty), "{empty} empty ledgers");
    assert!(per_ledger.values().any(|rows| *rows > 100), "no big ledger");
    assert!((45_000..56_000).contains(&rows.len()), "{} rows", rows.len());
    let ledgers: Vec<_> = rows.iter().map(|row| row.ledger_sequence).collect();
    assert!(ledgers.is_sorted());
    for row in &rows {
        let before_the_tip = i64::from(FIRST + 1_999 - row.ledger_sequence) * 5;
        assert_eq!(row.closed_at, (1_767_225_600 - before_the_tip) * 1_000_000);
    }

    let mut contracts: HashMap<_, usize> = HashMap::new();
    for row in &rows {
        *contracts.entry(&row.contract_id).or_default() += 1;
    }
    let most = contracts.values().max().unwrap();
    assert!(contracts.len() > 250 && *most > rows.len() / 20, "{} contracts, {most} rows", contracts.len());

    let sizes: Vec<usize> = rows.iter().map(|row| row.val_xdr.len()).collect();
    let mean = sizes.iter().sum::<usize>() / sizes.len();
    let large = sizes.iter().filter(|size| **size > 20 << 10).count();
    assert!((230..320).contains(&mean), "mean {mean}");
    assert!((5..50).contains(&large), "{large} values over 20 KiB");
    // the least is a bare i128
    assert!(*sizes.iter().min().unwrap() >= 28 && *sizes.iter().max().unwrap() <= 64 << 10);

    let live_until: Vec<_> = rows.iter().filter_map(|row| row.expiration_ledger_seq).collect();
    assert!(live_until.len() > rows.len() / 4 && live_until.len() < rows.len() * 3 / 4);
    let expired = live_until.iter().filter(|until| **until < FIRST + 1_999).count();
    assert!(expired > 500, "{expired} expired");
}
