//! Requests to a source and its declarations, as Flight carries them: the path of a descriptor, and `app_metadata`.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Number, Value};

use crate::contract::tables::Table;
use crate::contract::window::LedgerWindow;
use crate::contract::xdr::is_base16_hash;
use crate::error::{Error, Result};

/// The port of a source, unless another is given.
pub const PORT: u16 = 8816;

/// The beginning of every path; the name of a table follows, and for a window its start and its end.
pub const ROOT: &str = "contract";

const START: &str = "start_ledger";
const END: &str = "end_ledger";
const CLOSED: &str = "latest_closed_at";
const HASH: &str = "latest_hash";
const TABLES: &str = "tables";

/// Up to 2^53, each whole number is a float of its own.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The path of a request for a table in a window, or in everything the source has.
pub fn path(table: Table, window: Option<LedgerWindow>) -> Vec<String> {
    let ledgers = window.map(|window| [window.start().to_string(), window.end().to_string()]);
    [ROOT, table.name()].map(str::to_owned).into_iter().chain(ledgers.into_iter().flatten()).collect()
}

/// The source's `app_metadata`, for a window or for everything it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourceRange {
    /// The first ledger it vouches for.
    pub start_ledger: i64,
    /// The last ledger it vouches for; if lower than the start, it has none.
    pub end_ledger: i64,
    /// When the last ledger closed.
    pub latest_closed_at: Option<DateTime<Utc>>,
    /// The hash of the last ledger's header, in lower-case hexadecimal.
    pub latest_hash: Option<String>,
    /// The tables that the source has; `data` is always one of them.
    pub tables: Vec<Table>,
}

impl SourceRange {
    /// Reads `app_metadata`; `None` if it is not JSON, or does not speak of ledgers.
    ///
    /// # Errors
    /// [`Error::Source`] that names the field, when the value of one is not what it is to be.
    pub fn from_metadata(json: &[u8]) -> Result<Option<Self>> {
        let Ok(Value::Object(fields)) = serde_json::from_slice(json) else { return Ok(None) };
        if !fields.contains_key(START) && !fields.contains_key(END) {
            return Ok(None);
        }
        Ok(Some(SourceRange {
            start_ledger: ledger(&fields, START)?,
            end_ledger: ledger(&fields, END)?,
            latest_closed_at: close_time(&fields)?,
            latest_hash: hash(&fields, HASH)?,
            tables: tables(&fields)?,
        }))
    }

    /// Writes `app_metadata`, without the close time and the hash if there are none.
    pub fn to_metadata(&self) -> String {
        let mut json = serde_json::json!(self);
        if let Some(fields) = json.as_object_mut() {
            fields.retain(|_, value| !value.is_null());
        }
        json.to_string()
    }

    /// The tables that the source has beside `data`.
    pub fn sides(&self) -> impl Iterator<Item = Table> {
        Table::SIDES.into_iter().filter(|side| self.tables.contains(side))
    }

    /// The ledgers; `None` when there are none.
    pub fn ledgers(&self) -> Option<LedgerWindow> {
        let start = u32::try_from(self.start_ledger).ok()?;
        let end = u32::try_from(self.end_ledger).ok()?;
        LedgerWindow::new(start, end).ok()
    }
}

/// The fields of `app_metadata`.
pub(super) fn fields_of(json: &[u8]) -> Result<Map<String, Value>> {
    serde_json::from_slice(json)
        .map_err(|_| Error::source_permanent("app_metadata is no JSON object".to_owned()))
}

/// The error for a field that has to be there.
pub(super) fn absent(name: &str) -> Error {
    Error::source_permanent(format!("app_metadata has no {name}"))
}

/// The number of a ledger that a field has to name.
pub(super) fn ledger_number(fields: &Map<String, Value>, name: &str) -> Result<u32> {
    let value = fields.get(name).ok_or_else(|| absent(name))?;
    let number = whole(value).and_then(|number| u32::try_from(number).ok());
    number.ok_or_else(|| unusable(name, value, "the number of a ledger"))
}

/// The ledger that a field names.
fn ledger(fields: &Map<String, Value>, name: &str) -> Result<i64> {
    let Some(value) = fields.get(name) else {
        return Err(absent(name));
    };
    whole(value).ok_or_else(|| unusable(name, value, "a whole number"))
}

/// A whole number in any spelling of JSON, also as text: 5, 5.0, 5e0, "5".
fn whole(value: &Value) -> Option<i64> {
    let number = match value {
        Value::Number(number) => number.clone(),
        Value::String(text) => serde_json::from_str::<Number>(text).ok()?,
        _ => return None,
    };
    let float = || number.as_f64().filter(|n| n.fract() == 0.0 && n.abs() <= EXACT);
    number.as_i64().or_else(|| float().map(|n| n as i64))
}

/// When the last ledger closed; none if the field is absent or null.
fn close_time(fields: &Map<String, Value>) -> Result<Option<DateTime<Utc>>> {
    match fields.get(CLOSED).filter(|value| !value.is_null()) {
        None => Ok(None),
        Some(value) => {
            let time = value.as_str().and_then(|text| text.parse().ok());
            time.map(Some).ok_or_else(|| unusable(CLOSED, value, "a time as in 2026-01-02T03:04:05Z"))
        }
    }
}

/// The hash that a field has; none if the field is absent or null.
pub(super) fn hash(fields: &Map<String, Value>, name: &str) -> Result<Option<String>> {
    match fields.get(name).filter(|value| !value.is_null()) {
        None => Ok(None),
        Some(value) => {
            let hash = value.as_str().map(str::to_ascii_lowercase).filter(|hash| is_base16_hash(hash));
            hash.map(Some).ok_or_else(|| unusable(name, value, "a SHA-256 in hexadecimal"))
        }
    }
}

/// The tables that the source has, those that this loader knows; `data` alone if the field is absent or null.
pub(super) fn tables(fields: &Map<String, Value>) -> Result<Vec<Table>> {
    let Some(value) = fields.get(TABLES).filter(|value| !value.is_null()) else {
        return Ok(vec![Table::Data]);
    };
    let names = value.as_array().and_then(|all| all.iter().map(Value::as_str).collect::<Option<Vec<_>>>());
    match names {
        Some(names) if names.contains(&Table::Data.name()) => {
            Ok(Table::ALL.into_iter().filter(|table| names.contains(&table.name())).collect())
        }
        _ => Err(unusable(TABLES, value, "a list of names with \"data\" in it")),
    }
}

/// The error for a value, of which it shows the beginning.
fn unusable(name: &str, value: &Value, expected: &str) -> Error {
    let value: String = value.to_string().chars().take(60).collect();
    Error::source_permanent(format!("app_metadata has {value} as {name}, which is not {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(range: &SourceRange) -> serde_json::Value {
        serde_json::from_str(&range.to_metadata()).unwrap()
    }

    fn of_data(start_ledger: i64, end_ledger: i64) -> SourceRange {
        let (latest_closed_at, latest_hash) = (None, None);
        SourceRange { start_ledger, end_ledger, latest_closed_at, latest_hash, tables: vec![Table::Data] }
    }

    fn metadata(json: &str) -> Option<SourceRange> {
        SourceRange::from_metadata(json.as_bytes()).unwrap()
    }

    #[test]
    fn metadata_that_does_not_speak_of_ledgers_is_none() {
        let range = metadata(r#"{"start_ledger":1,"end_ledger":4294967295,"more":[1]}"#).unwrap();
        assert_eq!(range.ledgers(), Some(LedgerWindow::new(1, u32::MAX).unwrap()));
        assert_eq!(range.latest_closed_at, None);
        let closed =
            metadata(r#"{"start_ledger":1,"end_ledger":2,"latest_closed_at":"2026-01-02T03:04:05+01:00"}"#);
        let closed = closed.unwrap().latest_closed_at.unwrap();
        assert_eq!(closed.to_rfc3339(), "2026-01-02T02:04:05+00:00");
        for nothing in ["", "{}", "null", "7", r#"["start_ledger"]"#, r#"{"first":1}"#, "{", "\u{0}\u{1}"] {
            assert_eq!(metadata(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn a_whole_number_is_read_in_any_spelling() {
        for five in ["5", "5.0", "5e0", "50E-1", "0.5e+1", r#""5""#, r#""5.0""#, r#""5e0""#, r#"" 5 ""#] {
            let range = metadata(&format!(r#"{{"start_ledger":{five},"end_ledger":{five}}}"#)).unwrap();
            assert_eq!((range.start_ledger, range.end_ledger), (5, 5), "{five}");
        }
        let range = metadata(r#"{"start_ledger":-0,"end_ledger":"-1"}"#).unwrap();
        assert_eq!((range.start_ledger, range.end_ledger), (0, -1));
    }

    #[test]
    fn a_value_that_is_no_whole_number_is_an_error_that_names_its_field() {
        let refused = |json: String| SourceRange::from_metadata(json.as_bytes()).unwrap_err().chain();
        for value in
            ["5.5", "null", "true", r#""""#, r#""five""#, r#""0x5""#, r#""\"5\"""#, "[5]", "{}", "1e300"]
        {
            for (start, end, name) in [(value, "7", "start_ledger"), ("5", value, "end_ledger")] {
                let problem = refused(format!(r#"{{"start_ledger":{start},"end_ledger":{end}}}"#));
                assert!(problem.starts_with("source: app_metadata has "), "{problem}");
                assert!(problem.ends_with(&format!("as {name}, which is not a whole number")), "{problem}");
            }
        }
        assert_eq!(refused(r#"{"start_ledger":1}"#.to_owned()), "source: app_metadata has no end_ledger");
        assert_eq!(refused(r#"{"end_ledger":1}"#.to_owned()), "source: app_metadata has no start_ledger");
        for time in ["1767323045", r#""yesterday""#, "false"] {
            let problem =
                refused(format!(r#"{{"start_ledger":1,"end_ledger":2,"latest_closed_at":{time}}}"#));
            assert!(problem.contains(&format!("has {time} as latest_closed_at")), "{problem}");
        }
        let long = refused(format!(r#"{{"start_ledger":"{}","end_ledger":2}}"#, "x".repeat(1_000)));
        assert!(long.len() < 200, "{long}");
    }

    #[test]
    fn a_declaration_is_read_as_it_was_written() {
        let closed_at = DateTime::from_timestamp(1_767_323_045, 0);
        let range = SourceRange {
            start_ledger: 1,
            end_ledger: 2,
            latest_closed_at: closed_at,
            latest_hash: Some("0a".repeat(32)),
            tables: vec![Table::Data, Table::Assets],
        };
        let json = serde_json::json!({
            "start_ledger": 1, "end_ledger": 2, "latest_closed_at": "2026-01-02T03:04:05Z",
            "latest_hash": "0a".repeat(32), "tables": ["data", "assets"]
        });
        assert_eq!(written(&range), json);
        assert_eq!(metadata(&range.to_metadata()), Some(range));
        let open = of_data(3, 2);
        let json = serde_json::json!({"start_ledger": 3, "end_ledger": 2, "tables": ["data"]});
        assert_eq!(written(&open), json);
    }

    #[test]
    fn the_tables_are_those_that_this_loader_knows() {
        let tables = |json: &str| {
            let json = format!(r#"{{"start_ledger":1,"end_ledger":2,"tables":{json}}}"#);
            SourceRange::from_metadata(json.as_bytes()).map(|range| range.unwrap().tables)
        };
        assert_eq!(metadata(r#"{"start_ledger":1,"end_ledger":2}"#).unwrap().tables, [Table::Data]);
        assert_eq!(tables("null").unwrap(), [Table::Data]);
        assert_eq!(tables(r#"["ttl","later","data"]"#).unwrap(), [Table::Data, Table::Ttl]);
        for refused in [r#""data""#, "[]", r#"["ttl"]"#, r#"["data",7]"#, "{}"] {
            let problem = tables(refused).unwrap_err().chain();
            assert!(problem.contains(&format!("has {refused} as tables, which is not")), "{problem}");
        }
    }

    #[test]
    fn a_hash_has_64_digits() {
        let hash = |json: &str| {
            let json = format!(r#"{{"start_ledger":1,"end_ledger":2,"latest_hash":{json}}}"#);
            SourceRange::from_metadata(json.as_bytes()).map(|range| range.unwrap().latest_hash)
        };
        assert_eq!(hash(&format!("{:?}", "AB".repeat(32))).unwrap(), Some("ab".repeat(32)));
        assert_eq!(hash("null").unwrap(), None);
        for refused in ["7".to_owned(), r#""""#.to_owned(), format!("{:?}", "0g".repeat(32))] {
            assert!(
                hash(&refused).unwrap_err().chain().contains("as latest_hash, which is not"),
                "{refused}"
            );
        }
    }

    #[test]
    fn a_path_names_everything_or_a_window() {
        assert_eq!(path(Table::Data, None), ["contract", "data"]);
        assert_eq!(path(Table::Ttl, LedgerWindow::new(7, 9).ok()), ["contract", "ttl", "7", "9"]);
    }

    #[test]
    fn a_range_without_ledgers_has_none() {
        let ledgers = |start_ledger, end_ledger| of_data(start_ledger, end_ledger).ledgers();
        assert_eq!(ledgers(5, 4), None);
        assert_eq!(ledgers(-1, 4), None);
        assert_eq!(ledgers(0, 1 << 32), None);
        assert_eq!(ledgers(7, 7), Some(LedgerWindow::new(7, 7).unwrap()));
    }
}
