//! What rows cost in memory once their columns are cast: text that a dictionary or a view shares is counted for each row.

use arrow::array::{Array, ArrayRef, AsArray, downcast_dictionary_array};
use arrow::datatypes::{ArrowNativeType, DataType};

/// The bytes of a row beside its text.
const ROW_BYTES: usize = 128;

/// The bytes of text of a row.
type Text<'a> = Box<dyn Fn(usize) -> usize + 'a>;

/// The number of rows from `start` on that together cost no more than `most` bytes; 0 if the first one alone costs more.
pub(crate) fn rows_within(columns: &[ArrayRef], start: usize, most: usize) -> usize {
    let rows = columns.first().map_or(0, |column| column.len());
    let texts = texts(columns);
    let mut left = most;
    for row in start..rows {
        match left.checked_sub(row_bytes(&texts, row)) {
            Some(rest) => left = rest,
            None => return row - start,
        }
    }
    rows.saturating_sub(start)
}

/// The bytes of each row.
pub(crate) fn weights(columns: &[ArrayRef]) -> Vec<usize> {
    let texts = texts(columns);
    (0..columns.first().map_or(0, |column| column.len())).map(|row| row_bytes(&texts, row)).collect()
}

/// The bytes of one row, and the column with the most of them.
pub(crate) fn heaviest(columns: &[ArrayRef], row: usize) -> (usize, usize) {
    let bytes = |column: &ArrayRef| text(column).map_or(0, |text| text(row));
    let heaviest = (0..columns.len()).max_by_key(|column| bytes(&columns[*column])).unwrap_or(0);
    (row_bytes(&texts(columns), row), heaviest)
}

fn row_bytes(texts: &[Text<'_>], row: usize) -> usize {
    texts.iter().fold(ROW_BYTES, |bytes, text| bytes.saturating_add(text(row)))
}

fn texts(columns: &[ArrayRef]) -> Vec<Text<'_>> {
    columns.iter().filter_map(text).collect()
}

/// The bytes of text in each row of a column; `None` if it holds no text.
fn text(array: &ArrayRef) -> Option<Text<'_>> {
    Some(match array.data_type() {
        DataType::Utf8 => {
            let offsets = array.as_string::<i32>().value_offsets();
            Box::new(|row| offsets[row + 1].abs_diff(offsets[row]) as usize)
        }
        DataType::LargeUtf8 => {
            let offsets = array.as_string::<i64>().value_offsets();
            Box::new(|row| offsets[row + 1].abs_diff(offsets[row]) as usize)
        }
        DataType::Utf8View => {
            let views = array.as_string_view().views();
            Box::new(|row| views[row] as u32 as usize) // the length comes first
        }
        DataType::Dictionary(..) => {
            let text = text(array.as_any_dictionary().values())?;
            downcast_dictionary_array!(
                array => {
                    let keys = array.keys();
                    Box::new(move |row| if keys.is_valid(row) { text(keys.value(row).as_usize()) } else { 0 })
                }
                _ => return None
            )
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{StringArray, UInt32Array};
    use arrow::compute::cast;

    use super::*;

    fn dictionary(keys: DataType, values: DataType) -> DataType {
        DataType::Dictionary(Box::new(keys), Box::new(values))
    }

    #[test]
    fn text_weighs_the_same_in_every_type() {
        let text: ArrayRef =
            Arc::new(StringArray::from(vec![Some("a"), None, Some("a text of 24 characters."), Some("a")]));
        for to in [
            DataType::Utf8,
            DataType::LargeUtf8,
            DataType::Utf8View,
            dictionary(DataType::UInt8, DataType::Utf8),
            dictionary(DataType::Int64, DataType::LargeUtf8),
        ] {
            let columns = [Arc::new(UInt32Array::from(vec![1; 4])) as ArrayRef, cast(&text, &to).unwrap()];
            assert_eq!(weights(&columns), [1, 0, 24, 1].map(|bytes| ROW_BYTES + bytes), "{to}");
            assert_eq!(heaviest(&columns, 2), (ROW_BYTES + 24, 1), "{to}");
            let sliced = columns.map(|column| column.slice(1, 3));
            assert_eq!(weights(&sliced), [0, 24, 1].map(|bytes| ROW_BYTES + bytes), "{to}");
            assert_eq!(rows_within(&sliced, 0, 2 * ROW_BYTES + 24), 2, "{to}");
            assert_eq!(rows_within(&sliced, 1, ROW_BYTES + 23), 0, "{to}");
            assert_eq!(rows_within(&sliced, 1, usize::MAX), 2, "{to}");
        }
    }
}
