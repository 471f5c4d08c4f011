//! The current state: the newest change of every key, in whatever order windows come, and the assets of balances.

use testkit::{Asset, Chain, Row, Source, asset};

use crate::support::World;

/// The current state as `key hash's first letters, ledger/index, value`, with the tombstones in front.
async fn states(world: &World) -> Vec<String> {
    world
        .database
        .rows(
            "select format('%s %s/%s %s %s', deleted, ledger_sequence, change_index, left(ledger_key_hash, 6), val_xdr)
             from contract_data.key_states order by ledger_key_hash",
        )
        .await
}

/// Five windows of one ledger each, in which keys change, vanish and come back.
fn eventful() -> Vec<Row> {
    vec![
        Row::at(1).key(1).value(11),
        Row::at(1).key(2).value(12),
        Row::at(1).key(1).value(13),
        Row::at(2).key(1).value(21).deleted(),
        Row::at(2).key(3).value(22),
        Row::at(3).key(1).value(31),
        Row::at(3).key(2).value(32).deleted(),
        Row::at(3).key(4).value(33),
        Row::at(4).key(3).value(41).deleted(),
        Row::at(4).key(3).value(42),
        Row::at(4).key(3).value(43).deleted(),
        Row::at(5).key(1).value(51).deleted(),
        Row::at(5).key(4).value(52),
    ]
}

#[tokio::test]
async fn the_newest_change_wins_in_whatever_order_windows_come() {
    let source = Source::of_rows(eventful());
    let mut expected = None;
    let orders: [[u32; 5]; 6] = [
        [1, 2, 3, 4, 5],
        [5, 4, 3, 2, 1],
        [3, 1, 5, 2, 4],
        [2, 5, 1, 4, 3],
        [4, 1, 3, 5, 2],
        [5, 1, 2, 3, 4],
    ];
    for order in orders {
        let world = World::around(&source).await;
        for ledger in order {
            world.replay(ledger, ledger).await.unwrap();
        }
        let found = states(&world).await;
        assert_eq!(found.len(), 4);
        let current = "select count(*) from contract_data.current_states";
        assert_eq!(world.database.value(current).await, "1", "only key 4 lives");
        assert_eq!(*expected.get_or_insert_with(|| found.clone()), found, "in the order {order:?}");
        world.verified().await;
    }
}

#[tokio::test]
async fn folding_in_the_load_or_later_gives_the_same() {
    let source = Source::of_rows(eventful());
    let later = World::around(&source).await;
    later.replay(1, 5).await.unwrap();
    let inline = World::around(&source).await;
    inline.set("WINDOW_LEDGERS", "1");
    inline.set("COMMIT_INTERVAL", "0s");
    let report = inline.run().await.unwrap();
    assert_eq!(report.windows.len(), 5);
    assert_eq!(states(&inline).await, states(&later).await);
    inline.verified().await;
}

#[tokio::test]
async fn a_rebuilt_state_is_the_same_state() {
    let source = Source::of_rows(eventful());
    let world = World::around(&source).await;
    world.replay(1, 5).await.unwrap();
    let before = states(&world).await;
    world.database.execute("update contract_data.key_states set val_xdr = 'AAAA'").await;
    let findings = world.verify().await.findings;
    assert!(findings[0].problem.contains("is not what the history says (4 keys differ)"), "{findings:?}");
    assert_eq!(world.database.value("select contract_data.refresh_current_states()").await, "1");
    assert_eq!(states(&world).await, before);
    world.verified().await;
}

#[tokio::test]
async fn a_balance_gets_its_asset_whenever_the_instance_is_seen() {
    let usdc = Asset::credit("USDC", 1);
    let contract = usdc.contract_id(asset::PUBNET);
    let balance = |ledger, holder, amount| {
        Row::at(ledger).of_contract(&contract).balance_of(&testkit::rows::contract(holder), amount)
    };
    let rows = vec![
        balance(1, 1, 500),
        balance(1, 2, 700),
        Row::at(2).of_contract(&contract).instance(&usdc),
        balance(3, 3, 600),
    ];
    let source = Source::of_rows(rows);
    let rich = "select balance, ledger_sequence from contract_data.current_states
                where asset_code = 'USDC' order by balance desc";
    for order in [[1, 2, 3], [2, 1, 3], [3, 2, 1], [3, 1, 2]] {
        let world = World::around(&source).await;
        for ledger in order {
            world.replay(ledger, ledger).await.unwrap();
        }
        assert_eq!(
            world.database.rows(rich).await,
            ["700 | 1", "600 | 3", "500 | 1"],
            "in the order {order:?}"
        );
        let instance = "select asset_code from contract_data.current_states where balance_holder is null";
        assert_eq!(world.database.value(instance).await, "-", "an instance row heads no rich list");
        world.verified().await;
    }
}

#[tokio::test]
async fn an_asset_that_the_id_of_its_contract_denies_is_kept_in_its_row_and_not_learnt() {
    let (usdc, liar) = (Asset::credit("USDC", 1), testkit::rows::contract(9));
    let source = Source::of_rows(vec![
        Row::at(1).of_contract(&liar).instance(&usdc),
        Row::at(1).of_contract(&liar).balance(1, 1_000_000),
        Row::at(2).of_contract(usdc.contract_id(asset::PUBNET)).instance(&usdc),
        Row::at(2).of_contract(usdc.contract_id(asset::PUBNET)).balance(1, 5),
        Row::at(3).of_contract(usdc.contract_id(asset::TESTNET)).instance(&usdc),
    ]);
    let world = World::around(&source).await;
    world.replay(1, 3).await.unwrap();
    let claims = "select count(*) from contract_data.entries where asset_code = 'USDC'";
    assert_eq!(world.database.value(claims).await, "3", "the rows are kept");
    let rich =
        "select balance from contract_data.current_states where asset_code = 'USDC' order by balance desc";
    assert_eq!(world.database.rows(rich).await, ["5"]);
    world.verified().await;

    // An asset believed by an earlier release.
    let believe = format!(
        "insert into contract_data.contract_assets (contract_id, asset_type, asset_code, asset_issuer, learnt_from, retained)
         values ('{liar}', 'credit_alphanum4', 'USDC', '{}', 'instance', true);
         select contract_data.spread_assets(array['{liar}'])",
        testkit::rows::issuer(1)
    );
    world.database.execute(&believe).await;
    assert_eq!(world.database.rows(rich).await, ["1000000", "5"]);
    let problem = format!("assets: {liar} is not the contract of USDC:{}", testkit::rows::issuer(1));
    let findings = world.verify().await.findings;
    assert!(findings[0].problem.starts_with(&problem), "{findings:?}");
    world.database.execute("select contract_data.refresh_current_states()").await;
    assert_eq!(world.database.rows(rich).await, ["5"]);
    world.verified().await;
}

#[tokio::test]
async fn sql_derives_the_contract_of_every_asset() {
    let world = World::around(&Source::of_rows(Vec::new())).await;
    for code in ["A", "USDC", "yUSDC", "ABCDEFGHIJKL", "0"] {
        for issuer in 0..8 {
            let asset = Asset::credit(code, issuer);
            let derived = format!(
                "select contract_data.asset_contract(network_id, '{}', '{code}', '{}') from contract_data.settings",
                asset.type_name(),
                testkit::rows::issuer(issuer)
            );
            assert_eq!(world.database.value(&derived).await, asset.contract_id(asset::PUBNET));
        }
    }
    let issuer = testkit::rows::issuer(1);
    for (what, none) in [
        ("another checksum", format!("'credit_alphanum4', 'USDC', '{}A'", &issuer[..55])),
        ("a contract as issuer", format!("'credit_alphanum4', 'USDC', '{}'", testkit::rows::contract(1))),
        ("another type", format!("'credit_alphanum12', 'USDC', '{issuer}'")),
        ("no letter", format!("'credit_alphanum4', 'US-D', '{issuer}'")),
        ("no issuer", "'credit_alphanum4', 'USDC', null".to_owned()),
        ("native with a code", format!("'native', 'USDC', '{issuer}'")),
        ("no asset", "null, null, null".to_owned()),
    ] {
        let derived =
            format!("select contract_data.asset_contract(network_id, {none}) from contract_data.settings");
        assert_eq!(world.database.value(&derived).await, "-", "{what}");
    }
}

#[tokio::test]
async fn native_is_known_from_the_start() {
    let contract = Asset::Native.contract_id(asset::PUBNET);
    let source = Source::of_rows(vec![Row::at(1).of_contract(contract).balance(1, 7)]);
    let world = World::around(&source).await;
    world.replay(1, 1).await.unwrap();
    let state = "select asset_type, asset_code, balance from contract_data.current_states";
    assert_eq!(world.database.value(state).await, "native | - | 7");
    assert_eq!(
        world.database.value("select holders, total_balance from contract_data.asset_summary").await,
        "1 | 7"
    );
    let top = "select rank, balance, amount from contract_data.get_top_holders('XLM', null, 5)";
    assert_eq!(world.database.value(top).await, "1 | 7 | 0.0000007");
}

#[tokio::test]
async fn balances_are_exact_over_the_whole_i128() {
    let amounts = [0, -1, i128::from(i64::MAX), i128::from(i64::MAX) + 1, i128::MAX, i128::MIN, 10_000];
    let rows = amounts.iter().zip(1..).map(|(amount, holder)| Row::at(1).balance(holder, *amount)).collect();
    let source = Source::of_rows(rows);
    let world = World::around(&source).await;
    world.replay(1, 1).await.unwrap();
    let found = world.database.rows("select balance from contract_data.entries order by change_index").await;
    assert_eq!(found, amounts.map(|amount| amount.to_string()));
    world.verified().await;
}

#[tokio::test]
async fn what_a_crash_left_unfolded_the_next_run_folds() {
    let source = Chain::of_rows(eventful()).range(1..=6).serve();
    let world = World::around(&source).await;
    world.replay(1, 5).await.unwrap();
    let before = states(&world).await;
    // as a replay that was killed between its loads and its fold leaves it
    world
        .database
        .execute("delete from contract_data.key_states; update contract_data.ingestion_progress set folded = false")
        .await;
    world.replay(6, 6).await.unwrap();
    assert_eq!(states(&world).await, before);
    world.verified().await;
}
