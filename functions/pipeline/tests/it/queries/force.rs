//! The rights that `replay --force` needs in addition to those for loading: see `access`.

use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use pipeline::{Error, ReplayKind, ReplayOptions, Result, WindowStatus};
use testkit::{Asset, Chain, Row, asset};
use url::Url;
use uuid::Uuid;

use super::access::{FINGERPRINT, GRANTS, VERIFY, VERIFY_SNAPSHOT};
use crate::support::World;

/// The additional rights for `--force`.
const MORE: [(&str, &str); 2] = [
    ("execute", "function contract_data.replace_window"),
    ("execute", "function contract_data.fold_windows"),
];

/// Rights of loading without which a forced replay fails as well: it says so before anything is replaced.
const SHARED: [usize; 6] = [1, 2, 4, 5, 10, 13];

/// Ledgers 1 to 10 with an asset, a balance and an entry in each, whose values are told in one way or another.
fn chain(value: u64) -> Chain {
    let rows = (1..=10).flat_map(|ledger| {
        let asset = Asset::credit(&format!("A{ledger}"), 1);
        let of_asset = |row: Row| row.of_contract(asset.contract_id(asset::PUBNET));
        [
            of_asset(Row::at(ledger).balance(1, 5)),
            of_asset(Row::at(ledger)).instance(&asset),
            Row::at(ledger).contract(1).value(value),
        ]
    });
    Chain::of_rows(rows.collect())
}

async fn forced(world: &World) -> Result<pipeline::Report> {
    world
        .replay_with(
            1,
            10,
            ReplayOptions { kind: ReplayKind::Force { trust_end: false }, ..ReplayOptions::default() },
        )
        .await
}

/// The forced replay fails because of a missing right, and names its object; nothing changes.
async fn check_denied(world: &World, what: &str, expected: &str) {
    let state = "select md5(string_agg(e::text, '' order by e.ledger_sequence, e.change_index))
                 from contract_data.entries e";
    let before = world.database.value(state).await;
    match forced(world).await {
        Err(error @ Error::Database { .. }) => {
            let message = error.chain();
            assert!(message.contains(expected), "without {what}: {message}");
            assert!(!error.is_transient(), "no second attempt grants {what}");
        }
        other => panic!("without {what}: {other:?}"),
    }
    assert_eq!(world.database.value(state).await, before, "without {what}");
}

async fn check_role(world: &World, role: &str) {
    let owner = &world.database;
    owner.execute(&format!("create role {role} login password 'let me in'")).await;
    let load = GRANTS.map(|(right, object)| format!("{right} on {object}"));
    let more = MORE.map(|(right, object)| format!("{right} on {object}"));
    for grant in load.iter().chain([&FINGERPRINT.to_owned()]) {
        owner.execute(&format!("grant {grant} to {role}")).await;
    }
    let mut url = Url::parse(&owner.url()).unwrap();
    url.set_username(role).unwrap();
    url.set_password(Some("let me in")).unwrap();
    world.set("DATABASE_URL", url.as_str());
    world.replay(1, 10).await.unwrap();

    check_denied(world, &more[0], "permission denied for function replace_window").await;
    owner.execute(&format!("grant {} to {role}", more[0])).await;
    check_denied(world, &more[1], "permission denied for function fold_windows").await;
    owner.execute(&format!("grant {} to {role}", more[1])).await;
    let done = forced(world).await.unwrap();
    assert_eq!(done.windows[0].status, WindowStatus::Replaced);

    for grant in more.iter().chain(SHARED.map(|n| &load[n])) {
        owner.execute(&format!("revoke {grant} from {role}")).await;
        check_denied(world, grant, "permission denied for ").await;
        owner.execute(&format!("grant {grant} to {role}")).await;
    }
    for rights in [VERIFY, VERIFY_SNAPSHOT] {
        owner.execute(&format!("grant {rights} to {role}")).await;
    }
    world.verified().await;
}

#[tokio::test]
async fn a_forced_replay_wants_these_rights_and_no_others() {
    let source = chain(1).serve();
    let world = World::around(&source).await;
    let role = format!("forcer_{}", Uuid::new_v4().simple());
    let outcome = AssertUnwindSafe(check_role(&world, &role)).catch_unwind().await;
    world.database.execute(&format!("drop owned by {role}; drop role {role}")).await;
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}
