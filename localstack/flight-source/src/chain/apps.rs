//! Three contracts whose entries mean something: a token that is no Stellar asset, a collection of things that have one owner
//! each, and a pool of two tokens whose shares are a token too.

use stellar_xdr::{
    AccountId, ContractExecutable, Error, Hash, Int128Parts, PublicKey, ScAddress, ScContractInstance, ScMap,
    ScVal, Uint256,
};

use super::keys::{Content, Key, address, of_holder};
use super::values::{Template, number};
use crate::asset::{map, string, symbol, vec};

/// The number of these contracts, which come last among the contracts.
pub(crate) const APPS: u16 = 3;

/// Balances of the token, allowances of its holders, things in the collection, and balances of the pool's shares.
const HOLDERS: usize = 60;
const ALLOWANCES: usize = 16;
const THINGS: u32 = 40;
const SHARES: usize = 12;

fn account(key: [u8; 32]) -> ScAddress {
    ScAddress::Account(AccountId(PublicKey::PublicKeyTypeEd25519(Uint256(key))))
}

/// Someone: two of three are accounts, the others are contracts.
pub(crate) fn someone(i: usize, id: [u8; 32]) -> ScAddress {
    if i % 3 == 2 { address(id) } else { account(id) }
}

/// The entries of the app with this number, without its instance: the key, whether it is persistent, and the kind of value.
pub(crate) fn entries(app: usize, people: &[[u8; 32]]) -> Result<Vec<(ScVal, bool, Content)>, Error> {
    let someone = |i: usize| someone(i, people[i % people.len()]);
    let balances = |count: usize, app: usize| {
        (0..count).map(move |rank| {
            let key = of_holder("Balance", someone(rank * (app + 1)))?;
            Ok((key, true, Content::Amount { rank: rank as u32 }))
        })
    };
    let allowances = (0..ALLOWANCES).map(|i| {
        let parties = map(vec![
            (symbol("from")?, ScVal::Address(someone(i))),
            (symbol("spender")?, ScVal::Address(someone(3 * i + 2))),
        ])?;
        Ok((vec(vec![symbol("Allowance")?, parties])?, false, Content::Allowance))
    });
    let things =
        (0..THINGS).map(|thing| Ok((vec(vec![symbol("Owner")?, ScVal::U32(thing)])?, true, Content::Owner)));
    match app {
        0 => balances(HOLDERS, app).chain(allowances).collect(),
        1 => things.collect(),
        _ => balances(SHARES, app).collect(),
    }
}

/// The instance of the app with this number and code. Of the pool, it holds the reserves of two tokens.
pub(crate) fn instance(app: usize, code: [u8; 32], tokens: [[u8; 32]; 2]) -> Result<Template, Error> {
    let texts =
        [("Harbor Dollar", "HUSD"), ("Harbor Berths", "BERTH"), ("Harbor Pool Shares", "HUSD-LP")][app];
    Template::new(|fill| {
        let amount = || ScVal::I128(Int128Parts { hi: 0, lo: number(fill) });
        let mut metadata = vec![(symbol("name")?, string(texts.0)?), (symbol("symbol")?, string(texts.1)?)];
        if app != 1 {
            metadata.push((symbol("decimal")?, ScVal::U32(if app == 0 { 6 } else { 7 })));
        }
        let mut storage = vec![(symbol("METADATA")?, map(metadata)?)];
        let mut say = |name: &str, value| {
            storage.push((vec(vec![symbol(name)?])?, value));
            Ok::<_, Error>(())
        };
        match app {
            0 => say("TotalSupply", amount())?,
            1 => say("NextToken", ScVal::U32(THINGS))?,
            _ => {
                say("ReserveA", amount())?;
                say("ReserveB", amount())?;
                say("TokenA", ScVal::Address(address(tokens[0])))?;
                say("TokenB", ScVal::Address(address(tokens[1])))?;
            }
        }
        Ok(ScVal::ContractInstance(ScContractInstance {
            executable: ContractExecutable::Wasm(Hash(code)),
            storage: Some(ScMap::sorted_from_pairs(storage.into_iter())?),
        }))
    })
}

/// The keys of the app with this number, its instance first.
pub(crate) fn keys(app: usize, contract: (u16, [u8; 32]), people: &[[u8; 32]]) -> Result<Vec<Key>, Error> {
    let instance = (ScVal::LedgerKeyContractInstance, true, Content::Instance);
    let entries = std::iter::once(instance).chain(entries(app, people)?);
    entries.map(|(key, persistent, content)| Key::new(contract, key, persistent, content)).collect()
}
