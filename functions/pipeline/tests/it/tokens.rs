//! Tokens, their balances and their holders.

use stellar_xdr::{
    ContractExecutable, Hash, Int128Parts, ScAddress, ScContractInstance, ScMap, ScMapEntry, ScString, ScVal,
    ScVec,
};
use testkit::rows::{INSTANCE, VEC, contract, holder};
use testkit::{Asset, Chain, Named, Row, Ttl, asset};

use crate::real_lake::served;
use crate::support::{World, real_data};

/// The last ledger of the chain.
const LAST: u32 = 10;

fn symbol(text: &str) -> ScVal {
    ScVal::Symbol(text.try_into().unwrap())
}

fn string(text: &str) -> ScVal {
    ScVal::String(ScString(text.try_into().unwrap()))
}

fn i128(amount: i128) -> ScVal {
    ScVal::I128(Int128Parts { hi: (amount >> 64) as i64, lo: amount as u64 })
}

fn map(fields: Vec<(ScVal, ScVal)>) -> ScMap {
    let fields: Vec<ScMapEntry> = fields.into_iter().map(|(key, val)| ScMapEntry { key, val }).collect();
    ScMap(fields.try_into().unwrap())
}

/// A row with this key and value that says nothing of its life.
fn entry(row: Row, key_type: &str, key: &ScVal, value: &ScVal) -> Row {
    let val_xdr = Some(testkit::xdr::base64(value));
    Row { val_xdr, expiration_ledger_seq: None, ..row.keyed(key_type, key) }
}

/// The balance of a holder, as this value.
fn balance(row: Row, holder: &str, value: &ScVal) -> Row {
    let items = vec![symbol("Balance"), ScVal::Address(holder.parse::<ScAddress>().unwrap())];
    entry(row, VEC, &ScVal::Vec(Some(ScVec(items.try_into().unwrap()))), value)
}

/// The instance of a token that says this under METADATA.
fn instance(row: Row, metadata: ScVal) -> Row {
    let executable = ContractExecutable::Wasm(Hash([7; 32]));
    let storage = map(vec![(symbol("METADATA"), metadata), (symbol("Version"), ScVal::U32(1))]);
    let value = ScVal::ContractInstance(ScContractInstance { executable, storage: Some(storage) });
    let row = Row { contract_instance_type: Some("wasm".to_owned()), ..row };
    entry(row, INSTANCE, &ScVal::LedgerKeyContractInstance, &value)
}

fn metadata(decimals: ScVal, name: &str, short: ScVal) -> ScVal {
    let fields =
        vec![(symbol("decimal"), decimals), (symbol("name"), string(name)), (symbol("symbol"), short)];
    ScVal::Map(Some(map(fields)))
}

/// A chain of these rows, each of which lives until the ledger behind it.
async fn loaded(rows: Vec<(Row, u32)>, evicted: &[Row], named: Vec<Named>) -> World {
    let hash = |row: &Row| row.ledger_key_hash.clone().unwrap();
    let ttl = |(row, until): &(Row, u32)| {
        let (change, until) = if row.deleted { ("removed", None) } else { ("created", Some(*until)) };
        Ttl::at(row.ledger_sequence, &hash(row), change, until)
    };
    let mut ttls: Vec<Ttl> = rows.iter().map(ttl).collect();
    ttls.extend(evicted.iter().map(|row| Ttl::evicted(LAST, &hash(row), &row.contract_durability)));
    let rows = rows.into_iter().map(|(row, _)| row).collect();
    let source = Chain::of_rows(rows).with_sides(ttls, named).range(1..=LAST).serve();
    let world = World::around(&source).await;
    world.replay(1, LAST).await.unwrap();
    world.verified().await;
    world
}

#[tokio::test]
async fn tokens_balances_and_holders_are_those_of_the_contracts() {
    let [mine, plain] = [1, 2].map(contract);
    let usdc = Asset::credit("USDC", 1);
    let eurc = Asset::credit("EURC", 1);
    let at = |ledger: u32, contract: &str| Row::at(ledger).of_contract(contract);
    let sac = |ledger: u32, asset: &Asset| {
        let row = Row::at(ledger).of_contract(asset.contract_id(asset::PUBNET));
        Row { expiration_ledger_seq: None, ..row }
    };
    let of_map =
        ScVal::Map(Some(map(vec![(symbol("amount"), i128(40)), (symbol("frozen"), ScVal::Bool(false))])));
    let evicted = balance(at(2, &mine), &contract(12), &i128(60));
    let rows = vec![
        (instance(at(1, &mine), metadata(ScVal::U32(6), "Mine", string("MINE"))), 99),
        (balance(at(1, &mine), &holder(1), &i128(1)), 99),
        (balance(at(1, &mine), &contract(11), &i128(i128::MAX)), 99),
        (balance(at(1, &mine), &holder(2), &of_map), 99),
        (balance(at(1, &mine), &holder(3), &i128(9_000_000)), 99),
        (balance(at(1, &mine), &holder(4), &i128(50)), 5), // archived
        (balance(at(1, &mine), &holder(5), &i128(70)).temporary(), 5), // gone
        (balance(at(1, &plain), &holder(1), &i128(7)), 99),
        (sac(1, &usdc).instance(&usdc), 99),
        (sac(1, &usdc).balance_of(&contract(11), 25), 99),
        (sac(1, &eurc).balance_of(&contract(11), 1), 99),
        (evicted.clone(), 4),
        (balance(at(3, &mine), &holder(1), &i128(5_000_000)), 99),
        (balance(at(3, &mine), &holder(3), &i128(9_000_000)).deleted(), 99),
    ];
    let world = loaded(rows, &[evicted], vec![Named::at(1, &eurc)]).await;

    let tokens = "select symbol, name, decimals, kind, contract_id, asset_code, asset_type
                  from contract_data.contract_tokens order by symbol";
    let of_asset = |code: &str, asset: &Asset| {
        let (issuer, id) = (testkit::rows::issuer(1), asset.contract_id(asset::PUBNET));
        format!("{code} | {code}:{issuer} | 7 | sac | {id} | {code} | credit_alphanum4")
    };
    let native = Asset::Native.contract_id(asset::PUBNET);
    assert_eq!(
        world.database.rows(tokens).await,
        [
            of_asset("EURC", &eurc),
            format!("MINE | Mine | 6 | sep41 | {mine} | - | -"),
            of_asset("USDC", &usdc),
            format!("native | native | 7 | sac | {native} | - | native"),
        ]
    );

    let of_mine = [
        format!("{} | {} | 170141183460469231731687303715884.105727 | live | 1", contract(11), i128::MAX),
        format!("{} | 5000000 | 5.000000 | live | 3", holder(1)),
        format!("{} | 60 | 0.000060 | archived | 2", contract(12)),
        format!("{} | 50 | 0.000050 | archived | 1", holder(4)),
        format!("{} | 40 | 0.000040 | live | 1", holder(2)),
    ];
    let balances = |contract: &str| {
        format!(
            "select holder, amount, units, liveness, ledger_sequence from contract_data.token_balances
             where contract_id = '{contract}' order by amount desc"
        )
    };
    assert_eq!(world.database.rows(&balances(&mine)).await, of_mine);
    let unknown = format!("{} | 7 | - | live | 1", holder(1));
    assert_eq!(world.database.rows(&balances(&plain)).await, [unknown]);
    let of_usdc = format!("{} | 25 | 0.0000025 | live | 1", contract(11));
    assert_eq!(world.database.rows(&balances(&usdc.contract_id(asset::PUBNET))).await, [of_usdc]);

    let holders = |arguments: &str| {
        format!(
            "select rank, holder, amount, units, liveness, ledger_sequence
             from contract_data.get_token_holders('{mine}'{arguments})"
        )
    };
    let ranked = |lines: &[&String]| -> Vec<String> {
        lines.iter().enumerate().map(|(n, line)| format!("{} | {line}", n + 1)).collect()
    };
    let all: Vec<&String> = of_mine.iter().collect();
    assert_eq!(world.database.rows(&holders("")).await, ranked(&all));
    assert_eq!(world.database.rows(&holders(", 2")).await, ranked(&all[..2]));
    let live = [all[0], all[1], all[4]];
    assert_eq!(world.database.rows(&holders(", 100, true")).await, ranked(&live));
    assert_eq!(world.database.rows(&holders(", 2, true")).await, ranked(&live[..2]));
}

#[tokio::test]
async fn metadata_that_is_none_makes_no_token() {
    let short = || string("SHORT");
    let of = |decimals: ScVal| metadata(decimals, "Name", short());
    let wrong = [
        metadata(ScVal::U32(7), "Name", symbol("SYMBOL")),
        of(ScVal::U32(39)),
        of(ScVal::U32(u32::MAX)),
        of(ScVal::U64(7)),
        of(ScVal::Void),
        ScVal::Map(Some(map(vec![(symbol("symbol"), short())]))),
        ScVal::Map(Some(map(vec![(ScVal::Void, ScVal::Void)]))),
        ScVal::Map(None),
        ScVal::Vec(None),
        ScVal::Void,
        string("METADATA"),
    ];
    let mut rows: Vec<Row> = Vec::new();
    for (metadata, n) in wrong.into_iter().zip(100..) {
        rows.push(instance(Row::at(1).contract(n), metadata));
        rows.push(balance(Row::at(1).contract(n), &holder(1), &i128(1)));
    }
    let tokens = rows.len() / 2;
    let whole = instance(Row::at(1).contract(1), of(ScVal::U32(0)));
    rows.extend([50, 51, 52].map(|n| whole.clone().contract(n)));
    let nameless = vec![(symbol("decimal"), ScVal::U32(38)), (symbol("symbol"), short())];
    rows.push(instance(Row::at(1).contract(2), ScVal::Map(Some(map(nameless)))));
    rows.push(instance(Row::at(1).contract(3), metadata(ScVal::U32(1), "\u{e9}lan", short())));
    rows.push(whole);
    let world = loaded(rows.into_iter().map(|row| (row, 99)).collect(), &[], Vec::new()).await;
    // No source gets these past the loader: what ends too early, what is not base64, and nothing.
    let [cut, no_base64, nothing] = [50, 51, 52].map(contract);
    let damage = format!(
        "update contract_data.key_states set val_xdr = case contract_id
           when '{cut}' then left(val_xdr, -8) when '{no_base64}' then '*' || val_xdr end
         where contract_id in ('{cut}', '{no_base64}', '{nothing}')"
    );
    world.database.execute(&damage).await;

    let found = "select symbol, name, decimals from contract_data.contract_tokens
                 where kind = 'sep41' order by decimals";
    assert_eq!(
        world.database.rows(found).await,
        [r"SHORT | Name | 0", r"SHORT | \xc3\xa9lan | 1", "SHORT | - | 38"]
    );
    let without = "select count(*), count(decimals), count(units) from contract_data.token_balances";
    assert_eq!(world.database.value(without).await, format!("{tokens} | 0 | 0"));
}

/// By stellar-sdk for Python, from the rows of the six ledgers: contract, balances, of accounts, their sum, the largest and its holder.
const REAL_BALANCES: [&str; 6] = [
    "CAS3J7GYLGXMF6TDJBBYYSE3HQ6BBSMLNUQ34T6TZMYMW2EVH34XOWMA | 8 | 0 | 248191260902889 | 139904556671895 | CD2O2B6PWKXDVFXMHXHQMF25C4TWOSQAENA7DNFR5G27F5CHJ7AJP5F6",
    "CBIJBDNZNF4X35BJ4FFZWCDBSCKOP5NB4PLG4SNENRMLAPYG4P5FM6VN | 2 | 1 | 5156832239 | 5156738362 | CD2O2B6PWKXDVFXMHXHQMF25C4TWOSQAENA7DNFR5G27F5CHJ7AJP5F6",
    "CCA2ZJP5BVRXYTQH4FAGHCAUMRYCXVC4CRYC2NXHWMR7TIVX36U7F5HR | 2 | 2 | 23056218111 | 22729121798 | GC3S56AK6TGJVVM2WPW6S6RBOHVYKFZGXVJUXDCYBW7P5JOK3AZYEA2W",
    "CCW67TSZV3SSS2HXMBQ5JFGCKJNXKZM7UQUWUZPUTHXSTZLEO7SJMI75 | 11 | 0 | 209176123598004 | 177963260604837 | CAJJZSGMMM3PD7N33TAPHGBUGTB43OC73HVIK2L2G6BNGGGYOSSYBXBD",
    "CDJQXBQO5ICVQUPHZHW7SHOM56K2UNNPPAIXUUSA3XACEI6Q4JQLXNVI | 3 | 0 | 10838632124 | 5569669495 | CCRDMKXCM3F7I4SRA6PAICMFOY3MIR67U5QMZFW2EGHAXYYN2NI7USH4",
    "CDOFW7HNKLUZRLFZST4EW7V3AV4JI5IHMT6BPXXSY2IEFZ4NE5TWU2P4 | 3 | 0 | 5853756592635 | 5853659604612 | CCWNKTTMHZ4VRR3FYQT3G253MHOGRLUEVTO6YPENM7ZN65DGC345LHI6",
];

#[tokio::test]
async fn tokens_of_real_ledgers_are_those_of_an_independent_decode() {
    let Some(lake) = real_data("lake") else { return };
    let world = served(&lake).await;
    world.replay(63_092_982, 63_092_987).await.unwrap();
    let balances =
        "select contract_id, count(*), count(*) filter (where holder like 'G%'), sum(amount), max(amount),
          (array_agg(holder order by amount desc))[1]
        from contract_data.token_balances group by contract_id order by contract_id";
    assert_eq!(world.database.rows(balances).await, REAL_BALANCES);
    let vault = "CCA2ZJP5BVRXYTQH4FAGHCAUMRYCXVC4CRYC2NXHWMR7TIVX36U7F5HR";
    let tokens =
        "select contract_id, symbol, name, decimals from contract_data.contract_tokens where kind = 'sep41'";
    assert_eq!(world.database.value(tokens).await, format!("{vault} | MERU | DeFindex-Vault-Meru | 7"));
    let largest = format!("select holder, units from contract_data.get_token_holders('{vault}', 1)");
    let expected = "GC3S56AK6TGJVVM2WPW6S6RBOHVYKFZGXVJUXDCYBW7P5JOK3AZYEA2W | 2272.9121798";
    assert_eq!(world.database.value(&largest).await, expected);
}
