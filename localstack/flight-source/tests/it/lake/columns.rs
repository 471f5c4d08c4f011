//! The columns that depend on the entry: keys, balances, instances, assets.

use stellar_xdr::*;

use super::entries::*;
use super::maker::*;
use super::rows::rows_of;
use super::*;
use crate::record::Record;

const AT: u32 = 1_000;

async fn row_on(passphrase: &str, entry: &ContractDataEntry) -> Record {
    let lake = tempfile::tempdir().unwrap();
    let ledger = Maker::of(AT, passphrase).ledger(Form::V1, vec![tx(vec![created(AT, entry)])]);
    put(lake.path(), (AT, AT), &batch(AT, vec![ledger]), "xdr.zst");
    let lake = LakeOptions { network_passphrase: Some(passphrase.to_owned()), ..at(lake.path()) };
    crate::record::records(&serve_lake(&lake).await.rows(AT, AT).await).remove(0)
}

async fn row(entry: &ContractDataEntry) -> Record {
    row_on(PUBNET, entry).await
}

fn asset(row: &Record) -> (Option<&str>, Option<&str>, Option<&str>) {
    (row.asset_type.as_deref(), row.asset_code.as_deref(), row.asset_issuer.as_deref())
}

fn address(strkey: &str) -> ScAddress {
    ScAddress::Contract(ContractId(Hash(stellar_strkey::Contract::from_string(strkey).unwrap().0)))
}

const NATIVE: &str = "CAS3J7GYLGXMF6TDJBBYYSE3HQ6BBSMLNUQ34T6TZMYMW2EVH34XOWMA";
const USDC: &str = "CCW67TSZV3SSS2HXMBQ5JFGCKJNXKZM7UQUWUZPUTHXSTZLEO7SJMI75";
const CIRCLE: &str = "GA5ZSEJYB37JRC5AVCIA5MOP4RHTM335X2KGX3IHOJAPP5RE34K4KZVN";

fn circle() -> [u8; 32] {
    stellar_strkey::ed25519::PublicKey::from_string(CIRCLE).unwrap().0
}

#[tokio::test]
async fn an_asset_is_named_when_the_id_of_the_contract_proves_it() {
    for code in ["USDC", "USDC\0\0\0\0"] {
        let usdc = asset_instance(address(USDC), credit("AlphaNum4", code, circle()));
        let row = row(&usdc).await;
        assert_eq!(asset(&row), (Some("credit_alphanum4"), Some("USDC"), Some(CIRCLE)), "{code:?}");
        assert_eq!(row.contract_instance_type.as_deref(), Some("stellar_asset"));
        assert_eq!((row.contract_instance_wasm_hash, row.balance_holder), (None, None));
        assert_eq!(row.contract_key_type, "ScValTypeScvLedgerKeyContractInstance");
    }
    let native = asset_instance(address(NATIVE), vec(vec![symbol("Native")]));
    assert_eq!(asset(&row(&native).await), (Some("native"), None, None));
}

#[tokio::test]
async fn an_asset_that_the_id_does_not_prove_is_no_asset() {
    let forged = [
        asset_instance(contract(1), credit("AlphaNum4", "USDC", circle())),
        asset_instance(address(USDC), credit("AlphaNum4", "USDT", circle())),
        asset_instance(address(USDC), credit("AlphaNum12", "USDC", circle())),
        asset_instance(address(USDC), credit("AlphaNum4", "USDC", [1; 32])),
        asset_instance(address(USDC), vec(vec![symbol("Native")])),
        asset_instance(contract(1), vec(vec![symbol("Native")])),
        asset_instance(address(USDC), credit("AlphaNum4", "US\0DC", circle())),
        asset_instance(address(USDC), vec(vec![])),
    ];
    for entry in forged {
        let row = row(&entry).await;
        assert_eq!(asset(&row), (None, None, None), "{entry:?}");
        assert_eq!(row.contract_instance_type.as_deref(), Some("stellar_asset"));
    }
    // the same on another network, where the asset has another contract
    let usdc = asset_instance(address(USDC), credit("AlphaNum4", "USDC", circle()));
    assert_eq!(asset(&row_on("Test SDF Network ; September 2015", &usdc).await), (None, None, None));
}

#[tokio::test]
async fn balances_are_those_of_other_contracts_and_exact_within_int64() {
    let holder = stellar_strkey::Contract([9; 32]).to_string().as_str().to_owned();
    for (amount, expected) in [
        (0, Some(0)),
        (i128::from(i64::MAX), Some(i64::MAX)),
        (i128::from(i64::MAX) + 1, None),
        (i128::MAX, None),
    ] {
        let row = row(&balance(contract(9), amount)).await;
        assert_eq!((row.balance_holder, row.balance), (Some(holder.clone()), expected), "{amount}");
        assert_eq!(row.contract_key_type, "ScValTypeScvVec");
    }
}

#[tokio::test]
async fn an_entry_that_only_resembles_a_balance_is_none() {
    let good = balance(contract(9), 5);
    let ScVal::Map(Some(ScMap(items))) = &good.val else { panic!("{:?}", good.val) };
    let item = |i: usize| (items[i].key.clone(), items[i].val.clone());
    let account = ScAddress::Account(AccountId(PublicKey::PublicKeyTypeEd25519(Uint256([9; 32]))));
    let flag = (symbol("authorized"), ScVal::U32(1));
    for other in [
        balance(account, 5),
        balance(contract(9), -1),
        ContractDataEntry { val: ScVal::I128(Int128Parts { hi: 0, lo: 5 }), ..good.clone() },
        ContractDataEntry { val: map(vec![item(0), item(1)]), ..good.clone() },
        ContractDataEntry { val: map(vec![item(1), item(0), item(2)]), ..good.clone() },
        ContractDataEntry { val: map(vec![item(0), flag, item(2)]), ..good.clone() },
        ContractDataEntry { key: vec(vec![symbol("Balances"), ScVal::Address(contract(9))]), ..good.clone() },
        ContractDataEntry { key: vec(vec![symbol("Balance")]), ..good.clone() },
    ] {
        let row = row(&other).await;
        assert_eq!((row.balance_holder, row.balance), (None, None), "{other:?}");
    }
}

#[tokio::test]
async fn keys_durability_and_code_are_named_as_stellar_etl_does() {
    let wasm = ScContractInstance { executable: ContractExecutable::Wasm(Hash([0xab; 32])), storage: None };
    let code = row(&data(ScVal::LedgerKeyContractInstance, ScVal::ContractInstance(wasm))).await;
    assert_eq!(code.contract_instance_type.as_deref(), Some("wasm"));
    assert_eq!(code.contract_instance_wasm_hash, Some("ab".repeat(32)));
    assert_eq!(asset(&code), (None, None, None));
    let temporary = ContractDataDurability::Temporary;
    for (key, name) in [
        (ScVal::Bool(true), "ScValTypeScvBool"),
        (ScVal::Void, "ScValTypeScvVoid"),
        (ScVal::I32(-1), "ScValTypeScvI32"),
        (ScVal::U64(1), "ScValTypeScvU64"),
        (ScVal::Timepoint(TimePoint(1)), "ScValTypeScvTimepoint"),
        (ScVal::U256(UInt256Parts::default()), "ScValTypeScvU256"),
        (ScVal::Bytes(ScBytes::default()), "ScValTypeScvBytes"),
        (symbol("a"), "ScValTypeScvSymbol"),
        (map(vec![]), "ScValTypeScvMap"),
        (ScVal::Address(contract(2)), "ScValTypeScvAddress"),
    ] {
        let row = row(&ContractDataEntry { durability: temporary, ..data(key, ScVal::Void) }).await;
        assert_eq!(row.contract_key_type, name);
        assert_eq!(row.contract_durability, "ContractDataDurabilityTemporary");
    }
}

#[tokio::test]
async fn a_removed_instance_still_names_its_asset() {
    let native = asset_instance(address(NATIVE), vec(vec![symbol("Native")]));
    let ledger = Maker::new(AT).ledger(Form::V1, vec![tx(vec![state(9, &native), removed(&native)])]);
    let rows = rows_of(vec![ledger]).await;
    assert_eq!((asset(&rows[0]).0, rows[0].deleted), (Some("native"), true));
}
