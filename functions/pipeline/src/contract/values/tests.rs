//! Each domain, with values that it holds, values that it refuses, and spellings that become one.

use arrow::array::Int32Array;
use testkit::{Asset, Row};

use super::*;

/// The columns of these rows, normalized.
fn normalized(rows: &[Row]) -> Result<Vec<ArrayRef>> {
    let mut arrays = testkit::rows::batch(rows).columns().to_vec();
    normalize(Table::Data, &mut arrays).map(|()| arrays)
}

/// Checks these rows as they are.
fn checked(rows: &[Row]) -> Result<()> {
    let mut columns = testkit::rows::batch(rows).columns().to_vec();
    columns.push(Arc::new((0..).take(rows.len()).collect::<Int32Array>()));
    let pubnet = Network::new("pubnet", None).unwrap();
    Checker::new(Table::Data, pubnet)
        .check(&RecordBatch::try_new(Table::Data.staged_schema(), columns).unwrap())
}

/// The row is refused behind two good ones, and the error says so.
fn check_refused(row: Row, column: &str, cause: &str) {
    let error = checked(&[Row::at(8), Row::at(9), row]).unwrap_err().to_string();
    assert_eq!(error, format!("bad data in ledger 10, column {column}: {cause}"));
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn what_a_chain_contains_passes() {
    let (native, short, long) = (Asset::Native, Asset::credit("USDC", 1), Asset::credit("yUSDC", 1));
    let beyond = i128::from(i64::MAX) + 1;
    let mut rows = vec![
        Row::at(1),
        Row::at(1).temporary(),
        Row::at(1).instance(&native),
        Row::at(1).instance(&short),
        Row::at(1).instance(&long),
        Row::at(1).wasm_instance(1),
        Row::at(1).balance(1, 5),
        Row::at(1).balance(1, -5).deleted(),
        Row::at(1).balance(1, beyond),
        Row::at(1).balance_of(&testkit::rows::contract(2), 7),
        Row { val_xdr: None, ..Row::at(1).deleted() },
        Row { key_xdr: None, ..Row::at(1) },
        Row { contract_instance_type: text("external_ref"), ..Row::at(1).instance(&native) },
        // Some sources send a zero where there is no balance.
        Row { balance: Some(0), ..Row::at(1) },
    ];
    rows.extend(rows.clone());
    checked(&rows).unwrap();
    checked(&[]).unwrap();
}

#[test]
fn words_outside_of_a_closed_domain_are_refused() {
    let row = || Row::at(10);
    let keys = |word: &str| Row { contract_key_type: word.to_owned(), ..row() };
    let of_key = |word: &str| format!("{word:?} is not the type of key_xdr, ScValTypeScvVec");
    check_refused(keys("ScValTypeScvMap"), "contract_key_type", &of_key("ScValTypeScvMap"));
    check_refused(keys(""), "contract_key_type", &of_key(""));
    let unkeyed = Row { key_xdr: None, ..keys("Vec") };
    check_refused(unkeyed, "contract_key_type", "\"Vec\" is not the type of a key");
    check_refused(
        Row { contract_durability: "Persistent".to_owned(), ..row() },
        "contract_durability",
        "\"Persistent\" is none of ContractDataDurabilityTemporary, ContractDataDurabilityPersistent",
    );
    check_refused(
        Row { asset_type: text("Native"), ..row() },
        "asset_type",
        "\"Native\" is none of native, credit_alphanum4, credit_alphanum12",
    );
    check_refused(
        Row { contract_instance_type: text("WASM"), ..row() },
        "contract_instance_type",
        "\"WASM\" is none of wasm, stellar_asset, external_ref",
    );
}

#[test]
fn strkeys_are_checked_to_the_last_character() {
    let contract = testkit::rows::contract(1);
    let holder = testkit::rows::holder(1);
    let other_checksum = |strkey: &str| {
        let last = if strkey.ends_with('A') { 'B' } else { 'A' };
        format!("{}{last}", &strkey[..55])
    };
    for wrong in
        [other_checksum(&contract), holder.clone(), contract.to_lowercase(), "C".repeat(56), "C".into()]
    {
        let row = Row { contract_id: wrong.clone(), ..Row::at(10) };
        check_refused(row, "contract_id", &format!("{wrong:?} is not a strkey C…"));
    }
    for wrong in [other_checksum(&holder), contract.clone(), format!("{holder} ")] {
        let row = Row { asset_issuer: Some(wrong.clone()), ..Row::at(10) };
        check_refused(row, "asset_issuer", &format!("{wrong:?} is not a strkey G…"));
    }
    for wrong in [other_checksum(&holder), other_checksum(&contract), "pool".to_owned()] {
        let row = Row { balance_holder: Some(wrong.clone()), ..Row::at(10).balance(1, 5) };
        check_refused(row, "balance_holder", &format!("{wrong:?} is not a strkey C…, G…, M…, B… or L…"));
    }
}

#[test]
fn an_identity_that_is_not_the_hash_of_the_entry_is_refused() {
    let right = Row::at(10).ledger_key_hash.unwrap();
    let other = Row::at(10).key(2).ledger_key_hash.unwrap();
    for wrong in
        [other.clone(), right.to_uppercase(), right[..63].to_owned(), format!("0x{right}"), String::new()]
    {
        let row = Row { ledger_key_hash: Some(wrong.clone()), ..Row::at(10) };
        let cause = format!("{wrong:?} is not the hash of contract, key and durability, {right}");
        check_refused(row, "ledger_key_hash", &cause);
    }
    let unkeyed = |hash: &str| Row { key_xdr: None, ledger_key_hash: text(hash), ..Row::at(10) };
    check_refused(unkeyed("5"), "ledger_key_hash", "\"5\" is not a SHA-256");
    let wasm = Row { contract_instance_wasm_hash: text("abc"), ..Row::at(10).wasm_instance(1) };
    check_refused(wasm, "contract_instance_wasm_hash", "\"abc\" is not a SHA-256");
    let temporary = Row { ledger_key_hash: text(&right), ..Row::at(10).temporary() };
    assert!(checked(&[temporary]).is_err(), "the durability is part of the identity");
}

#[test]
fn a_balance_must_be_the_amount_in_its_value() {
    let balance = |balance: i64| Row { balance: Some(balance), ..Row::at(10).balance(1, 5) };
    check_refused(balance(6), "balance", "is 6, but val_xdr contains 5");
    let beyond = i128::from(i64::MAX) + 1;
    let wrapped = Row { balance: Some(i64::MIN), ..Row::at(10).balance(1, beyond) };
    check_refused(wrapped, "balance", &format!("is {}, but val_xdr contains {beyond}", i64::MIN));
    let elsewhere = Row { val_xdr: Row::at(1).val_xdr, ..balance(5) };
    check_refused(elsewhere, "balance", "is 5, but val_xdr contains no i128 amount");
    checked(&[Row { val_xdr: None, ..balance(5) }]).unwrap();
}

#[test]
fn values_are_the_xdr_of_one_value() {
    for column in ["key_xdr", "val_xdr"] {
        for wrong in ["rubbish", "AAAA", "AAAAAQAAAAE=", "AAAAAR=="] {
            let mut row = Row::at(10);
            *if column == "key_xdr" { &mut row.key_xdr } else { &mut row.val_xdr } = text(wrong);
            let error = checked(&[row]).unwrap_err().to_string();
            let sentence = format!("bad data in ledger 10, column {column}: is not base64 XDR of an SCVal: ");
            assert!(error.starts_with(&sentence), "{wrong}: {error}");
        }
    }
}

#[test]
fn a_long_value_is_cut_in_the_message() {
    let row = Row { asset_type: Some("é".repeat(1_000)), ..Row::at(10) };
    let error = checked(&[row]).unwrap_err().to_string();
    assert!(error.contains(&format!("\"{}\"… is none of", "é".repeat(80))), "{error}");
}

#[test]
fn spellings_become_one() {
    let plain = Row::at(10).wasm_instance(1);
    let hash = plain.ledger_key_hash.clone().unwrap();
    let bytes: Vec<u8> =
        (0..64).step_by(2).map(|at| u8::from_str_radix(&hash[at..at + 2], 16).unwrap()).collect();
    let spelt = |ledger_key_hash: Option<String>| Row { ledger_key_hash, ..plain.clone() };
    let wasm = plain.contract_instance_wasm_hash.clone().unwrap();
    let rows = [
        plain.clone(),
        spelt(Some(hash.to_uppercase())),
        spelt(Some(STANDARD.encode(&bytes))),
        spelt(None),
        spelt(text("")),
        Row { contract_instance_wasm_hash: Some(wasm.to_uppercase()), ..plain.clone() },
        Row {
            asset_code: text(""),
            asset_issuer: text(""),
            asset_type: text(""),
            balance_holder: text(""),
            ..plain.clone()
        },
    ];
    let expected = testkit::rows::batch(&vec![plain.clone(); rows.len()]);
    assert_eq!(normalized(&rows).unwrap(), expected.columns());
    let padded = Row { asset_code: text("USDC\0\0\0\0"), ..plain.clone() };
    let padding = Row { asset_code: text("\0\0\0\0"), ..plain.clone() };
    let expected = [Row { asset_code: text("USDC"), ..plain.clone() }, plain];
    assert_eq!(normalized(&[padded, padding]).unwrap(), testkit::rows::batch(&expected).columns());
}

#[test]
fn required_texts_stay_as_they_are() {
    let rows = [Row { contract_id: String::new(), ..Row::at(1) }];
    assert_eq!(normalized(&rows).unwrap(), testkit::rows::batch(&rows).columns());
}

/// Checks a batch of `ttl` or `assets`, given as columns in the order of the contract.
fn checked_side(table: Table, columns: Vec<ArrayRef>) -> Result<()> {
    let mut columns = columns;
    normalize(table, &mut columns)?;
    columns.push(Arc::new((0..).take(columns[0].len()).collect::<Int32Array>()));
    let pubnet = Network::new("pubnet", None).unwrap();
    Checker::new(table, pubnet).check(&RecordBatch::try_new(table.staged_schema(), columns).unwrap())
}

/// One change of a time to live in ledger 10.
fn ttl(hash: &str, change: &str, until: Option<u32>, durability: Option<&str>) -> Result<()> {
    let closed = arrow::array::TimestampMicrosecondArray::from(vec![0]).with_timezone("UTC");
    checked_side(
        Table::Ttl,
        vec![
            Arc::new(StringArray::from(vec![hash])),
            Arc::new(StringArray::from(vec![change])),
            Arc::new(UInt32Array::from(vec![until])),
            Arc::new(StringArray::from(vec![durability])),
            Arc::new(UInt32Array::from(vec![10])),
            Arc::new(closed),
        ],
    )
}

#[test]
fn a_change_of_a_time_to_live_has_a_hash_a_word_and_an_end() {
    let hash = "0a".repeat(32);
    for change in ["created", "extended", "restored"] {
        ttl(&hash, change, Some(20), None).unwrap();
        let error = ttl(&hash, change, None, None).unwrap_err().to_string();
        let expected = "bad data in ledger 10, column ttl.live_until_ledger: is null, although the entry is ";
        assert_eq!(error, format!("{expected}{change}"));
    }
    ttl(&hash.to_uppercase(), "removed", None, None).unwrap();
    ttl(&STANDARD.encode([10; 32]), "evicted", None, Some(DURABILITIES[0])).unwrap();
    ttl(&hash, "evicted", None, Some("")).unwrap();
    for (hash, change, durability, column) in [
        ("0a", "removed", None, "ttl.ledger_key_hash"),
        (hash.as_str(), "gone", None, "ttl.change"),
        (hash.as_str(), "evicted", Some("Temporary"), "ttl.contract_durability"),
    ] {
        let error = ttl(hash, change, Some(20), durability).unwrap_err().to_string();
        assert!(error.starts_with(&format!("bad data in ledger 10, column {column}: ")), "{error}");
    }
}

/// An asset that ledger 10 names.
fn named(contract: &str, asset_type: &str, code: Option<&str>, issuer: Option<&str>) -> Vec<ArrayRef> {
    let text = |text: Option<&str>| Arc::new(StringArray::from(vec![text])) as ArrayRef;
    vec![
        text(Some(contract)),
        text(Some(asset_type)),
        text(code),
        text(issuer),
        Arc::new(UInt32Array::from(vec![10])),
    ]
}

#[test]
fn an_asset_of_another_contract_is_kept_and_not_believed() {
    let pubnet = Network::new("pubnet", None).unwrap();
    let native = pubnet.native_contract().unwrap();
    let believed = |columns: Vec<ArrayRef>| {
        let mut columns = columns;
        columns.push(Arc::new(Int32Array::from(vec![0])));
        let batch = RecordBatch::try_new(Table::Assets.staged_schema(), columns).unwrap();
        Checker::new(Table::Assets, pubnet.clone()).check(&batch).unwrap();
        Claims::of(Table::Assets, &batch).unwrap().is_true(0, &pubnet).unwrap()
    };
    assert!(believed(named(&native, "native", None, None)));
    assert!(!believed(named(&testkit::rows::contract(1), "native", None, None)));
    assert!(!believed(named(&native, "credit_alphanum4", Some("US\u{e9}"), None)));
    let wrong = checked_side(Table::Assets, named("CAS3", "native", None, None)).unwrap_err().to_string();
    assert_eq!(wrong, "bad data in ledger 10, column assets.contract_id: \"CAS3\" is not a strkey C…");
    let wrong = checked_side(Table::Assets, named(&native, "pool", None, None)).unwrap_err().to_string();
    assert!(wrong.starts_with("bad data in ledger 10, column assets.asset_type: "), "{wrong}");
}
