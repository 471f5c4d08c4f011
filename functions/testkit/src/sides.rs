//! Handmade rows of the other tables of a window: changes of times to live, and assets that a ledger names.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray, UInt32Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::asset::{Asset, PUBNET};
use crate::rows::closed_at;

/// A change of a time to live: a row of the table `ttl`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns of the source, under their own names")]
pub struct Ttl {
    pub ledger_key_hash: String,
    pub change: String,
    pub live_until_ledger: Option<u32>,
    pub contract_durability: Option<String>,
    pub ledger_sequence: u32,
    pub closed_at: i64,
}

impl Ttl {
    /// What happened in a ledger to the entry with this hash, and until when it lives then.
    pub fn at(ledger: u32, hash: &str, change: &str, until: impl Into<Option<u32>>) -> Ttl {
        Ttl {
            ledger_key_hash: hash.to_owned(),
            change: change.to_owned(),
            live_until_ledger: until.into(),
            contract_durability: None,
            ledger_sequence: ledger,
            closed_at: closed_at(ledger),
        }
    }

    /// The eviction of an entry of this durability.
    pub fn evicted(ledger: u32, hash: &str, durability: &str) -> Ttl {
        Ttl { contract_durability: Some(durability.to_owned()), ..Ttl::at(ledger, hash, "evicted", None) }
    }
}

/// An asset that a ledger names: a row of the table `assets`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns of the source, under their own names")]
pub struct Named {
    pub contract_id: String,
    pub asset_type: String,
    pub asset_code: Option<String>,
    pub asset_issuer: Option<String>,
    pub ledger_sequence: u32,
}

impl Named {
    /// This asset, with its contract on the public network.
    pub fn at(ledger: u32, asset: &Asset) -> Named {
        let (code, issuer) = match asset {
            Asset::Native => (None, None),
            Asset::Credit { code, issuer } => (Some(code.clone()), Some(issuer.clone())),
        };
        Named {
            contract_id: asset.contract_id(PUBNET),
            asset_type: asset.type_name().to_owned(),
            asset_code: code,
            asset_issuer: issuer,
            ledger_sequence: ledger,
        }
    }
}

/// These rows of `ttl`, in this order.
pub fn ttl_batch(rows: &[Ttl]) -> RecordBatch {
    let closed_at: TimestampMicrosecondArray = rows.iter().map(|row| Some(row.closed_at)).collect();
    let columns: Vec<ArrayRef> = vec![
        text(rows, |row| Some(&row.ledger_key_hash)),
        text(rows, |row| Some(&row.change)),
        Arc::new(rows.iter().map(|row| row.live_until_ledger).collect::<UInt32Array>()),
        text(rows, |row| row.contract_durability.as_deref()),
        Arc::new(rows.iter().map(|row| Some(row.ledger_sequence)).collect::<UInt32Array>()),
        Arc::new(closed_at.with_timezone("UTC")),
    ];
    RecordBatch::try_new(ttl_schema(), columns).expect("six columns of one length")
}

/// These rows of `assets`, in this order.
pub fn assets_batch(rows: &[Named]) -> RecordBatch {
    let columns: Vec<ArrayRef> = vec![
        text(rows, |row| Some(&row.contract_id)),
        text(rows, |row| Some(&row.asset_type)),
        text(rows, |row| row.asset_code.as_deref()),
        text(rows, |row| row.asset_issuer.as_deref()),
        Arc::new(rows.iter().map(|row| Some(row.ledger_sequence)).collect::<UInt32Array>()),
    ];
    RecordBatch::try_new(assets_schema(), columns).expect("five columns of one length")
}

fn text<T>(rows: &[T], of: fn(&T) -> Option<&str>) -> ArrayRef {
    Arc::new(rows.iter().map(of).collect::<StringArray>())
}

fn ttl_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("ledger_key_hash", DataType::Utf8, false),
        Field::new("change", DataType::Utf8, false),
        Field::new("live_until_ledger", DataType::UInt32, true),
        Field::new("contract_durability", DataType::Utf8, true),
        Field::new("ledger_sequence", DataType::UInt32, false),
        Field::new("closed_at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false),
    ]))
}

fn assets_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("contract_id", DataType::Utf8, false),
        Field::new("asset_type", DataType::Utf8, false),
        Field::new("asset_code", DataType::Utf8, true),
        Field::new("asset_issuer", DataType::Utf8, true),
        Field::new("ledger_sequence", DataType::UInt32, false),
    ]))
}
