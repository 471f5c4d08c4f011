//! The entries of a contract as JSON: now, then, and what changed between; against a model that keeps every change.

use std::collections::BTreeMap;

use testkit::{Chain, Row};

use crate::retention::{Die, retain};
use crate::support::World;

/// Ledgers to a partition.
const SIZE: u32 = 10;
/// The last ledger of the chain.
const LAST: u32 = 60;

/// A change as the model keeps it.
struct Change {
    contract: u32,
    key: u32,
    value: u64,
    /// Of the row, to sort by.
    identity: (String, String),
    lives_until: u32,
    deleted: bool,
    ledger: u32,
    index: u32,
}

/// Up to four changes per ledger of five keys, the last of them temporary, in each of two contracts. A removal has the last
/// value, as on the chain.
fn history(die: &mut Die) -> (Vec<Row>, Vec<Change>) {
    let (mut rows, mut changes) = (Vec::new(), Vec::<Change>::new());
    for ledger in 1..=LAST {
        for index in 0..die.roll(5) {
            let (contract, key) = (die.roll(2), die.roll(5));
            let lives_until = ledger + die.roll(20);
            let before = changes.iter().rfind(|change| (change.contract, change.key) == (contract, key));
            let last = before.filter(|before| !before.deleted && die.roll(3) == 0).map(|before| before.value);
            let value = last.unwrap_or(u64::from(ledger * 10 + index));
            let row = Row::at(ledger).contract(contract).key(key).value(value).expires(lives_until);
            let row = if key == 4 { row.temporary() } else { row };
            let row = if last.is_some() { row.deleted() } else { row };
            let identity = (row.key_xdr.clone().unwrap(), row.contract_durability.clone());
            let deleted = row.deleted;
            rows.push(row);
            changes.push(Change { contract, key, value, identity, lives_until, deleted, ledger, index });
        }
    }
    (rows, changes)
}

/// What the model says of the entries of a contract after a ledger.
fn states(changes: &[Change], contract: u32, ledger: u32) -> Vec<String> {
    let then = changes.iter().filter(|change| change.contract == contract && change.ledger <= ledger);
    let newest: BTreeMap<&(String, String), &Change> =
        then.map(|change| (&change.identity, change)).collect();
    let living = newest.values().filter(|change| !change.deleted);
    living
        .map(|change| {
            let liveness = if change.lives_until >= ledger { "live" } else { "unknown" };
            let durability = &change.identity.1;
            let (key, value) = (change.key, change.value);
            format!("{key} {value} {durability} {liveness} {}/{}", change.ledger, change.index)
        })
        .collect()
}

/// What the model says of the changes of a contract between two ledgers.
fn between(changes: &[Change], contract: u32, from: u32, to: u32) -> Vec<String> {
    let mut values: BTreeMap<u32, u64> = BTreeMap::new();
    let mut lines = Vec::new();
    for change in changes.iter().filter(|change| change.contract == contract && change.ledger <= to) {
        let after = (!change.deleted).then_some(change.value);
        let before = match after {
            Some(value) => values.insert(change.key, value),
            None => values.remove(&change.key),
        };
        let name = match (before, after) {
            (None, _) => "created",
            (_, Some(_)) => "updated",
            (_, None) => "removed",
        };
        if change.ledger > from {
            let text = |value: Option<u64>| value.map_or("-".to_owned(), |value| value.to_string());
            let (before, after, key) = (text(before), text(after), change.key);
            lines.push(format!("{}/{} {name} {key} {before} {after}", change.ledger, change.index));
        }
    }
    lines
}

/// The entries that a call of a function answers, as the model writes them.
fn states_of(call: &str) -> String {
    format!(
        "select format('%s %s %s %s %s/%s', key -> 'vec' -> 1 ->> 'u32', value ->> 'u64', contract_durability,
           liveness, ledger_sequence, change_index) from contract_data.{call}"
    )
}

/// Compares everything that the history still tells from this ledger on; what it does not is refused.
async fn check(world: &World, changes: &[Change], known_from: u32) {
    let session = world.database.connect().await;
    for contract in 0..2 {
        let id = testkit::rows::contract(contract);
        for ledger in known_from..=LAST {
            let found =
                testkit::database::rows(&session, &states_of(&format!("states_at('{id}', {ledger})"))).await;
            assert_eq!(found, states(changes, contract, ledger), "contract {contract} at {ledger}");
            let from = known_from + (LAST - ledger) / 2;
            let changed = format!(
                "select format('%s/%s %s %s %s %s', ledger_sequence, change_index, change, key -> 'vec' -> 1 ->> 'u32',
                   coalesce(value_before ->> 'u64', '-'), coalesce(value_after ->> 'u64', '-'))
                 from contract_data.changes_between('{id}', {from}, {ledger})"
            );
            let found = testkit::database::rows(&session, &changed).await;
            assert_eq!(
                found,
                between(changes, contract, from, ledger),
                "contract {contract} from {from} to {ledger}"
            );
        }
        let now = testkit::database::rows(&session, &states_of(&format!("storage('{id}')"))).await;
        assert_eq!(now, states(changes, contract, LAST), "contract {contract} now");
        let mut refused = vec![
            (format!("states_at('{id}', {})", LAST + 1), "is not loaded yet"),
            (format!("changes_between('{id}', {}, {})", LAST - 1, LAST + 1), "is not loaded yet"),
        ];
        if let Some(unknown) = known_from.checked_sub(1) {
            refused.push((format!("states_at('{id}', {unknown})"), "is not kept"));
            refused.push((format!("changes_between('{id}', {unknown}, {LAST})"), "is not kept"));
        }
        for (call, reason) in refused {
            let told =
                session.batch_execute(&format!("select * from contract_data.{call}")).await.unwrap_err();
            let told = told.as_db_error().unwrap();
            assert_eq!(told.code().code(), "55000", "{call}: {told:?}");
            assert!(told.message().contains(reason), "{call}: {told:?}");
        }
    }
}

#[tokio::test]
async fn entries_now_and_then_and_between_are_those_of_the_model() {
    let (rows, changes) = history(&mut Die(7));
    for name in ["created", "updated", "removed"] {
        let all = [0, 1].map(|contract| between(&changes, contract, 0, LAST)).concat();
        assert!(all.iter().filter(|line| line.contains(name)).count() > 10, "{name}");
    }
    let source = Chain::of_rows(rows).range(1..=LAST).serve();
    let world = World::around(&source).await;
    world.database.execute(&format!("update contract_data.settings set partition_ledgers = {SIZE}")).await;
    world.set("PARTITION_LEDGERS", &SIZE.to_string());
    world.replay(1, LAST).await.unwrap();
    check(&world, &changes, 0).await;
    for keep in [45, 21] {
        let boundary = u32::try_from(retain(&world, keep).await.retained_from.unwrap()).unwrap();
        assert!((SIZE..LAST).contains(&boundary), "{boundary}");
        check(&world, &changes, boundary - 1).await;
    }
}

#[tokio::test]
async fn an_entry_lives_up_to_and_with_its_last_ledger() {
    let rows = vec![
        Row::at(1).key(1).value(1).expires(5),
        Row::at(1).key(2).value(2).expires(4),
        Row::at(5).contract(2),
    ];
    let source = Chain::of_rows(rows).serve();
    let world = World::around(&source).await;
    world.replay(1, 5).await.unwrap();
    let id = testkit::rows::contract(1);
    let persistent = testkit::rows::PERSISTENT;
    let lives = |first: &str, second: &str| {
        [format!("1 1 {persistent} {first} 1/0"), format!("2 2 {persistent} {second} 1/1")]
    };
    let now = states_of(&format!("storage('{id}')"));
    assert_eq!(world.database.rows(&now).await, lives("live", "unknown"));
    for (ledger, expected) in [(4, lives("live", "live")), (5, lives("live", "unknown"))] {
        let then = states_of(&format!("states_at('{id}', {ledger})"));
        assert_eq!(world.database.rows(&then).await, expected, "at {ledger}");
    }
}

#[tokio::test]
async fn a_removal_of_what_was_never_seen_has_the_value_before() {
    let rows = vec![
        Row::at(1).contract(2),
        Row::at(2).key(1).value(7).deleted(),
        Row::at(3).key(1).value(8),
        Row::at(4).key(2).value(9).deleted(),
        Row::at(4).key(2).value(9).deleted(),
    ];
    let source = Chain::of_rows(rows).serve();
    let world = World::around(&source).await;
    world.replay(1, 4).await.unwrap();
    let changes = format!(
        "select ledger_sequence, change, value_before ->> 'u64', value_after ->> 'u64'
         from contract_data.changes_between('{}', 0, 4)",
        testkit::rows::contract(1)
    );
    assert_eq!(
        world.database.rows(&changes).await,
        ["2 | removed | 7 | -", "3 | created | - | 8", "4 | removed | 9 | -", "4 | removed | 9 | -"]
    );
}
