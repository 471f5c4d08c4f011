use stellar_xdr::{Limits, ReadXdr, ScVal};
use testkit::rows::{TEMPORARY, batch, contract, holder, issuer};
use testkit::{Asset, Row, asset, xdr};

#[test]
fn strkeys_are_distinct_and_stay() {
    assert_eq!(contract(1).len(), 56);
    assert!(contract(1).starts_with('C') && holder(1).starts_with('G'));
    assert_ne!(contract(1), contract(2));
    assert_ne!(holder(1), issuer(1));
    assert_eq!(contract(7), contract(7));
}

/// Two rows of pubnet's ledger 51340657, with the hashes that the network's own tools gave them.
#[test]
fn keys_and_their_hashes_are_those_of_the_network() {
    let balance = Row::at(51_340_657)
        .of_contract("CABMNIR76QA3DPXZ7GSZODVYDKFMKZUOKC2SYB2MULB7ROWUIBCP2ZOG")
        .balance_of("CCUAPKILAJ4BVS33LB44IG2RIC5WBDANZ5SGN6D36UI4I2XBBTPQAYMM", 29_657_000_000);
    let key = "AAAAEAAAAAEAAAACAAAADwAAAAdCYWxhbmNlAAAAABIAAAABqAepCwJ4Gst7WHnEG1FAu2CMDc9kZvh79RHEauEM3wA=";
    assert_eq!(balance.key_xdr.as_deref(), Some(key));
    let hash = "eca77af490be050603d56c180fa25b3a0c8a44766210831f81b2280fb9112da5";
    assert_eq!(balance.ledger_key_hash.as_deref(), Some(hash));

    let mut temporary = Row::at(51_340_657)
        .of_contract("CCUAPKILAJ4BVS33LB44IG2RIC5WBDANZ5SGN6D36UI4I2XBBTPQAYMM")
        .temporary();
    let key =
        "AAAAEAAAAAEAAAADAAAADwAAAANBc2sAAAAAEgAAAAFykbOCjZiGHQO6M0J+wd5A7xVC21CtYnvu99LqZ1SPEwAAAAMAAAEf";
    temporary.key_xdr = Some(key.to_owned());
    let hash = "dca06a53d2cb47d6ff27f804debaaf6a3633fba827a68e0656f6fa9ffa16a313";
    assert_eq!(temporary.hashed().ledger_key_hash.as_deref(), Some(hash));
}

/// The well-known contracts of lumens and of Circle's USDC on pubnet.
#[test]
fn contract_ids_of_assets_are_those_of_the_network() {
    let native = Asset::Native.contract_id(asset::PUBNET);
    assert_eq!(native, "CAS3J7GYLGXMF6TDJBBYYSE3HQ6BBSMLNUQ34T6TZMYMW2EVH34XOWMA");
    let usdc = Asset::Credit {
        code: "USDC".to_owned(),
        issuer: "GA5ZSEJYB37JRC5AVCIA5MOP4RHTM335X2KGX3IHOJAPP5RE34K4KZVN".to_owned(),
    };
    assert_eq!(usdc.contract_id(asset::PUBNET), "CCW67TSZV3SSS2HXMBQ5JFGCKJNXKZM7UQUWUZPUTHXSTZLEO7SJMI75");
}

#[test]
fn a_balance_beyond_int64_is_in_the_value_only() {
    let amount = i128::from(i64::MAX) + 1;
    let row = Row::at(5).contract(2).balance(3, amount);
    assert_eq!((row.balance, row.balance_holder), (None, Some(holder(3))));
    let value = ScVal::from_xdr_base64(row.val_xdr.unwrap(), Limits::none()).unwrap();
    let ScVal::Map(Some(map)) = value else { panic!("{value:?}") };
    let ScVal::I128(parts) = &map.0[0].val else { panic!("{map:?}") };
    assert_eq!((parts.hi, parts.lo), (0, 1 << 63));

    let negative = Row::at(5).balance(3, -1);
    assert_eq!(negative.balance, Some(-1));
}

#[test]
fn builders_keep_the_hash_true_and_keys_apart() {
    let row = Row::at(5).temporary().key(2).contract(4);
    let expected = xdr::ledger_key_hash(&contract(4), row.key_xdr.as_deref().unwrap(), TEMPORARY);
    assert_eq!(row.ledger_key_hash, expected);
    assert_ne!(Row::at(5).key(1).ledger_key_hash, Row::at(5).key(2).ledger_key_hash);
    assert_ne!(Row::at(5).ledger_key_hash, Row::at(5).contract(2).ledger_key_hash);
    assert_ne!(Row::at(5).balance(1, 1).ledger_key_hash, Row::at(5).balance(2, 1).ledger_key_hash);
    assert_eq!(Row::at(5).deleted().last_modified_ledger, 4);
}

#[test]
fn rows_of_every_kind_make_a_batch() {
    let rows = [
        Row::at(5),
        Row::at(5).instance(&Asset::Native),
        Row::at(6).instance(&Asset::credit("LONGNAME", 1)),
        Row::at(6).wasm_instance(1),
        Row::at(u32::MAX).balance(1, 1).deleted(),
        Row::at(7).value_of_size(65_536),
    ];
    assert_eq!(rows[2].asset_type.as_deref(), Some("credit_alphanum12"));
    assert!(rows[5].val_xdr.as_ref().unwrap().len() >= 65_536);
    let batch = batch(&rows);
    assert_eq!((batch.num_rows(), batch.num_columns()), (6, 19));
    assert_eq!(testkit::rows::batch(&[]).num_rows(), 0);
}
