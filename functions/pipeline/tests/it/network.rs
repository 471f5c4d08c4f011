//! A network made by hand, from its headers and buckets to its ledgers: begun at a checkpoint, followed through ten, and proven at
//! each.

use std::net::SocketAddr;
use std::sync::Arc;

use flight_source::{Archive, ArchiveOptions, Dataset, Lake, LakeOptions, Server, ServerOptions, Sources};
use pipeline::{CheckpointVerification, SnapshotOptions};
use tempfile::TempDir;
use testkit::asset::TESTNET;
use testkit::network::{Action, Driver, Kept, Network, is_temporary};
use tokio::task::AbortHandle;

use crate::support::World;

/// The last of ten checkpoints.
const LAST: u32 = 639;
/// The second: where the database begins.
const BASE: u32 = 127;

/// A network on disk, and the server of its lake and its archive.
struct Source {
    _folder: TempDir,
    url: String,
    server: AbortHandle,
}

impl Drop for Source {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Serves the lake of one network with the archive of another, which should be the same.
async fn serve(lake: &Network, archive: &Network) -> Source {
    let folder = tempfile::tempdir().unwrap();
    let (ledgers, states) = (folder.path().join("lake"), folder.path().join("archive"));
    lake.write_lake(&ledgers);
    archive.write_archive(&states);
    let url = format!("file://{}", ledgers.display());
    let lake: Arc<dyn Dataset> =
        Arc::new(Lake::open(&LakeOptions { url, ..LakeOptions::default() }).await.unwrap());
    let options = ArchiveOptions { url: states.display().to_string(), ..ArchiveOptions::default() };
    // The lake is not told to the archive: what it would refuse is to be found by the loader here.
    let archive = Archive::open(&options, None).await.unwrap();
    let sources = Sources { ledgers: Some(lake), state: Some(Arc::new(archive)) };
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let options = ServerOptions { listen, batch_rows: 64, endpoints: 1, token: None };
    let server = Server::bind(sources, options).await.unwrap();
    let url = format!("http://{}", server.local_addr().unwrap());
    let server = tokio::spawn(server.serve(std::future::pending())).abort_handle();
    Source { _folder: folder, url, server }
}

/// A network of random ledgers up to the last checkpoint.
fn network(seed: u64, protocol: u32) -> Network {
    let mut network = Network::new(2, protocol, TESTNET);
    Driver::new(seed).close_up_to(&mut network, LAST + 3);
    network
}

async fn world_of(source: &Source) -> World {
    let world = World::without_schema(&source.url).await;
    for (name, value) in [
        ("NETWORK", "testnet"),
        ("PARTITION_LEDGERS", "100"),
        ("WINDOW_LEDGERS", "32"),
        ("COMMIT_INTERVAL", "0s"),
        ("FLIGHT_TIMEOUT", "30s"),
    ] {
        world.set(name, value);
    }
    pipeline::migrate(&world.config()).await.unwrap();
    world
}

async fn begin(world: &World) {
    let options = SnapshotOptions { ledger: Some(BASE), from_archive: false };
    assert!(pipeline::snapshot(&world.clients(), options, None, Arc::new(|_| {})).await.unwrap().loaded);
}

async fn checked(world: &World, ledger: u32) -> CheckpointVerification {
    pipeline::verify_checkpoint(&world.config(), Some(ledger), Arc::new(|_| {})).await.unwrap()
}

/// The entries that the network has after a ledger: hash, value, last modification, and until when they live.
fn model(network: &Network, ledger: u32) -> Vec<String> {
    let kept = network.state(ledger).kept();
    let data = kept.iter().filter(|(_, kept)| kept.is_data());
    data.filter(|(_, kept)| !(is_temporary(&kept.key) && kept.live_until.is_some_and(|until| until < ledger)))
        .map(|(hash, kept)| {
            let until = kept.live_until.map_or("-".to_owned(), |until| until.to_string());
            format!("{hash} | {} | {until}", kept.entry.last_modified_ledger_seq)
        })
        .collect()
}

async fn states(world: &World) -> Vec<String> {
    let states = "select ledger_key_hash, last_modified_ledger, live_until_ledger from contract_data.current_states order by 1";
    world.database.rows(states).await
}

#[tokio::test]
async fn the_state_is_the_networks_at_each_of_ten_checkpoints() {
    for (seed, protocol) in [(1, 23), (2, 22), (3, 25)] {
        let network = network(seed, protocol);
        let source = serve(&network, &network).await;
        let world = world_of(&source).await;
        begin(&world).await;
        assert_eq!(states(&world).await, model(&network, BASE), "seed {seed}");
        let mut equal = 0;
        for checkpoint in (BASE + 64..=LAST).step_by(64) {
            world.replay(checkpoint - 63, checkpoint).await.unwrap();
            assert_eq!(states(&world).await, model(&network, checkpoint), "seed {seed}, ledger {checkpoint}");
            let found = checked(&world, checkpoint).await;
            assert_eq!((found.different, found.not_loaded), (0, 0), "seed {seed}: {found:#?}");
            assert_eq!(found.equal, found.entries);
            equal += found.equal;
        }
        assert!(equal > 1_000, "only {equal} entries were compared");
        world.verified().await;
    }
}

#[tokio::test]
async fn what_is_changed_left_out_or_revived_is_found_and_named() {
    let network = network(4, 23);
    let source = serve(&network, &network).await;
    let world = world_of(&source).await;
    begin(&world).await;
    world.replay(BASE + 1, LAST).await.unwrap();
    assert_eq!(checked(&world, LAST).await.different, 0);
    let newest = "(select distinct on (ledger_key_hash) * from contract_data.entries
                   where ledger_sequence <= 639 order by ledger_key_hash, ledger_sequence desc, change_index desc) n";
    let of = |which: &str| {
        let live = "(select 1 from contract_data.current_states c where c.ledger_key_hash = n.ledger_key_hash
                     and c.live_until_ledger > 700)";
        let gone = "not exists (select 1 from contract_data.current_states c where c.ledger_key_hash = n.ledger_key_hash)";
        let which = if which == "live" {
            format!("not deleted and exists {live}")
        } else {
            format!("deleted and {gone}")
        };
        format!(
            "(ledger_sequence, change_index) = (select ledger_sequence, change_index from {newest} where {which}
               order by ledger_key_hash limit 1)"
        )
    };
    for (what, damage, problem) in [
        (
            "changed",
            format!("update contract_data.entries set val_xdr = 'AAAAAQ==' where {}", of("live")),
            "another value",
        ),
        ("left out", format!("delete from contract_data.entries where {}", of("live")), ""),
        (
            "revived",
            format!("update contract_data.entries set deleted = false where {}", of("gone")),
            "this database has it, the network does not",
        ),
    ] {
        world.database.execute("create table before as table contract_data.entries").await;
        world.database.execute(&damage).await;
        let found = checked(&world, LAST).await;
        assert_eq!(found.different, 1, "{what}: {found:#?}");
        assert!(found.examples[0].problem.contains(problem), "{what}: {found:#?}");
        let restored = "delete from contract_data.entries; insert into contract_data.entries table before; drop table before";
        world.database.execute(restored).await;
    }
    assert_eq!(checked(&world, LAST).await.different, 0);
}

#[tokio::test]
async fn a_ledger_that_is_not_the_networks_is_found() {
    let network = network(5, 23);
    // Another history after ledger 300, with headers that say so: a lake that lies consistently.
    let mut other = Network::new(2, 23, TESTNET);
    let mut driver = Driver::new(5);
    driver.close_up_to(&mut other, 300);
    // An entry that the network does not change up to the next checkpoint.
    let later = network.state(319).kept();
    let key = other.now().kept().into_iter().find(|(hash, kept)| {
        let same = |later: &Kept| later.live_until.is_some() && later.entry == kept.entry;
        kept.is_data()
            && kept.live_until.is_some_and(|until| until > 319)
            && later.get(hash).is_some_and(same)
    });
    let (hash, kept) = key.expect("an entry that lives");
    let stellar_xdr::LedgerEntryData::ContractData(mut data) = kept.entry.data.clone() else {
        panic!("{kept:?}")
    };
    data.val = stellar_xdr::ScVal::U32(4_711);
    other.close(vec![Action::Update(data)]);
    driver.close_up_to(&mut other, LAST + 3);
    let source = serve(&other, &network).await;
    let world = world_of(&source).await;
    begin(&world).await;
    world.replay(BASE + 1, LAST).await.unwrap();
    world.verified().await;
    assert_eq!(checked(&world, 255).await.different, 0, "up to there they are the same");
    let found = checked(&world, 319).await;
    assert!(found.different > 0, "{found:#?}");
    assert!(found.examples.iter().any(|example| example.ledger_key_hash == hash), "{found:#?}");
}
