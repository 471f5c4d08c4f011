//! Turns the source's columns into the staged ones: finds them by name, casts them without loss, and
//! normalizes their values.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array, new_null_array};
use arrow::compute::{CastOptions, cast_with_options, take};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit, TimestampNanosecondType, UInt32Type};
use arrow::error::ArrowError;
use arrow::util::display::array_value_to_string;

use crate::contract::tables::{Column, Kind, Table, arrow_type};
use crate::contract::values;
use crate::error::{Error, Result};

/// The positions of a table's columns in a stream's schema.
#[derive(Debug)]
pub(crate) struct Columns {
    table: Table,
    /// None of a column that the source does without.
    positions: Vec<Option<usize>>,
}

impl Columns {
    /// Finds the columns by name, in any order and among any others.
    ///
    /// # Errors
    /// [`Error::Source`] that names a column which is missing, duplicate, or of a wrong type.
    pub(crate) fn find(table: Table, schema: &Schema) -> Result<Self> {
        let mut positions = Vec::with_capacity(table.columns().len());
        for column in table.columns() {
            let mut found =
                schema.fields().iter().enumerate().filter(|(_, field)| field.name() == column.name);
            let Some((index, field)) = found.next() else {
                if column.optional {
                    positions.push(None);
                    continue;
                }
                return Err(Error::source_permanent(format!("the stream has no column {}", column.label)));
            };
            if found.next().is_some() {
                return Err(Error::source_permanent(format!("the stream has column {} twice", column.label)));
            }
            let all_null = column.nullable && *field.data_type() == DataType::Null;
            if !all_null && !fits(column.kind, field.data_type()) {
                return Err(Error::source_permanent(format!(
                    "column {} is {}, which cannot be cast to {}",
                    column.label,
                    field.data_type(),
                    arrow_type(column.kind)
                )));
            }
            positions.push(Some(index));
        }
        Ok(Columns { table, positions })
    }

    /// Whether the table has a column of this name.
    pub(crate) fn is_one(table: Table, name: &str) -> bool {
        table.columns().iter().any(|column| column.name == name)
    }

    /// The positions of the columns that the stream has, in the order of the contract.
    pub(crate) fn positions(&self) -> Vec<usize> {
        self.positions.iter().flatten().copied().collect()
    }

    /// A batch of the columns that the stream has, and of nulls for the others: all, in the order of the contract.
    pub(crate) fn complete(&self, batch: RecordBatch) -> Result<RecordBatch, ArrowError> {
        if !self.positions.contains(&None) {
            return Ok(batch);
        }
        let rows = batch.num_rows();
        let (fields, arrays) = (batch.schema(), batch.columns());
        let mut there =
            fields.fields().iter().zip(arrays).map(|(field, array)| (Arc::clone(field), Arc::clone(array)));
        let all =
            self.positions.iter().zip(self.table.columns()).filter_map(|(position, column)| match position {
                Some(_) => there.next(),
                None => {
                    let field = Arc::new(Field::new(column.name, DataType::Null, true));
                    Some((field, new_null_array(&DataType::Null, rows)))
                }
            });
        let (fields, arrays): (Vec<_>, Vec<_>) = all.unzip();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
    }
}

/// The staged ledgers of a batch that has the columns of the contract, in its order.
///
/// # Errors
/// As [`read`].
pub(crate) fn ledgers(table: Table, batch: &RecordBatch) -> Result<ArrayRef> {
    let ledger = table.ledger();
    convert(&table.columns()[ledger], batch.column(ledger), None)
}

/// The staged columns of a batch that has the columns of the contract, in its order.
///
/// # Errors
/// [`Error::BadData`] for a value that the staged type cannot hold, or a null in a required column.
pub(crate) fn read(table: Table, batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
    // The ledger column first: the errors of all others name the ledger.
    let ledger_array = ledgers(table, batch)?;
    let ledgers = ledger_array.as_primitive::<UInt32Type>().clone();
    let columns = table.columns();
    let mut arrays = Vec::with_capacity(columns.len() + 1);
    for (position, (array, column)) in batch.columns().iter().zip(columns).enumerate() {
        arrays.push(if position == table.ledger() {
            Arc::clone(&ledger_array)
        } else {
            convert(column, array, Some(&ledgers))?
        });
    }
    values::normalize(table, &mut arrays)?;
    Ok(arrays)
}

/// Whether a column of this type can be cast to the kind, value by value, without loss.
fn fits(kind: Kind, data_type: &DataType) -> bool {
    if let DataType::Dictionary(_, values) = data_type {
        return kind != Kind::Flag && kind != Kind::Instant && fits(kind, values);
    }
    match kind {
        Kind::Text => matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View),
        Kind::Ledger | Kind::Amount | Kind::Change => data_type.is_integer(),
        Kind::Flag => *data_type == DataType::Boolean,
        // An instant does not depend on its time zone; without one it is UTC, like all ledger times.
        Kind::Instant => matches!(data_type, DataType::Timestamp(..)),
    }
}

/// Casts one column, and refuses values that the cast would change.
fn convert(column: &Column, array: &ArrayRef, ledgers: Option<&UInt32Array>) -> Result<ArrayRef> {
    let array = &unpacked(array).map_err(|e| unreadable(column, e))?;
    let bad = |row: usize, cause: String| Error::BadData {
        ledger: ledgers.map_or(0, |l| l.value(row)),
        column: column.label,
        cause,
    };
    let value =
        |row: usize| array_value_to_string(array, row).unwrap_or_else(|e| format!("unprintable: {e}"));
    if let DataType::Timestamp(TimeUnit::Nanosecond, _) = array.data_type() {
        let instants = array.as_primitive::<TimestampNanosecondType>();
        let finer =
            (0..instants.len()).find(|&row| instants.is_valid(row) && instants.value(row) % 1_000 != 0);
        if let Some(row) = finer {
            return Err(bad(row, format!("{} is more precise than a microsecond", value(row))));
        }
    }
    let target = arrow_type(column.kind);
    // The time zone does not change the number of an instant: only the unit is cast, and the zone replaced.
    let array = &relabelled(array, &target);
    let converted = if *array.data_type() == target {
        Arc::clone(array)
    } else {
        // safe: a value that does not fit becomes null, which reveals its row
        let options = CastOptions { safe: true, ..CastOptions::default() };
        let converted = cast_with_options(array, &target, &options).map_err(|e| unreadable(column, e))?;
        if converted.null_count() != array.logical_null_count() {
            let nulls = array.logical_nulls();
            let lost = (0..array.len())
                .find(|&row| converted.is_null(row) && nulls.as_ref().is_none_or(|n| n.is_valid(row)));
            if let Some(row) = lost {
                return Err(bad(row, format!("{} is out of range for {target}", value(row))));
            }
        }
        converted
    };
    if !column.nullable
        && let Some(row) = (0..converted.len()).find(|&row| converted.is_null(row))
    {
        return Err(bad(row, "null in a required column".to_owned()));
    }
    Ok(converted)
}

/// The values of a dictionary column, row by row; other columns unchanged. To cast the whole dictionary first, as Arrow does,
/// would cost its size again for each piece of a message.
fn unpacked(array: &ArrayRef) -> std::result::Result<ArrayRef, ArrowError> {
    let Some(dictionary) = array.as_any_dictionary_opt() else { return Ok(Arc::clone(array)) };
    unpacked(&take(dictionary.values(), dictionary.keys(), None)?)
}

/// The error for a column that Arrow cannot cast.
fn unreadable(column: &Column, error: ArrowError) -> Error {
    Error::Source {
        problem: format!("column {} cannot be read", column.label),
        transient: false,
        status: None,
        source: Some(error.into()),
    }
}

/// A timestamp in the target's zone; other types unchanged.
fn relabelled(array: &ArrayRef, target: &DataType) -> ArrayRef {
    let (DataType::Timestamp(unit, _), DataType::Timestamp(_, zone)) = (array.data_type(), target) else {
        return Arc::clone(array);
    };
    let data_type = DataType::Timestamp(*unit, zone.clone());
    match array.to_data().into_builder().data_type(data_type).build() {
        Ok(data) => arrow::array::make_array(data),
        Err(_) => Arc::clone(array), // the cast will report the error
    }
}

#[cfg(test)]
mod tests;
