//! Invalid columns and values, and their error messages.

use arrow::array::DictionaryArray;
use arrow::array::{
    Int32Array, Int64Array, NullArray, TimestampNanosecondArray, TimestampSecondArray, UInt64Array,
    new_null_array,
};
use arrow::datatypes::{Field, Int32Type, Int64Type, TimestampMicrosecondType};
use proptest::prelude::*;
use testkit::Row;

use super::*;

/// The batch is refused with this error.
fn check_refused(batch: &RecordBatch, sentence: &str) {
    let error = read(batch).expect_err(sentence);
    assert!(!error.is_transient(), "no second attempt mends {error}");
    assert_eq!(error.chain(), sentence);
}

#[test]
fn what_is_missing_is_named() {
    for (index, column) in COLUMNS.iter().enumerate().filter(|(_, column)| !column.optional) {
        let others: Vec<usize> = (0..COLUMNS.len()).filter(|i| *i != index).collect();
        let name = column.name;
        check_refused(&picked(&batch(), &others), &format!("source: the stream has no column {name}"));
    }
    let upper = Field::new("CONTRACT_ID", DataType::Utf8, false);
    let mut fields: Vec<Field> = batch().schema().fields().iter().map(|f| f.as_ref().clone()).collect();
    fields[0] = upper;
    let renamed = RecordBatch::try_new(Arc::new(Schema::new(fields)), batch().columns().to_vec()).unwrap();
    check_refused(&renamed, "source: the stream has no column contract_id");
}

#[test]
fn what_is_there_twice_is_named() {
    for (index, column) in COLUMNS.iter().enumerate() {
        let mut twice: Vec<usize> = (0..COLUMNS.len()).collect();
        twice.push(index);
        let name = column.name;
        check_refused(&picked(&batch(), &twice), &format!("source: the stream has column {name} twice"));
    }
}

#[test]
fn what_does_not_fit_is_named_with_its_type() {
    let instant = DataType::Timestamp(TimeUnit::Microsecond, None);
    let table = [
        (
            Kind::Text,
            "Utf8",
            vec![
                DataType::Int32,
                DataType::Binary,
                DataType::Boolean,
                dictionary(DataType::Int32, DataType::Int64),
            ],
        ),
        (
            Kind::Ledger,
            "UInt32",
            vec![
                DataType::Float32,
                DataType::Float64,
                DataType::Utf8,
                DataType::Decimal128(38, 0),
                instant.clone(),
            ],
        ),
        (
            Kind::Amount,
            "Int64",
            vec![DataType::Float64, DataType::Decimal128(38, 0), DataType::Utf8, DataType::Date64],
        ),
        (
            Kind::Flag,
            "Boolean",
            vec![
                DataType::Int8,
                DataType::Utf8,
                DataType::Null,
                dictionary(DataType::Int8, DataType::Boolean),
            ],
        ),
        (
            Kind::Instant,
            "Timestamp(µs, \"UTC\")",
            vec![
                DataType::Int64,
                DataType::Utf8,
                DataType::Date32,
                DataType::Date64,
                dictionary(DataType::Int8, instant),
            ],
        ),
    ];
    for (kind, wanted, types) in table {
        for name in names(kind) {
            for wrong in &types {
                let shaped = with(&batch(), name, new_null_array(wrong, 4));
                check_refused(
                    &shaped,
                    &format!("source: column {name} is {wrong}, which cannot be cast to {wanted}"),
                );
            }
        }
    }
    for column in COLUMNS.iter().filter(|column| !column.nullable) {
        let name = column.name;
        let shaped = with(&batch(), name, Arc::new(NullArray::new(4)));
        let wanted = arrow_type(column.kind);
        check_refused(&shaped, &format!("source: column {name} is Null, which cannot be cast to {wanted}"));
    }
}

#[test]
fn a_null_where_a_value_must_be_is_refused_with_its_ledger() {
    let required: Vec<_> = COLUMNS.iter().filter(|column| !column.nullable).collect();
    assert_eq!(required.len(), 7);
    for column in required {
        let name = column.name;
        let array = batch().column_by_name(name).unwrap().slice(0, 3);
        let holed = arrow::compute::concat(&[&array, &new_null_array(array.data_type(), 1)]).unwrap();
        let ledger = if name == "ledger_sequence" { 0 } else { 12 };
        check_refused(
            &with(&batch(), name, holed),
            &format!("bad data in ledger {ledger}, column {name}: null in a required column"),
        );
    }
}

#[test]
fn values_that_would_change_are_refused_with_their_ledger() {
    let longs = |bad: i64| -> ArrayRef { Arc::new(Int64Array::from(vec![10, bad, 12, 12])) };
    let too_big = u64::try_from(i64::MAX).unwrap() + 1;
    let refused = |name, array, ledger, cause: &str| {
        let sentence = format!("bad data in ledger {ledger}, column {name}: {cause}");
        check_refused(&with(&batch(), name, array), &sentence);
    };
    refused("ledger_sequence", longs(-1), 0, "-1 is out of range for UInt32");
    refused("ledger_sequence", longs(1 << 32), 0, "4294967296 is out of range for UInt32");
    refused("last_modified_ledger", longs(-1), 11, "-1 is out of range for UInt32");
    refused("last_modified_ledger", longs(1 << 32), 11, "4294967296 is out of range for UInt32");
    refused("expiration_ledger_seq", longs(i64::MAX), 11, "9223372036854775807 is out of range for UInt32");
    let balances: ArrayRef =
        Arc::new(UInt64Array::from(vec![Some(too_big - 1), None, Some(too_big), Some(0)]));
    refused("balance", balances, 12, "9223372036854775808 is out of range for Int64");
    let seconds: ArrayRef =
        Arc::new(TimestampSecondArray::from(vec![0, 0, 0, 9_223_372_036_855]).with_timezone("UTC"));
    let error = read(&with(&batch(), "closed_at", seconds)).unwrap_err().to_string();
    assert!(error.starts_with("bad data in ledger 12, column closed_at: "), "{error}");
    let nanos: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![0, 1_001, 0, 0]));
    refused("closed_at", nanos, 11, "1970-01-01T00:00:00.000001001 is more precise than a microsecond");
}

#[test]
fn a_key_hash_that_cannot_be_derived_is_refused() {
    let refused = |row: Row, cause: &str| {
        let rows = [Row::at(1), Row { ledger_key_hash: None, ..row }];
        let sentence =
            format!("bad data in ledger 2, column ledger_key_hash: is null and cannot be derived: {cause}");
        let error = read(&testkit::rows::batch(&rows)).unwrap_err().to_string();
        assert!(error.starts_with(&sentence), "{error}");
    };
    refused(Row { key_xdr: None, ..Row::at(2) }, "key_xdr is null");
    refused(
        Row { key_xdr: Some("rubbish".to_owned()), ..Row::at(2) },
        "key_xdr is not base64 XDR of an SCVal",
    );
    refused(Row { contract_id: "C".to_owned(), ..Row::at(2) }, "contract_id \"C\" is not a strkey C…");
    refused(Row { contract_id: testkit::rows::holder(1), ..Row::at(2) }, "contract_id");
    refused(
        Row { contract_durability: "Eternal".to_owned(), ..Row::at(2) },
        "contract_durability \"Eternal\"",
    );
}

#[test]
fn a_null_inside_a_dictionary_is_a_null() {
    let keys = Int32Array::from(vec![0, 1, 0, 0]);
    let hidden: DictionaryArray<Int32Type> =
        DictionaryArray::new(keys, Arc::new(StringArray::from(vec![Some("x"), None])));
    check_refused(
        &with(&batch(), "contract_id", Arc::new(hidden)),
        "bad data in ledger 11, column contract_id: null in a required column",
    );
}

proptest! {
    #[test]
    fn an_integer_is_a_ledger_or_refused_never_another(value in prop_oneof![any::<i64>(), -9..9i64, (1i64 << 32) - 9..(1 << 32) + 9]) {
        let array = Arc::new(Int64Array::from(vec![0, value, 0, 0]));
        match read(&with(&batch(), "last_modified_ledger", array)) {
            Ok(found) => prop_assert_eq!(i64::from(found[8].as_primitive::<UInt32Type>().value(1)), value),
            Err(error) => {
                prop_assert!(u32::try_from(value).is_err(), "{}", error);
                prop_assert!(error.to_string().contains(&value.to_string()));
            }
        }
    }

    #[test]
    fn an_unsigned_balance_is_itself_or_refused(value in prop_oneof![any::<u64>(), (1u64 << 63) - 9..(1 << 63) + 9]) {
        let array = Arc::new(UInt64Array::from(vec![0, value, 0, 0]));
        match read(&with(&batch(), "balance", array)) {
            Ok(found) => prop_assert_eq!(u64::try_from(found[7].as_primitive::<Int64Type>().value(1)), Ok(value)),
            Err(error) => prop_assert!(i64::try_from(value).is_err(), "{}", error),
        }
    }

    #[test]
    fn an_instant_in_seconds_is_itself_or_refused(value in prop_oneof![any::<i64>(), -99..99i64, 9_223_372_036_850..9_223_372_036_860i64]) {
        let array = Arc::new(TimestampSecondArray::from(vec![0, value, 0, 0]).with_timezone("+01:00"));
        match read(&with(&batch(), "closed_at", array)) {
            Ok(found) => {
                let found = found[position::CLOSED_AT].as_primitive::<TimestampMicrosecondType>().value(1);
                prop_assert_eq!(Some(found), value.checked_mul(1_000_000));
            }
            Err(error) => {
                prop_assert_eq!(value.checked_mul(1_000_000), None);
                prop_assert!(error.to_string().starts_with("bad data in ledger 11, column closed_at: "));
            }
        }
    }
}
