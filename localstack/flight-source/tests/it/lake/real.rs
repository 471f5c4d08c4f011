//! The real object: ledger 53312000 of the public network, as Galexie wrote it.

use std::fmt::Write;

use super::*;
use crate::record::{Record, records};

const LEDGER: u32 = 53_312_000;
pub(super) const OBJECT: &str = "FCD285FF--53312000.xdr.zstd";

/// The columns of each row, one per line, without nulls.
fn text(rows: &[Record]) -> String {
    let mut text = String::new();
    for row in rows {
        let optional = |value: &Option<String>| value.clone().unwrap_or_default();
        let columns = [
            ("contract_id", row.contract_id.clone()),
            ("contract_key_type", row.contract_key_type.clone()),
            ("contract_durability", row.contract_durability.clone()),
            ("asset_code", optional(&row.asset_code)),
            ("asset_issuer", optional(&row.asset_issuer)),
            ("asset_type", optional(&row.asset_type)),
            ("balance_holder", optional(&row.balance_holder)),
            ("balance", optional(&row.balance.map(|balance| balance.to_string()))),
            ("last_modified_ledger", row.last_modified_ledger.to_string()),
            ("deleted", row.deleted.to_string()),
            ("ledger_sequence", row.ledger_sequence.to_string()),
            ("closed_at", DateTime::from_timestamp_micros(row.closed_at).unwrap().to_rfc3339()),
            ("ledger_key_hash", row.ledger_key_hash.clone()),
            ("key_xdr", row.key_xdr.clone()),
            ("val_xdr", row.val_xdr.clone()),
            ("contract_instance_type", optional(&row.contract_instance_type)),
            ("contract_instance_wasm_hash", optional(&row.contract_instance_wasm_hash)),
            ("expiration_ledger_seq", optional(&row.expiration_ledger_seq.map(|ledger| ledger.to_string()))),
        ];
        for (name, value) in columns.iter().filter(|(_, value)| !value.is_empty()) {
            writeln!(text, "{name} {value}").unwrap();
        }
        text.push('\n');
    }
    text
}

#[tokio::test]
async fn the_real_ledger_has_these_rows() {
    let Some(folder) = real_data() else { return };
    let lake = tempfile::tempdir().unwrap();
    std::fs::copy(folder.join(OBJECT), lake.path().join(OBJECT)).unwrap();
    let mut source = serve_lake(&at(lake.path())).await;
    let all = declared(&source.info(&["contract", "data"]).await.unwrap());
    assert_eq!((all.start, all.end, all.rows), (LEDGER, LEDGER, -1));
    let rows = text(&records(&source.rows(LEDGER, LEDGER).await));
    assert!(rows == include_str!("real.golden"), "{rows}");
}
