//! A real ledger of pubnet on its whole way: from the object that Galexie wrote, through flight-source, into PostgreSQL.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flight_source::{Lake, LakeOptions, Server, ServerOptions};
use tempfile::TempDir;

use crate::support::{World, real_data};

const LEDGER: u32 = 53_312_000;
const OBJECT: &str = "FCD285FF--53312000.xdr.zstd";

/// A lake with the real object in its partition, where there is one, and a world whose source serves it. The first path is
/// the object's.
async fn world() -> Option<(PathBuf, TempDir, World)> {
    let object = real_data(OBJECT)?;
    let folder = tempfile::tempdir().unwrap();
    let partition = folder.path().join("FCD285FF--53312000-53375999");
    std::fs::create_dir(&partition).unwrap();
    std::fs::copy(object, partition.join(OBJECT)).unwrap();
    let world = served(folder.path()).await;
    Some((partition.join(OBJECT), folder, world))
}

/// A world whose source serves the lake in this folder.
pub(crate) async fn served(folder: &Path) -> World {
    let url = format!("file://{}", folder.display());
    let lake = Lake::open(&LakeOptions { url, ..LakeOptions::default() }).await.unwrap();
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let options = ServerOptions { listen, batch_rows: 4, endpoints: 1, token: None };
    let server = Server::bind(Arc::new(lake), options).await.unwrap();
    let world = World::at(&format!("http://{}", server.local_addr().unwrap())).await;
    tokio::spawn(server.serve(std::future::pending()));
    world
}

#[tokio::test]
async fn a_real_ledger_comes_from_its_lake_into_the_database() {
    let Some((_, _folder, world)) = world().await else { return };
    assert_eq!(world.replay(LEDGER, LEDGER).await.unwrap().rows(), 10);
    let facts = "select count(*), count(distinct ledger_key_hash), min(change_index), max(change_index),
                        min(expiration_ledger_seq), bool_and(not deleted),
                        count(*) filter (where contract_instance_type = 'wasm'), min(closed_at at time zone 'UTC')
                 from contract_data.entries where ledger_sequence = 53312000";
    let expected = "10 | 10 | 0 | 9 | 53329281 | t | 1 | 2024-09-02 10:50:19";
    assert_eq!(world.database.value(facts).await, expected);
    let evidence = "select evidence from contract_data.ingestion_progress";
    assert_eq!(world.database.value(evidence).await, "declared");
    world.verified().await;
    // the schedule finds the tip of the lake
    world.set("START_LEDGER", "first");
    assert!(world.run().await.unwrap().windows.is_empty(), "all of it is there");
}

#[tokio::test]
async fn a_damaged_object_is_named_and_nothing_of_it_is_loaded() {
    let Some((object, _folder, world)) = world().await else { return };
    let sound = std::fs::read(&object).unwrap();
    let mut damaged = sound.clone();
    damaged[40_000] ^= 1;
    std::fs::write(&object, damaged).unwrap();
    let error = world.refused(LEDGER, LEDGER).await;
    let sentence =
        format!("{error}: {}", std::error::Error::source(&error).map_or(String::new(), ToString::to_string));
    assert!(sentence.contains(OBJECT) && sentence.contains("ledger 53312000"), "{sentence}");
    // mended, it is loaded by the same source
    std::fs::write(&object, sound).unwrap();
    assert_eq!(world.replay(LEDGER, LEDGER).await.unwrap().rows(), 10);
    world.verified().await;
}
