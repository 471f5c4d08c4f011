//! The rights that the loader's role needs, and no others.

use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use pipeline::Error;
use testkit::{Asset, Chain, Row, asset};
use url::Url;
use uuid::Uuid;

use crate::support::World;

/// All that a role needs to load, without owning anything.
pub(super) const GRANTS: [(&str, &str); 14] = [
    ("usage", "schema contract_data"),
    ("select", "contract_data.schema_history"),
    ("select", "contract_data.settings"),
    ("select", "contract_data.entries"),
    ("insert", "contract_data.entries"),
    ("select", "contract_data.ingestion_progress"),
    ("select", "contract_data.window_tables"),
    ("execute", "function contract_data.ensure_partition"),
    ("execute", "function contract_data.tend_partition"),
    ("execute", "function contract_data.claim_window"),
    ("execute", "function contract_data.finish_window"),
    ("execute", "function contract_data.mark_archived"),
    ("execute", "function contract_data.fold_pending"),
    ("select", "contract_data.snapshots"),
];

/// Needed once, by the first load: it stores the fingerprint.
pub(super) const FINGERPRINT: &str = "execute on function contract_data.store_fingerprint";

/// Needed by scheduled runs: the first stores where the schedule begins, and each folds with the load.
const SCHEDULE: &str = "execute on function contract_data.store_schedule_start, contract_data.fold_windows";

/// Needed to verify: the state, and what retention left of older ledgers.
pub(super) const VERIFY: &str =
    "select on contract_data.retained_states, contract_data.key_states, contract_data.contract_assets,
       contract_data.ttl_changes, contract_data.entry_ttls, contract_data.retained_ttls, contract_data.folded_ledgers,
       contract_data.snapshot_tables";

/// Needed to verify too.
pub(super) const VERIFY_SNAPSHOT: &str = "execute on function contract_data.snapshot_ledgers";

/// Ledgers 1 to 30 in each of which an asset is learnt, a balance changes and an entry comes.
fn chain() -> Chain {
    let rows = (1..=30).flat_map(|ledger| {
        let asset = Asset::credit(&format!("A{ledger}"), 1);
        let of_asset = |row: Row| row.of_contract(asset.contract_id(asset::PUBNET));
        [
            of_asset(Row::at(ledger).balance(1, 5)),
            of_asset(Row::at(ledger)).instance(&asset),
            Row::at(ledger).contract(1).value(ledger.into()),
        ]
    });
    Chain::of_rows(rows.collect())
}

/// The replay of a ledger fails because of a missing right.
async fn check_denied(world: &World, ledger: u32, what: &str) {
    match world.replay(ledger, ledger).await {
        Err(error @ Error::Database { .. }) => {
            let message = error.chain();
            assert!(message.contains("permission denied"), "without {what}: {message}");
            assert!(!error.is_transient(), "no second attempt grants {what}");
        }
        other => panic!("without {what}: {other:?}"),
    }
}

async fn check_role(world: &World, role: &str) {
    let owner = &world.database;
    owner.execute(&format!("create role {role} login password 'let me in'")).await;
    for (right, object) in GRANTS {
        owner.execute(&format!("grant {right} on {object} to {role}")).await;
    }
    let mut url = Url::parse(&owner.url()).unwrap();
    url.set_username(role).unwrap();
    url.set_password(Some("let me in")).unwrap();
    world.set("DATABASE_URL", url.as_str());
    let whoami =
        testkit::database::rows(&testkit::database::connect(url.as_str()).await, "select current_user").await;
    assert_eq!(whoami, [role]);

    check_denied(world, 1, FINGERPRINT).await;
    owner.execute(&format!("grant {FINGERPRINT} to {role}")).await;
    world.replay(1, 2).await.unwrap();
    for ((right, object), ledger) in GRANTS.into_iter().zip(3..) {
        owner.execute(&format!("revoke {right} on {object} from {role}")).await;
        check_denied(world, ledger, &format!("{right} on {object}")).await;
        owner.execute(&format!("grant {right} on {object} to {role}")).await;
        world.replay(ledger, ledger).await.unwrap();
    }

    world.set("WINDOW_LEDGERS", "5");
    let error = world.run().await.unwrap_err().chain();
    assert!(error.contains("permission denied for function store_schedule_start"), "{error}");
    owner.execute(&format!("grant {SCHEDULE} to {role}")).await;
    world.run().await.unwrap();
    assert_eq!(owner.value("select count(distinct ledger_sequence) from contract_data.entries").await, "30");
    for rights in [VERIFY, VERIFY_SNAPSHOT] {
        owner.execute(&format!("grant {rights} to {role}")).await;
    }
    world.verified().await;

    let session = testkit::database::connect(url.as_str()).await;
    for forbidden in [
        "truncate contract_data.entries",
        "delete from contract_data.entries",
        "create table contract_data.mine ()",
        "drop table contract_data.entries_0000000000",
        "update contract_data.settings set network = 'mine'",
        "update contract_data.entries set deleted = true",
    ] {
        let error = session.batch_execute(forbidden).await.unwrap_err();
        assert_eq!(error.code().map(|code| code.code()), Some("42501"), "{forbidden}");
    }
}

#[tokio::test]
async fn a_role_without_ownership_loads_with_these_grants_and_not_without_any_of_them() {
    let source = chain().serve();
    let world = World::around(&source).await;
    let role = format!("loader_{}", Uuid::new_v4().simple());
    let outcome = AssertUnwindSafe(check_role(&world, &role)).catch_unwind().await;
    world.database.execute(&format!("drop owned by {role}; drop role {role}")).await;
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}
