//! The cast of a chain: its contracts (popular ones first), the holders of balances, and the entries that change. All of it
//! is made at the start, so that a row consists of strings that exist already.

use std::str::FromStr;

use pipeline::contract::asset::{contract_id, credit};
use pipeline::contract::xdr::base16;
use sha2::{Digest, Sha256};
use stellar_xdr::{
    AccountId, Asset, Error, Hash, LedgerKey, LedgerKeyContractCode, Limits, PublicKey, ScVal, UInt128Parts,
    Uint256, WriteXdr,
};

use super::apps::{self, APPS};
use super::dice::{Dice, Use};
use super::keys::{Content, Key, OneOff, address, of_holder};
use super::lives::is_persistent;
use super::values::{self, Template, Values};
use crate::asset::{self, AssetColumns, symbol, vec};
use crate::columns::strkey;

/// Codes of the asset contracts, by popularity. The first is the native asset.
const CODES: [&str; 12] = [
    "",
    "USDC",
    "EURC",
    "yXLM",
    "MEME",
    "AQUA",
    "BTC",
    "AFR",
    "VELO",
    "yUSDC",
    "GOLDRESERVE1",
    "CARBONCREDIT",
];

/// The issuer of USDC on the public network.
const USDC_ISSUER: &str = "GA5ZSEJYB37JRC5AVCIA5MOP4RHTM335X2KGX3IHOJAPP5RE34K4KZVN";

/// The number of asset contracts, which come first among the contracts.
pub(crate) const ASSETS: u16 = CODES.len() as u16;
/// The asset contract whose instance is written long after its first balances.
pub(crate) const LATE: u16 = 3;
/// The asset contract with balances that do not fit int64.
pub(crate) const BEYOND_INT64: u16 = 4;
/// The asset contract whose instance is never written; no trustline names its asset either.
pub(crate) const NEVER: u16 = 7;
/// The number of assets in trustlines that have no contract.
const WITHOUT_CONTRACT: usize = 48;

/// The number of Wasm contracts whose entries mean nothing, which follow the asset contracts.
pub(crate) const WASM: u16 = 288;
/// The number of different Wasm codes.
const CODES_OF_WASM: u64 = 60;
/// The number of contracts that hold balances.
const HOLDERS: usize = 4096;
/// The number of people who use the apps.
const PEOPLE: usize = 512;

/// The kind of a contract.
#[derive(Debug)]
pub(crate) enum Kind {
    /// A Stellar asset contract.
    Asset(AssetColumns),
    /// A Wasm contract, with the hash of its code in hex.
    Wasm(String),
}

/// One contract.
#[derive(Debug)]
pub(crate) struct Contract {
    /// Strkey `C…`.
    pub(crate) strkey: String,
    pub(crate) kind: Kind,
    /// The value of its instance.
    pub(crate) instance: Template,
    /// The index of its instance's key in [`Cast::keys`]; its `keys` other keys follow, popular ones first.
    pub(crate) first_key: usize,
    pub(crate) keys: usize,
    /// Its entries that are written only once; asset contracts have none.
    pub(crate) one_off: Option<OneOff>,
}

/// The contracts, holders and entries of a chain.
#[derive(Debug)]
pub(crate) struct Cast {
    /// Asset contracts first.
    pub(crate) contracts: Vec<Contract>,
    /// Strkeys of the holders.
    pub(crate) holders: Vec<Box<str>>,
    /// Values that name the people who use the apps.
    pub(crate) people: Vec<Vec<u8>>,
    pub(crate) keys: Vec<Key>,
    /// The index in `keys` of the first short-lived entry; they are the last.
    pub(crate) mortals: usize,
    /// The hashes of the ledger keys of contract codes, in hex.
    pub(crate) codes: Vec<String>,
    /// The assets that ledgers name, each with the strkey of its contract, in the order of these.
    pub(crate) assets: Vec<(String, AssetColumns)>,
    /// The places in `assets` of those in trustlines, popular ones first.
    pub(crate) trusted: Vec<usize>,
    pub(crate) values: Values,
}

/// The asset with this code; without one the native asset. The issuer of USDC is the real one, others are made from the seed.
fn made_up(seed: u64, code: &str) -> Result<Asset, Error> {
    if code.is_empty() {
        return Ok(Asset::Native);
    }
    let issuer = if code == "USDC" {
        AccountId::from_str(USDC_ISSUER)?
    } else {
        let name = code.bytes().fold(0, |name, byte| name << 5 ^ u64::from(byte));
        let key = Dice::at(seed, Use::Names, 3, name).bytes32();
        AccountId(PublicKey::PublicKeyTypeEd25519(Uint256(key)))
    };
    credit(code, issuer).ok_or(Error::LengthExceedsMax)
}

impl Cast {
    /// The cast of the chain with this seed on the network with this passphrase, with `mortals` short-lived entries.
    pub(crate) fn new(seed: u64, passphrase: &str, mortals: usize) -> Result<Self, Error> {
        let name = |kind: u64, i: usize| Dice::at(seed, Use::Names, kind, i as u64).bytes32();
        let holders: Vec<[u8; 32]> = (0..HOLDERS).map(|i| name(0, i)).collect();
        let mut cast = Self {
            contracts: Vec::new(),
            holders: holders.iter().map(|id| strkey(*id).into_boxed_str()).collect(),
            people: Vec::new(),
            keys: Vec::new(),
            mortals: 0,
            codes: Vec::new(),
            assets: Vec::new(),
            trusted: Vec::new(),
            values: Values::new()?,
        };
        let mut ids = Vec::new();
        for (i, code) in CODES.iter().enumerate() {
            let asset = made_up(seed, code)?;
            ids.push(contract_id(&asset, passphrase)?);
            cast.asset_contract(i, ids[i], &asset, &holders)?;
        }
        for i in 0..usize::from(WASM) {
            ids.push(name(1, i));
            let code = Dice::at(seed, Use::Names, 2, i as u64).below(CODES_OF_WASM) as usize;
            cast.wasm_contract(i, ids[usize::from(ASSETS) + i], name(4, code), &holders)?;
        }
        let people: Vec<[u8; 32]> = (0..PEOPLE).map(|i| name(6, i)).collect();
        for (i, id) in people.iter().enumerate() {
            cast.people.push(ScVal::Address(apps::someone(i, *id)).to_xdr(Limits::none())?);
        }
        for app in 0..usize::from(APPS) {
            ids.push(name(7, app));
            let tokens = [ids[usize::from(ASSETS + WASM)], ids[1]];
            cast.app(app, ids[ids.len() - 1], name(4, app), tokens, &people)?;
        }
        for i in 0..CODES_OF_WASM as usize {
            let code = LedgerKey::ContractCode(LedgerKeyContractCode { hash: Hash(name(4, i)) });
            cast.codes.push(base16(&Sha256::digest(code.to_xdr(Limits::none())?)));
        }
        cast.name_assets(seed, passphrase)?;
        cast.mortals = cast.keys.len();
        for i in 0..mortals {
            let key = cast.mortal(i, &ids, name(5, i))?;
            cast.keys.push(key);
        }
        Ok(cast)
    }

    /// The assets that ledgers name: those of the asset contracts, and some that have none.
    fn name_assets(&mut self, seed: u64, passphrase: &str) -> Result<(), Error> {
        let others = (0..WITHOUT_CONTRACT).map(|i| format!("{}{i}", ["T", "TOKEN"][i % 2]));
        let mut named = Vec::new();
        for code in CODES.iter().map(|code| (*code).to_owned()).chain(others) {
            let asset = made_up(seed, &code)?;
            named.push((strkey(contract_id(&asset, passphrase)?), asset::columns(&asset)));
        }
        let contracts: Vec<String> = named.iter().map(|(contract, _)| contract.clone()).collect();
        named.sort_by(|(left, _), (right, _)| left.cmp(right));
        self.assets = named;
        let trusted = contracts.iter().enumerate().filter(|(i, _)| *i != usize::from(NEVER));
        self.trusted = trusted.map(|(_, contract)| self.place(contract)).collect();
        Ok(())
    }

    fn place(&self, contract: &str) -> usize {
        self.assets.partition_point(|(other, _)| other.as_str() < contract)
    }

    /// The place in `assets` of the asset of this asset contract.
    pub(crate) fn place_of(&self, asset: u16) -> usize {
        self.place(&self.contracts[usize::from(asset)].strkey)
    }

    fn asset_contract(
        &mut self,
        i: usize,
        id: [u8; 32],
        asset: &Asset,
        holders: &[[u8; 32]],
    ) -> Result<(), Error> {
        let contract = self.contracts.len() as u16;
        let first_key = self.keys.len();
        self.keys.push(Key::new((contract, id), ScVal::LedgerKeyContractInstance, true, Content::Instance)?);
        let balances = if i < 2 { HOLDERS } else { HOLDERS / (1 + i) };
        for rank in 0..balances {
            let holder = (rank + i * 331) % HOLDERS;
            let content = Content::Balance { holder: holder as u16, rank: rank as u32 };
            self.keys.push(Key::new(
                (contract, id),
                of_holder("Balance", address(holders[holder]))?,
                true,
                content,
            )?);
        }
        let instance = asset::instance(asset)?.to_xdr(Limits::none())?;
        self.contracts.push(Contract {
            strkey: strkey(id),
            kind: Kind::Asset(asset::columns(asset)),
            instance: Template::of(|_| Ok(instance.clone()))?,
            first_key,
            keys: balances,
            one_off: None,
        });
        Ok(())
    }

    fn wasm_contract(
        &mut self,
        i: usize,
        id: [u8; 32],
        code: [u8; 32],
        holders: &[[u8; 32]],
    ) -> Result<(), Error> {
        let contract = self.contracts.len() as u16;
        let first_key = self.keys.len();
        self.keys.push(Key::new((contract, id), ScVal::LedgerKeyContractInstance, true, Content::Instance)?);
        let keys = 12 + 2_000 / (i + 4);
        for rank in 0..keys {
            let number = ScVal::U128(UInt128Parts { hi: 0, lo: rank as u64 });
            let holder = holders[(rank * 7 + i) % HOLDERS];
            let (key, persistent) = match rank % 6 {
                0 => (symbol(&format!("State{rank}"))?, true),
                1 => (vec(vec![symbol("Position")?, number])?, true),
                2 => (of_holder("Balance", address(holder))?, true),
                3 => (vec(vec![symbol("Allowance")?, number])?, false),
                4 => (number, rank % 4 == 0),
                _ => (vec(vec![symbol("Oracle")?, ScVal::U32(rank as u32)])?, rank % 4 == 1),
            };
            self.keys.push(Key::new((contract, id), key, persistent, Content::Any)?);
        }
        self.contracts.push(Contract {
            strkey: strkey(id),
            kind: Kind::Wasm(base16(&code)),
            instance: values::wasm_instance(code, i % 9)?,
            first_key,
            keys,
            one_off: Some(OneOff::new(id)?),
        });
        Ok(())
    }

    fn app(
        &mut self,
        app: usize,
        id: [u8; 32],
        code: [u8; 32],
        tokens: [[u8; 32]; 2],
        people: &[[u8; 32]],
    ) -> Result<(), Error> {
        let first_key = self.keys.len();
        self.keys.extend(apps::keys(app, (self.contracts.len() as u16, id), people)?);
        self.contracts.push(Contract {
            strkey: strkey(id),
            kind: Kind::Wasm(base16(&code)),
            instance: apps::instance(app, code, tokens)?,
            first_key,
            keys: self.keys.len() - first_key - 1,
            one_off: None,
        });
        Ok(())
    }

    /// A short-lived entry: one in four is a balance, of a holder that has no other.
    fn mortal(&mut self, i: usize, ids: &[[u8; 32]], holder: [u8; 32]) -> Result<Key, Error> {
        let place = i / 4;
        let wasm = usize::from(ASSETS) + place % usize::from(WASM);
        let number = ScVal::U128(UInt128Parts { hi: 1, lo: i as u64 });
        let (contract, key, content) = match i % 4 {
            0 => {
                let content =
                    Content::Balance { holder: self.holders.len() as u16, rank: 1 + (place % 500) as u32 };
                self.holders.push(strkey(holder).into_boxed_str());
                (place % usize::from(ASSETS), of_holder("Balance", address(holder))?, content)
            }
            1 => (wasm, vec(vec![symbol("Order")?, number])?, Content::Any),
            2 => (wasm, vec(vec![symbol("Quote")?, number])?, Content::Any),
            _ => (wasm, number, Content::Any),
        };
        Key::new((contract as u16, ids[contract]), key, is_persistent(i), content)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn issuers_are_made_up_by_code() {
        let issuer = |code| asset::columns(&made_up(7, code).unwrap()).issuer;
        assert_eq!(issuer("USDC").as_deref(), Some(USDC_ISSUER));
        assert_ne!(issuer("BTC"), issuer("yUSDC"));
    }

    #[test]
    fn every_entry_has_a_hash_of_its_own() {
        let cast = Cast::new(7, pipeline::PUBNET, 512).unwrap();
        assert_eq!(cast.contracts.len(), usize::from(ASSETS + WASM + APPS));
        let hashes: HashSet<_> = cast.keys.iter().map(|key| &key.hash).collect();
        assert_eq!(hashes.len(), cast.keys.len());
        for contract in &cast.contracts {
            assert!(matches!(cast.keys[contract.first_key].content, Content::Instance));
        }
    }
}
