//! Every type in which a source may send a column, and those it may not.

use arrow::array::{
    BooleanArray, DictionaryArray, Float64Array, Int32Array, Int64Array, NullArray, StringArray,
    TimestampMicrosecondArray, TimestampNanosecondArray, new_null_array,
};
use arrow::compute::cast;
use arrow::datatypes::{Field, Int32Type, TimestampMicrosecondType};
use proptest::prelude::*;
use testkit::{Asset, Row};

use super::*;
use crate::contract::tables::{COLUMNS, position};

mod refused;

const INTEGERS: [DataType; 8] = [
    DataType::Int8,
    DataType::Int16,
    DataType::Int32,
    DataType::Int64,
    DataType::UInt8,
    DataType::UInt16,
    DataType::UInt32,
    DataType::UInt64,
];

fn dictionary(keys: DataType, values: DataType) -> DataType {
    DataType::Dictionary(Box::new(keys), Box::new(values))
}

/// Rows of ledgers 10 to 12 with every column filled somewhere, null somewhere, and numbers that fit 8 bits.
fn rows() -> Vec<Row> {
    let asset = Asset::credit("USDC", 1);
    vec![
        Row::at(10).instance(&asset).expires(100),
        Row::at(11).balance(1, 7).expires(101),
        Row { expiration_ledger_seq: None, val_xdr: None, ..Row::at(12).wasm_instance(1).deleted() },
        Row { balance: Some(0), key_xdr: None, ..Row::at(12) },
    ]
    .into_iter()
    .map(|row| Row { expiration_ledger_seq: row.expiration_ledger_seq.map(|l| l.min(120)), ..row })
    .collect()
}

fn batch() -> RecordBatch {
    testkit::rows::batch(&rows())
}

fn read(batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
    let columns = Columns::find(Table::Data, &batch.schema())?;
    let batch = columns.complete(batch.project(&columns.positions()).unwrap()).unwrap();
    super::read(Table::Data, &batch)
}

/// The batch with another array in place of a column, under the same name.
fn with(batch: &RecordBatch, name: &str, array: ArrayRef) -> RecordBatch {
    let index = batch.schema().index_of(name).unwrap();
    let mut fields: Vec<Field> = batch.schema().fields().iter().map(|f| f.as_ref().clone()).collect();
    fields[index] = Field::new(name, array.data_type().clone(), true);
    let mut columns = batch.columns().to_vec();
    columns[index] = array;
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

/// The batch with a column in another type.
fn retyped(batch: &RecordBatch, name: &str, to: &DataType) -> RecordBatch {
    let array = cast(batch.column_by_name(name).unwrap(), to).unwrap();
    with(batch, name, array)
}

/// The batch with these columns, in this order.
fn picked(batch: &RecordBatch, indices: &[usize]) -> RecordBatch {
    batch.project(indices).unwrap()
}

/// The columns read equal those of the plain batch.
fn check_same(batch: &RecordBatch, plain: &RecordBatch, what: &str) {
    let found = read(batch).unwrap_or_else(|error| panic!("{what}: {error:?}"));
    assert_eq!(found.len(), COLUMNS.len(), "{what}");
    for ((found, expected), column) in found.iter().zip(plain.columns()).zip(COLUMNS) {
        assert_eq!(*found.data_type(), arrow_type(column.kind), "{what}: {}", column.name);
        assert_eq!(found, expected, "{what}: {}", column.name);
    }
}

fn names(kind: Kind) -> Vec<&'static str> {
    COLUMNS.iter().filter(|column| column.kind == kind).map(|column| column.name).collect()
}

#[test]
fn the_canonical_columns_are_read_as_they_are() {
    check_same(&batch(), &batch(), "canonical");
    check_same(&batch().slice(1, 2), &batch().slice(1, 2), "a slice");
    check_same(&batch().slice(0, 0), &batch().slice(0, 0), "no rows");
}

#[test]
fn text_is_read_from_every_encoding_of_it() {
    let mut types = vec![DataType::LargeUtf8, DataType::Utf8View];
    types.extend(INTEGERS.map(|keys| dictionary(keys, DataType::Utf8)));
    types.extend(INTEGERS.map(|keys| dictionary(keys, DataType::LargeUtf8)));
    types.push(dictionary(DataType::Int32, DataType::Utf8View));
    let names = names(Kind::Text);
    assert_eq!(names.len(), 12);
    for to in types {
        for name in &names {
            check_same(&retyped(&batch(), name, &to), &batch(), &format!("{name} as {to}"));
            let slice = retyped(&batch(), name, &to).slice(1, 3);
            check_same(&slice, &batch().slice(1, 3), &format!("a slice with {name} as {to}"));
        }
    }
}

#[test]
fn ledgers_and_balances_are_read_from_every_integer() {
    let mut types = INTEGERS.to_vec();
    types.push(dictionary(DataType::Int8, DataType::UInt32));
    types.push(dictionary(DataType::UInt16, DataType::Int64));
    for to in types {
        for name in [names(Kind::Ledger), names(Kind::Amount)].concat() {
            check_same(&retyped(&batch(), name, &to), &batch(), &format!("{name} as {to}"));
        }
    }
}

/// Instants of this zone are read alike in every unit.
fn check_zone(zone: Option<&str>) {
    let seconds = [1_700_000_000, 0, -1, -9_000_000_000];
    let at = |(row, second): (Row, i64)| Row { closed_at: second * 1_000_000, ..row };
    let rows: Vec<Row> = rows().into_iter().zip(seconds).map(at).collect();
    let plain = testkit::rows::batch(&rows);
    for (unit, per_second) in [
        (TimeUnit::Second, 1),
        (TimeUnit::Millisecond, 1_000),
        (TimeUnit::Microsecond, 1_000_000),
        (TimeUnit::Nanosecond, 1_000_000_000),
    ] {
        let to = DataType::Timestamp(unit, zone.map(Into::into));
        let ticks = Int64Array::from_iter_values(seconds.map(|second| second * per_second));
        let array = ticks.to_data().into_builder().data_type(to.clone()).build().unwrap();
        let shaped = with(&plain, "closed_at", arrow::array::make_array(array));
        check_same(&shaped, &plain, &format!("closed_at as {to}"));
    }
}

#[test]
fn instants_are_read_from_every_unit_and_zone() {
    for zone in ["UTC", "Z", "+00:00", "+05:45", "-11:00", "Europe/Paris", "no zone at all"] {
        check_zone(Some(zone));
    }
}

#[test]
fn instants_without_a_zone_are_utc() {
    check_zone(None);
}

#[test]
fn microseconds_are_kept() {
    let micros = TimestampMicrosecondArray::from(vec![1, -1, 999, -999]).with_timezone("+01:00");
    let found = read(&with(&batch(), "closed_at", Arc::new(micros))).unwrap();
    let found = found[position::CLOSED_AT].as_primitive::<TimestampMicrosecondType>();
    assert_eq!(found.values().to_vec(), [1, -1, 999, -999]);
}

#[test]
fn nanoseconds_that_are_whole_microseconds_are_read() {
    let nanos = TimestampNanosecondArray::from(vec![1_000, -1_000, 0, 1_700_000_000_123_456_000]);
    let found = read(&with(&batch(), "closed_at", Arc::new(nanos.with_timezone("UTC")))).unwrap();
    let found = found[position::CLOSED_AT].as_primitive::<TimestampMicrosecondType>();
    assert_eq!(found.values().to_vec(), [1, -1, 0, 1_700_000_000_123_456]);
}

#[test]
fn nullable_columns_may_be_of_type_null() {
    for (index, column) in COLUMNS.iter().enumerate().filter(|(_, column)| column.nullable) {
        let shaped = with(&batch(), column.name, Arc::new(NullArray::new(4)));
        if column.name == "ledger_key_hash" {
            continue; // derived: see below
        }
        let found = read(&shaped).unwrap();
        let nulls = new_null_array(&arrow_type(column.kind), 4);
        assert_eq!(&found[index], &nulls, "{}", column.name);
    }
}

#[test]
fn nulls_of_a_dictionary_are_nulls_wherever_they_hide() {
    let keys = Int32Array::from(vec![Some(0), Some(1), None, Some(0)]);
    let hidden: DictionaryArray<Int32Type> =
        DictionaryArray::new(keys, Arc::new(StringArray::from(vec![Some("x"), None])));
    let found = read(&with(&batch(), "val_xdr", Arc::new(hidden))).unwrap();
    let expected: ArrayRef = Arc::new(StringArray::from(vec![Some("x"), None, None, Some("x")]));
    assert_eq!(&found[position::VAL_XDR], &expected);
}

#[test]
fn only_trailing_nuls_of_the_asset_code_are_padding() {
    let codes = [Some("USDC\0\0\0\0\0\0\0\0"), Some("\0A\0B\0\0"), None, Some("\0\0")];
    let padded: ArrayRef = Arc::new(StringArray::from(codes.to_vec()));
    let expected: ArrayRef = Arc::new(StringArray::from(vec![Some("USDC"), Some("\0A\0B"), None, None]));
    for to in [DataType::Utf8, DataType::Utf8View, dictionary(DataType::Int8, DataType::LargeUtf8)] {
        let array = cast(&padded, &to).unwrap();
        let found = read(&with(&batch(), "asset_code", array)).unwrap();
        assert_eq!(&found[position::ASSET_CODE], &expected, "{to}");
    }
    let sliced = read(&with(&batch(), "asset_code", padded.clone()).slice(1, 2)).unwrap();
    assert_eq!(&sliced[position::ASSET_CODE], &expected.slice(1, 2));
    let others = read(&with(&batch(), "asset_issuer", padded.clone())).unwrap();
    assert_eq!(&others[position::ASSET_CODE + 1], &padded, "other columns keep what they have");
}

#[test]
fn a_missing_key_hash_is_derived_from_contract_key_and_durability() {
    let rows = [
        Row::at(1),
        Row::at(2).key(7).temporary(),
        Row::at(3).contract(9).wasm_instance(1),
        Row::at(4).balance(1, 7),
    ];
    let plain = testkit::rows::batch(&rows);
    assert_eq!(plain.column(position::LEDGER_KEY_HASH).null_count(), 0);
    for missing in [new_null_array(&DataType::Utf8, 4), Arc::new(NullArray::new(4))] {
        check_same(&with(&plain, "ledger_key_hash", missing), &plain, "without hashes");
    }
    let dictionary: DictionaryArray<Int32Type> = [None, None, None, None::<&str>].into_iter().collect();
    check_same(
        &with(&plain, "ledger_key_hash", Arc::new(dictionary)),
        &plain,
        "without hashes, in a dictionary",
    );
    let some: StringArray = [None, Some("as sent"), None, Some("")].into_iter().collect();
    let found = read(&with(&plain, "ledger_key_hash", Arc::new(some))).unwrap();
    let found = found[position::LEDGER_KEY_HASH].as_string::<i32>();
    let own = |n: usize| rows[n].ledger_key_hash.as_deref().unwrap();
    assert_eq!(found.iter().flatten().collect::<Vec<_>>(), [own(0), "as sent", own(2), own(3)]);
}

proptest! {
    #[test]
    fn columns_are_found_by_name_in_any_order_and_among_others(
        order in Just((0..21).collect::<Vec<usize>>()).prop_shuffle(),
    ) {
        let plain = batch();
        let mut fields: Vec<Field> = plain.schema().fields().iter().map(|f| f.as_ref().clone()).collect();
        let mut columns = plain.columns().to_vec();
        let extra: [(&str, ArrayRef); 3] = [
            ("contract_id_2", Arc::new(Float64Array::from(vec![f64::NAN; 4]))),
            ("change_index", Arc::new(Int32Array::from(vec![-1; 4]))),
            ("", Arc::new(BooleanArray::from(vec![true; 4]))),
        ];
        for (name, array) in extra {
            fields.push(Field::new(name, array.data_type().clone(), true));
            columns.push(array);
        }
        let wide = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
        check_same(&picked(&wide, &order), &plain, "shuffled");
    }
}
