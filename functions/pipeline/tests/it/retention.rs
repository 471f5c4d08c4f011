//! Random histories with removals and returns, loaded in any order: whatever retention drops in between, the current state is
//! that of a model which keeps everything.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use pipeline::{Maintenance, ReplayKind, ReplayOptions};
use testkit::{Asset, Chain, Row, asset};

use crate::support::World;

/// Ledgers to a partition.
const SIZE: u32 = 10;
/// The last ledger of the chain.
const LAST: u32 = 80;

/// A deterministic die.
pub(crate) struct Die(pub(crate) u64);

impl Die {
    /// A number below `sides`.
    pub(crate) fn roll(&mut self, sides: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % u64::from(sides)) as u32
    }
}

/// Up to three changes per ledger of a few keys, removals among them, and of the balances of an asset that is rarely named.
fn history(die: &mut Die) -> Vec<Row> {
    let usdc = Asset::credit("USDC", 1);
    let contract = usdc.contract_id(asset::PUBNET);
    let mut rows = Vec::new();
    for ledger in 1..=LAST {
        for _ in 0..die.roll(4) {
            let row = Row::at(ledger);
            let row = match die.roll(12) {
                0 => row.of_contract(&contract).instance(&usdc),
                1..=4 => row.of_contract(&contract).balance(die.roll(4), i128::from(ledger)),
                _ => row.contract(die.roll(2)).key(die.roll(6)).value(u64::from(die.roll(1000))),
            };
            rows.push(if row.asset_type.is_none() && die.roll(3) == 0 { row.deleted() } else { row });
        }
    }
    rows
}

/// What key_states must say of the loaded ledgers: hash, ledger, number, removed, value, code of the asset.
fn model(rows: &[Row], loaded: &BTreeSet<u32>) -> Vec<String> {
    let mut next: BTreeMap<u32, u32> = BTreeMap::new();
    let mut newest: BTreeMap<String, (u32, u32, &Row)> = BTreeMap::new();
    let mut assets: BTreeMap<&str, &str> = BTreeMap::new();
    for row in rows.iter().filter(|row| loaded.contains(&row.ledger_sequence)) {
        let index = next.entry(row.ledger_sequence).or_default();
        newest.insert(row.ledger_key_hash.clone().unwrap(), (row.ledger_sequence, *index, row));
        *index += 1;
        if let Some(code) = &row.asset_code {
            assets.insert(&row.contract_id, code);
        }
    }
    let line = |(hash, (ledger, index, row)): (&String, &(u32, u32, &Row))| {
        let code = row.balance_holder.as_ref().and_then(|_| assets.get(row.contract_id.as_str()));
        let (deleted, value) = (if row.deleted { "t" } else { "f" }, row.val_xdr.as_deref().unwrap());
        format!("{hash} {ledger}/{index} {deleted} {value} {}", code.unwrap_or(&"-"))
    };
    newest.iter().map(line).collect()
}

/// What key_states says.
async fn states(world: &World) -> Vec<String> {
    let states =
        "select format('%s %s/%s %s %s %s', ledger_key_hash, ledger_sequence, change_index, deleted, val_xdr,
        coalesce(asset_code, '-')) from contract_data.key_states order by ledger_key_hash";
    world.database.rows(states).await
}

/// The ledgers of completed windows.
async fn loaded(world: &World) -> BTreeSet<u32> {
    let windows =
        "select l from contract_data.ingestion_progress, generate_series(start_ledger, end_ledger) l
                   where status = 'completed'";
    world.database.rows(windows).await.iter().map(|ledger| ledger.parse().unwrap()).collect()
}

/// Fails unless the state equals the model, also after a rebuild; and unless verify agrees.
async fn expect(world: &World, rows: &[Row], step: &str) {
    let expected = model(rows, &loaded(world).await);
    assert_eq!(states(world).await, expected, "{step}");
    world.verified().await;
    world.database.value("select contract_data.refresh_current_states()").await;
    assert_eq!(states(world).await, expected, "{step}, built anew");
    world.verified().await;
}

/// Runs maintenance that keeps this many ledgers; nothing may block it.
pub(crate) async fn retain(world: &World, ledgers: u32) -> Maintenance {
    world.set("RETAIN_LEDGERS", &ledgers.to_string());
    let done = pipeline::maintain(&world.config(), false).await.unwrap();
    assert!(done.postponed.is_empty(), "{:?}", done.postponed);
    let boundary = done.retained_from.unwrap_or(0);
    let low = format!("select count(*) from contract_data.entries where ledger_sequence < {boundary}");
    assert_eq!(world.database.value(&low).await, "0");
    done
}

/// One history, from its first window to its second retention.
async fn survives(seed: u64) {
    let mut die = Die(seed);
    let mut rows = history(&mut die);
    let source = Chain::of_rows(rows.clone()).range(1..=LAST).serve();
    let world = World::around(&source).await;
    world.database.execute(&format!("update contract_data.settings set partition_ledgers = {SIZE}")).await;
    world.set("PARTITION_LEDGERS", &SIZE.to_string());
    for _ in 0..6 {
        world.set("WINDOW_LEDGERS", &(1 + die.roll(7)).to_string());
        let start = 1 + die.roll(LAST - 20);
        world.replay(start, start + die.roll(30)).await.unwrap();
    }
    expect(&world, &rows, "loaded").await;
    let boundary = retain(&world, 1 + die.roll(LAST)).await.retained_from.unwrap_or(1) as u32;
    expect(&world, &rows, "retained").await;

    // The source changes some ledgers above the boundary, and they are loaded again.
    let first = boundary.max(1) + die.roll(LAST + 1 - boundary.max(1));
    let told = first..=(first + die.roll(15)).min(LAST);
    rows.retain(|row| !told.contains(&row.ledger_sequence) || row.asset_type.is_some() || die.roll(3) == 0);
    let later = Chain::of_rows(rows.clone()).range(1..=LAST);
    source.answer_with(move |request| later.answer(request));
    let options = ReplayOptions { kind: ReplayKind::Force { trust_end: false }, ..ReplayOptions::default() };
    world.replay_with(*told.start(), *told.end(), options).await.unwrap();
    expect(&world, &rows, "told otherwise").await;

    world.replay(1, LAST).await.unwrap();
    expect(&world, &rows, "completed").await;
    let higher = retain(&world, 1 + die.roll(25)).await.retained_from.unwrap() as u32;
    assert!(higher >= boundary && higher.is_multiple_of(SIZE));
    expect(&world, &rows, "retained again").await;
}

#[tokio::test]
async fn whatever_is_dropped_the_state_is_that_of_the_whole_history() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed = std::env::var("TEST_SEED").map_or(u64::from(now.subsec_nanos()), |seed| seed.parse().unwrap());
    for n in 0..10 {
        // shown when it fails
        println!("TEST_SEED={}", seed + n);
        survives(seed + n).await;
    }
}
