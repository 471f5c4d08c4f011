//! Tuples byte by byte, their digest, and values refused before PostgreSQL would change them.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, StringArray};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer};
use proptest::prelude::*;
use stellar_xdr::{Int128Parts, ScMap, ScVal};
use testkit::Row;

use super::*;
use crate::contract::tables::{COLUMNS, Table};

const BATCH: Uuid = Uuid::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10);

/// These rows as they are staged, numbered from 0 through.
fn staged(rows: &[Row]) -> RecordBatch {
    let mut columns = testkit::rows::batch(rows).columns().to_vec();
    columns.push(Arc::new((0..).take(rows.len()).collect::<Int32Array>()));
    RecordBatch::try_new(Table::Data.staged_schema(), columns).unwrap()
}

/// Three rows of ledgers 8, 9 and 10, with another array in one column.
fn with_column(name: &str, array: ArrayRef) -> RecordBatch {
    let batch = staged(&[8, 9, 10].map(|ledger| Row { balance: Some(0), ..Row::at(ledger) }));
    let mut columns = batch.columns().to_vec();
    columns[Table::Data.staged_schema().index_of(name).unwrap()] = array;
    RecordBatch::try_new(Table::Data.staged_schema(), columns).unwrap()
}

fn encoded(batch: &RecordBatch, batch_id: Uuid) -> Result<Tuples> {
    let mut tuples = Tuples { bytes: b"left over".to_vec(), ends: vec![4], digested: vec![3] };
    encode(Table::Data, batch, batch_id, &mut tuples).map(|()| tuples)
}

fn digest(batches: &[RecordBatch], batch_id: Uuid) -> String {
    let mut digest = RowsDigest::new(Table::Data);
    for batch in batches {
        digest.update(&encoded(batch, batch_id).unwrap());
    }
    assert_eq!(digest.rows(), batches.iter().map(|b| b.num_rows() as u64).sum::<u64>());
    digest.finish()
}

/// The fields of the tuples, read back as PostgreSQL reads them.
fn fields(mut bytes: &[u8]) -> Vec<Vec<Option<Vec<u8>>>> {
    let mut tuples = Vec::new();
    while !bytes.is_empty() {
        let (count, rest) = bytes.split_at(2);
        bytes = rest;
        let mut tuple = Vec::new();
        for _ in 0..u16::from_be_bytes(count.try_into().unwrap()) {
            let (length, rest) = bytes.split_at(4);
            bytes = rest;
            tuple.push(match i32::from_be_bytes(length.try_into().unwrap()) {
                -1 => None,
                length => {
                    let (value, rest) = bytes.split_at(usize::try_from(length).unwrap());
                    bytes = rest;
                    Some(value.to_vec())
                }
            });
        }
        tuples.push(tuple);
    }
    tuples
}

/// One field of the only row.
fn field_of(row: Row, column: &str) -> Result<Option<Vec<u8>>> {
    let tuples = encoded(&staged(&[row]), BATCH)?;
    Ok(fields(&tuples.bytes).remove(0).swap_remove(Table::Data.staged_schema().index_of(column).unwrap()))
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|d| u8::from_str_radix(std::str::from_utf8(d).unwrap(), 16).unwrap()).collect()
}

/// The encoding fails with this error.
fn check_refused<T: std::fmt::Debug>(outcome: Result<T>, sentence: &str) {
    assert_eq!(outcome.unwrap_err().to_string(), sentence);
}

#[test]
fn a_tuple_is_byte_for_byte_what_postgresql_documents() {
    let text = |text: &str| Some(text.to_owned());
    let row = Row {
        contract_id: "C".to_owned(),
        contract_key_type: "V".to_owned(),
        contract_durability: "P".to_owned(),
        asset_code: None,
        asset_issuer: text("é"),
        asset_type: text(""),
        balance_holder: None,
        balance: Some(-10_000),
        last_modified_ledger: u32::MAX,
        deleted: true,
        ledger_sequence: 7,
        closed_at: 946_684_800_000_001, // 2000-01-01, and a microsecond
        ledger_key_hash: text("h"),
        key_xdr: None,
        val_xdr: text("\\N"),
        contract_instance_type: None,
        contract_instance_wasm_hash: None,
        expiration_ledger_seq: Some(0),
        ledger_entry_change: Some(4),
    };
    let expected = hex("0017
         00000001 43  00000001 56  00000001 50
         ffffffff  00000002 c3a9  00000000
         ffffffff  0000000a 0001 0001 4000 0000 0001
         00000008 00000000ffffffff  00000001 01
         00000008 0000000000000007  00000008 0000000000000001
         00000001 68  ffffffff  00000002 5c4e
         ffffffff  ffffffff  00000008 0000000000000000
         00000002 0004
         00000004 00000000
         ffffffff  ffffffff
         00000010 0102030405060708090a0b0c0d0e0f10");
    let tuples = encoded(&staged(&[row]), BATCH).unwrap();
    assert_eq!(tuples.bytes, expected);
    assert_eq!(tuples.ends, [expected.len()]);
}

#[test]
fn header_and_trailer_are_those_of_copy_binary() {
    assert_eq!(HEADER.to_vec(), hex("5047434f50590aff0d0a00 00000000 00000000"));
    assert_eq!(TRAILER.to_vec(), hex("ffff"));
}

/// The end of a tuple without a token's balance: two nulls, and a uuid with its length.
const BEHIND: usize = 4 + 4 + 20;

/// SHA-256 over the tuples, with the bytes of each that `digested` picks from what follows the number of its fields.
fn hashed(rows: &[Row], digested: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let tuples = encoded(&staged(rows), BATCH).unwrap();
    let (mut hash, mut start) = (Sha256::new(), 0);
    for end in tuples.ends {
        hash.update(digested(&tuples.bytes[start + 2..end - BEHIND]));
        start = end;
    }
    assert_eq!(start, tuples.bytes.len());
    base16(&hash.finalize())
}

#[test]
fn the_digest_is_sha256_of_the_tuples_with_19_fields_and_the_change_where_it_is_known() {
    let rows = [Row::at(1), Row::at(1).deleted(), Row::at(2).balance(1, -5)];
    let without = hashed(&rows, |fields| {
        let (columns, index) = fields.split_at(fields.len() - 8);
        [&[0, 19], columns.strip_suffix(&[0xff; 4]).unwrap(), index].concat()
    });
    assert_eq!(digest(&[staged(&rows)], BATCH), without);
    let rows = rows.map(|row| if row.deleted { row.change(2) } else { row.change(0) });
    let with = hashed(&rows, |fields| [&[0, 20], fields].concat());
    assert_eq!(digest(&[staged(&rows)], BATCH), with);
    assert_ne!(digest(&[staged(&rows.map(|row| row.change(1)))], BATCH), with);
}

#[test]
fn the_digest_does_not_cover_what_is_derived() {
    let row = Row::at(1).balance_of("GA5ZSEJYB37JRC5AVCIA5MOP4RHTM335X2KGX3IHOJAPP5RE34K4KZVN", 7);
    let token = Row { balance_holder: None, balance: None, ..row.clone() };
    let tuples = encoded(&staged(std::slice::from_ref(&token)), BATCH).unwrap();
    let fields = fields(&tuples.bytes).remove(0);
    assert_eq!(fields[20], row.balance_holder.map(String::into_bytes));
    assert_eq!(fields[21], Some(hex("0001 0000 0000 0000 0007")));
    let hash = Sha256::digest(
        [&[0, 19], &tuples.bytes[2..tuples.digested[0] - 12], &[0, 0, 0, 4, 0, 0, 0, 0][..]].concat(),
    );
    assert_eq!(digest(&[staged(&[token])], BATCH), base16(&hash));
}

#[test]
fn the_digest_is_that_of_the_rows_whatever_batch_brings_them() {
    let rows = [Row::at(1).key(1), Row::at(1).key(2), Row::at(2).key(3), Row::at(2).key(4)];
    let batch = staged(&rows);
    let whole = digest(std::slice::from_ref(&batch), BATCH);
    assert_eq!(whole, digest(std::slice::from_ref(&batch), Uuid::nil()));
    assert_eq!(whole, digest(&[batch.slice(0, 1), batch.slice(1, 0), batch.slice(1, 3)], BATCH));
    assert_ne!(whole, digest(&[batch.slice(0, 3)], BATCH), "a row less");
    assert_ne!(whole, digest(&[batch.slice(2, 2), batch.slice(0, 2)], BATCH), "another order");
    let mut other = rows.clone();
    other[3].expiration_ledger_seq = None;
    assert_ne!(whole, digest(&[staged(&other)], BATCH), "another value");
}

#[test]
fn nul_in_any_text_column_is_refused_with_its_ledger() {
    let texts: Vec<_> = COLUMNS.iter().filter(|column| column.kind == Kind::Text).collect();
    assert_eq!(texts.len(), 12);
    for column in texts {
        for bad in ["\0", "a\0", "\0b", "a\0b"] {
            let batch = with_column(column.name, Arc::new(StringArray::from(vec!["x", bad, "y"])));
            let name = column.name;
            check_refused(
                encoded(&batch, BATCH),
                &format!(
                    "bad data in ledger 9, column {name}: contains a NUL byte, which PostgreSQL cannot store"
                ),
            );
            assert!(encoded(&batch.slice(2, 1), BATCH).is_ok(), "the row behind it is good");
            assert!(encoded(&batch.slice(0, 1), BATCH).is_ok(), "the row before it is good");
        }
    }
}

#[test]
fn nul_under_a_null_is_no_text() {
    let hidden = StringArray::new(
        OffsetBuffer::new(vec![0, 1, 3, 4].into()),
        Buffer::from("x\0\0y".as_bytes()),
        Some(NullBuffer::from(vec![true, false, true])),
    );
    let tuples = encoded(&with_column("key_xdr", Arc::new(hidden)), BATCH).unwrap();
    let keys: Vec<_> =
        fields(&tuples.bytes).into_iter().map(|mut t| t.swap_remove(position::KEY_XDR)).collect();
    assert_eq!(keys, [Some(b"x".to_vec()), None, Some(b"y".to_vec())]);
}

#[test]
fn instants_are_taken_in_postgresql_s_range_and_refused_out_of_it() {
    let at = |closed_at| field_of(Row { closed_at, ..Row::at(6) }, "closed_at");
    let stored = |closed_at| i64::from_be_bytes(at(closed_at).unwrap().unwrap().try_into().unwrap());
    // 4714-11-24 BC, PostgreSQL's first; since 1970 and since 2000
    assert_eq!(stored(-210_866_803_200_000_000), -211_813_488_000_000_000);
    assert_eq!(stored(0), -946_684_800_000_000);
    // int64's last is in the year 294247, 30 years before PostgreSQL's last
    assert_eq!(stored(i64::MAX), 9_222_425_352_054_775_807);
    for outside in [-210_866_803_200_000_001, i64::MIN, i64::MIN + 1] {
        check_refused(
            at(outside),
            &format!(
                "bad data in ledger 6, column closed_at: {outside} us since 1970 is out of PostgreSQL's range"
            ),
        );
    }
}

fn amount(value: i128) -> ScVal {
    ScVal::I128(Int128Parts { hi: (value >> 64) as i64, lo: value as u64 })
}

/// A balance's map with this under a name.
fn map(name: &str, value: ScVal) -> ScVal {
    let key = ScVal::Symbol(name.try_into().unwrap());
    ScVal::Map(Some(ScMap::sorted_from_pairs([(key, value)].into_iter()).unwrap()))
}

/// A balance row of ledger 5 with this int64 and this value.
fn balance_row(balance: Option<i64>, val_xdr: Option<String>) -> Row {
    Row { balance, val_xdr, ..Row::at(5).balance(1, 0) }
}

fn xdr(value: &ScVal) -> Option<String> {
    Some(testkit::xdr::base64(value))
}

#[test]
fn the_int64_of_a_balance_wins_and_the_value_stands_in_for_it() {
    let beyond = i128::from(i64::MAX) + 1; // 922 3372 0368 5477 5808
    for (balance, value, words) in [
        (Some(5), xdr(&map("amount", amount(7))), "0001 0000 0000 0000 0005"),
        (Some(5), None, "0001 0000 0000 0000 0005"),
        (Some(5), Some("rubbish".to_owned()), "0001 0000 0000 0000 0005"),
        (Some(0), xdr(&amount(7)), "0000 0000 0000 0000"),
        (None, xdr(&map("amount", amount(7))), "0001 0000 0000 0000 0007"),
        (None, xdr(&amount(-70_000)), "0001 0001 4000 0000 0007"),
        (None, xdr(&amount(beyond)), "0005 0004 0000 0000 039a 0d2c 0170 1565 16b0"),
        (None, xdr(&map("amount", amount(-beyond))), "0005 0004 4000 0000 039a 0d2c 0170 1565 16b0"),
    ] {
        let found = field_of(balance_row(balance, value.clone()), "balance").unwrap();
        assert_eq!(found, Some(hex(words)), "{balance:?} {value:?}");
    }
}

#[test]
fn a_balance_without_amount_is_refused() {
    let refused = |value, cause: &str| {
        let outcome = field_of(balance_row(None, value), "balance");
        check_refused(outcome, &format!("bad data in ledger 5, column balance: is null, and {cause}"));
    };
    refused(None, "so is val_xdr, which should contain it");
    refused(xdr(&ScVal::U64(7)), "val_xdr, which should contain it, contains no i128 amount");
    refused(xdr(&map("amount", ScVal::U64(7))), "val_xdr, which should contain it, contains no i128 amount");
    refused(xdr(&map("Amount", amount(7))), "val_xdr, which should contain it, contains no i128 amount");
    for rubbish in ["", "rubbish", "AAAACg==", "AAAAAQ==AAAAAQ=="] {
        let error = field_of(balance_row(None, Some(rubbish.to_owned())), "balance").unwrap_err();
        let message = error.to_string();
        let expected = "bad data in ledger 5, column balance: is null, and val_xdr, which should contain it, is not base64 XDR";
        assert!(message.starts_with(expected), "{message}");
        assert!(matches!(error, Error::BadData { ledger: 5, column: "balance", .. }));
    }
}

#[test]
fn a_deleted_balance_may_have_lost_its_amount() {
    let gone = |value| field_of(balance_row(None, value).deleted(), "balance").unwrap();
    assert_eq!(gone(None), None);
    assert_eq!(gone(xdr(&amount(7))), Some(hex("0001 0000 0000 0000 0007")));
}

#[test]
fn what_holds_no_balance_has_none() {
    let row = Row { balance_holder: None, ..balance_row(None, xdr(&map("amount", amount(7)))) };
    assert_eq!(field_of(row, "balance").unwrap(), None);
}

proptest! {
    #[test]
    fn every_tuple_has_all_fields_and_ends_where_it_says(
        texts in prop::collection::vec(prop::option::of("[^\0]{0,9}"), 1..9),
        numbers in prop::collection::vec(any::<(u32, u32, i64)>(), 9),
    ) {
        let rows: Vec<Row> = texts
            .iter()
            .zip(&numbers)
            .map(|(text, (ledger, modified, balance))| Row {
                val_xdr: text.clone(),
                balance: Some(*balance),
                ..Row::at(*ledger).last_modified(*modified)
            })
            .collect();
        let tuples = encoded(&staged(&rows), BATCH).unwrap();
        prop_assert_eq!(tuples.ends.len(), rows.len());
        let mut start = 0;
        for (n, (end, row)) in tuples.ends.iter().zip(&rows).enumerate() {
            let tuple = fields(&tuples.bytes[start..*end]);
            prop_assert_eq!(tuple.len(), 1);
            let tuple = &tuple[0];
            prop_assert_eq!(tuple.len(), 23);
            prop_assert_eq!(&tuple[position::VAL_XDR], &row.val_xdr.clone().map(String::into_bytes));
            let ledger = i64::from(row.ledger_sequence).to_be_bytes().to_vec();
            prop_assert_eq!(&tuple[position::LEDGER_SEQUENCE], &Some(ledger));
            prop_assert_eq!(&tuple[Table::Data.change_index()], &Some((n as i32).to_be_bytes().to_vec()));
            prop_assert_eq!(&tuple[22], &Some(BATCH.as_bytes().to_vec()));
            start = *end;
        }
        prop_assert_eq!(start, tuples.bytes.len());
    }
}
