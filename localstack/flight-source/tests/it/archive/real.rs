//! A real checkpoint, 10047 of the test network, protocol 22: all rows of all tables are those of a decoder of its own, in Python
//! with the package stellar-sdk, which walks the buckets by the rules in docs/flight-contract.md. `testnet.golden` has for each
//! table how many rows it found, and the SHA-256 of their text.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::*;
use crate::lake::independent::{asset_text, data_text, ttl_text};
use crate::lake::real_data;

const LEDGER: u32 = 10_047;

#[tokio::test]
async fn the_real_checkpoint_has_these_rows() {
    let Some(folder) = real_data() else { return };
    let mut source = serve_archive(&archive_at(&folder.join("testnet-archive"))).await;
    let checkpoints = source.checkpoints().await.unwrap();
    assert_eq!(checkpoints, Checkpoints { oldest_ledger: LEDGER, newest_ledger: LEDGER });
    let whole = source.whole(LEDGER).await.unwrap();
    assert_eq!(
        whole.checkpoint,
        Checkpoint {
            ledger: LEDGER,
            bucket_list_hash: "f4c51dca5d12e074b507f4d11880801cef0036efcadef0c34da533603b6f0f21".to_owned(),
            protocol: 22,
            tables: Table::ALL.to_vec(),
        }
    );
    let mut text = String::new();
    for (table, rows) in [
        (Table::Data, whole.data.iter().map(data_text).collect::<Vec<_>>()),
        (Table::Ttl, whole.ttl.iter().map(ttl_text).collect()),
        (Table::Assets, whole.assets.iter().map(asset_text).collect()),
    ] {
        let digest =
            Sha256::digest(rows.join("\n")).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        writeln!(text, "{} {} {digest}", table.name(), rows.len()).unwrap();
    }
    assert!(text == include_str!("testnet.golden"), "{text}");
}
