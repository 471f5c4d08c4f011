//! What is served of a network made by hand is what the network's own model says.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use stellar_xdr::{LedgerEntryData, Limits, WriteXdr};
use testkit::asset::TESTNET;
use testkit::network::ledger::close_time;
use testkit::network::{Action, Driver, Network, entries};

use super::*;

fn xdr(value: &impl WriteXdr) -> String {
    BASE64_STANDARD.encode(value.to_xdr(Limits::none()).unwrap())
}

/// Compares all tables at a checkpoint with the model.
pub(super) async fn compare(source: &mut Source, network: &Network, ledger: u32) {
    let whole = source.whole(ledger).await.unwrap();
    let (model, closed_at) = (network.state(ledger), close_time(ledger) as i64 * 1_000_000);
    let hash = network.checkpoints()[&ledger].bucket_list_hash;
    assert_eq!(
        whole.checkpoint.bucket_list_hash,
        hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    );
    assert_eq!(whole.checkpoint.protocol, network.header(ledger).header.ledger_version);

    let kept = model.kept();
    let data: Vec<_> = kept.iter().filter(|(_, kept)| kept.is_data()).collect();
    assert_eq!(whole.data.len(), data.len(), "rows at {ledger}");
    for (row, (hash, kept)) in whole.data.iter().zip(data) {
        let LedgerEntryData::ContractData(entry) = &kept.entry.data else { panic!("{kept:?}") };
        assert_eq!(row.ledger_key_hash, *hash);
        assert_eq!(row.contract_id, entry.contract.to_string());
        assert_eq!((&row.key_xdr, &row.val_xdr), (&xdr(&entry.key), &xdr(&entry.val)));
        assert_eq!(row.contract_durability, format!("ContractDataDurability{}", entry.durability.name()));
        assert_eq!(row.last_modified_ledger, kept.entry.last_modified_ledger_seq);
        assert_eq!(row.expiration_ledger_seq, kept.live_until);
        assert_eq!((row.deleted, row.ledger_sequence, row.closed_at), (false, ledger, closed_at));
    }

    let persistent = "ContractDataDurabilityPersistent";
    let ttl: Vec<TtlRecord> = kept
        .iter()
        .map(|(hash, kept)| TtlRecord {
            ledger_key_hash: hash.clone(),
            change: kept.live_until.map_or("evicted", |_| "created").to_owned(),
            live_until_ledger: kept.live_until,
            contract_durability: kept.live_until.is_none().then(|| persistent.to_owned()),
            ledger_sequence: ledger,
            closed_at,
        })
        .collect();
    assert!(whole.ttl == ttl, "{:?}\nshould be\n{ttl:?}", whole.ttl);

    let assets = model.assets(network.passphrase());
    let named: Vec<&String> = whole.assets.iter().map(|row| &row.contract_id).collect();
    assert_eq!(named, assets.keys().collect::<Vec<_>>());
    for (row, asset) in whole.assets.iter().zip(assets.values()) {
        assert_eq!(row.ledger_sequence, ledger);
        let of_kind = |kind: &str| kind == row.asset_type;
        match asset {
            stellar_xdr::Asset::Native => assert!(of_kind("native") && row.asset_code.is_none()),
            stellar_xdr::Asset::CreditAlphanum4(asset) => {
                assert!(of_kind("credit_alphanum4"));
                assert_eq!(row.asset_code, Some(asset.asset_code.to_string()));
                assert_eq!(row.asset_issuer, Some(asset.issuer.to_string()));
            }
            stellar_xdr::Asset::CreditAlphanum12(asset) => {
                assert!(of_kind("credit_alphanum12"));
                assert_eq!(row.asset_code, Some(asset.asset_code.to_string()));
                assert_eq!(row.asset_issuer, Some(asset.issuer.to_string()));
            }
        }
    }
}

/// A network of `checkpoints` checkpoints with random changes.
pub(super) fn random(seed: u64, protocol: u32, checkpoints: u32) -> Network {
    let mut network = Network::new(2, protocol, TESTNET);
    Driver::new(seed).close_up_to(&mut network, 64 * checkpoints - 1);
    network
}

async fn compare_all(network: &Network) {
    let folder = tempfile::tempdir().unwrap();
    network.write_archive(folder.path());
    let mut source = serve_archive(&archive_at(folder.path())).await;
    let checkpoints: Vec<u32> = network.checkpoints().keys().copied().collect();
    let (oldest_ledger, newest_ledger) = (checkpoints[0], checkpoints[checkpoints.len() - 1]);
    assert_eq!(source.checkpoints().await.unwrap(), Checkpoints { oldest_ledger, newest_ledger });
    for ledger in checkpoints {
        compare(&mut source, network, ledger).await;
    }
}

#[tokio::test]
async fn a_state_is_that_of_the_network() {
    for (seed, protocol) in [(1, 22), (2, 22), (3, 23), (4, 25)] {
        let network = random(seed, protocol, 5);
        let last = network.checkpoints().values().next_back().unwrap();
        assert!(last.buckets.len() > 6, "versions are in many buckets");
        let kept = network.now().kept();
        let archived = kept.values().filter(|kept| kept.live_until.is_none()).count();
        assert!(kept.len() > 100 && (archived > 10) == (protocol > 22), "{} {archived}", kept.len());
        compare_all(&network).await;
    }
}

#[tokio::test]
async fn a_state_is_that_of_the_network_across_its_upgrade_to_an_archive() {
    let mut network = random(5, 22, 2);
    network.upgrade(23);
    Driver::new(6).close_up_to(&mut network, 383);
    let versions = network.checkpoints().values().map(|checkpoint| &checkpoint.state["version"]);
    assert!(versions.clone().any(|version| *version == 1) && versions.clone().any(|version| *version == 2));
    compare_all(&network).await;
}

#[tokio::test]
async fn the_newest_version_of_an_entry_is_the_one_that_counts() {
    let mut network = Network::new(2, 23, TESTNET);
    let [written, removed, again, evicted, restored] =
        [1, 2, 3, 4, 5].map(|number| entries::numbered(number, 0));
    let key = entries::key;
    let all = [&written, &removed, &again, &evicted, &restored];
    network.close(all.map(|entry| Action::create(entry.clone(), 20)).to_vec());
    network.close_up_to(30);
    network.close(vec![
        Action::Update(entries::numbered(1, 1)),
        Action::Remove(key(&removed)),
        Action::Remove(key(&again)),
        Action::Evict(key(&evicted)),
        Action::Evict(key(&restored)),
    ]);
    network.close_up_to(50);
    network.close(vec![
        Action::Update(entries::numbered(1, 2)),
        Action::create(entries::numbered(3, 3), 99),
        Action::Restore(key(&restored), 98),
    ]);
    network.close_up_to(127);
    let folder = tempfile::tempdir().unwrap();
    network.write_archive(folder.path());
    let mut source = serve_archive(&archive_at(folder.path())).await;
    for ledger in [63, 127] {
        let whole = source.whole(ledger).await.unwrap();
        let mut rows: Vec<_> = whole
            .data
            .iter()
            .map(|row| {
                let value = |xdr: &str| match crate::lake::scval(xdr) {
                    stellar_xdr::ScVal::U32(number) => number,
                    other => panic!("{other:?}"),
                };
                let (key, val) = (value(&row.key_xdr), value(&row.val_xdr));
                (key, val, row.last_modified_ledger, row.expiration_ledger_seq)
            })
            .collect();
        rows.sort_unstable();
        let expected = [(1, 2, 51, Some(20)), (3, 3, 51, Some(99)), (4, 0, 2, None), (5, 0, 51, Some(98))];
        assert_eq!(rows, expected, "an expired entry is served as it is");
        compare(&mut source, &network, ledger).await;
    }
}

#[tokio::test]
async fn a_lake_of_the_same_ledgers_ends_in_the_same_state() {
    let network = random(7, 23, 3);
    let (lake, archive) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    network.write_lake(lake.path());
    network.write_archive(archive.path());
    let mut ledgers = crate::lake::serve_lake(&crate::lake::at(lake.path())).await;
    let mut now = std::collections::BTreeMap::new();
    for row in records(&ledgers.rows(2, 191).await) {
        match row.deleted {
            true => now.remove(&row.ledger_key_hash),
            false => now.insert(row.ledger_key_hash.clone(), (row.val_xdr, row.last_modified_ledger)),
        };
    }
    for row in ttl_records(&ledgers.rows_of(Table::Ttl, 2, 191).await) {
        if row.change == "evicted" && row.contract_durability.unwrap().ends_with("Temporary") {
            now.remove(&row.ledger_key_hash);
        }
    }
    let mut source = serve_archive(&archive_at(archive.path())).await;
    let state = source.whole(191).await.unwrap().data.into_iter();
    let state = state.map(|row| (row.ledger_key_hash, (row.val_xdr, row.last_modified_ledger))).collect();
    assert_eq!(now, state);
}
