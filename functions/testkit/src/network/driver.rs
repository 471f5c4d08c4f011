//! Random ledgers, the same for the same seed.

use stellar_xdr::{
    ContractDataDurability, ContractDataEntry, LedgerEntryData, LedgerKey, ScBytes, ScNonceKey, ScVal,
};

use super::entries::{balance, code, contract, data, offer, sac, trustline};
use super::{Action, Network, is_nonce, is_temporary};
use crate::asset::Asset;

/// Makes random changes that a network allows.
pub struct Driver {
    dice: u64,
    made: u32,
}

impl Driver {
    /// The changes of this seed.
    pub fn new(seed: u64) -> Driver {
        Driver { dice: seed, made: 0 }
    }

    /// Closes ledgers with a few random changes each, up to this one, inclusive.
    pub fn close_up_to(&mut self, network: &mut Network, ledger: u32) {
        while network.next() <= ledger {
            let actions = self.actions(network);
            network.close(actions);
        }
    }

    /// A number below `bound`.
    fn below(&mut self, bound: usize) -> usize {
        // splitmix64
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.dice;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }

    /// Up to eight changes of entries that are not changed twice in one ledger.
    fn actions(&mut self, network: &Network) -> Vec<Action> {
        let (mut actions, mut taken) = (Vec::new(), Vec::new());
        for _ in 0..self.below(9) {
            let (key, action) = match self.below(10) {
                0..4 => self.create(network),
                4 => self.classic(network),
                _ => match self.change(network) {
                    Some(change) => change,
                    None => continue,
                },
            };
            if !taken.contains(&key) {
                taken.push(key);
                actions.push(action);
            }
        }
        actions
    }

    fn value(&mut self) -> ScVal {
        let bytes = self.below(300);
        let byte = self.below(256) as u8;
        ScVal::Bytes(ScBytes(vec![byte; bytes].try_into().unwrap()))
    }

    fn create(&mut self, network: &Network) -> (LedgerKey, Action) {
        self.made += 1;
        let (number, until) = (self.made, network.next() + 1 + self.below(100) as u32);
        let of = contract(self.below(8) as u8);
        let kind = self.below(12);
        let new: LedgerEntryData = match kind {
            0 => code(number, 4 + self.below(200)),
            1 => {
                let asset = Asset::credit(&format!("SAC{number}"), 1);
                LedgerEntryData::ContractData(sac(&asset, network.passphrase()))
            }
            _ => {
                let (key, durability, val) = match kind {
                    2 => {
                        let nonce = ScNonceKey { nonce: i64::from(number) };
                        (ScVal::LedgerKeyNonce(nonce), ContractDataDurability::Temporary, ScVal::Void)
                    }
                    3..6 => (ScVal::U32(number), ContractDataDurability::Temporary, self.value()),
                    6 => {
                        let entry = balance(contract(number as u8), i128::from(number) << self.below(70));
                        (entry.key, ContractDataDurability::Persistent, entry.val)
                    }
                    _ => (ScVal::U64(number.into()), ContractDataDurability::Persistent, self.value()),
                };
                let entry = ContractDataEntry { contract: of, durability, ..data(key, val) };
                LedgerEntryData::ContractData(entry)
            }
        };
        let key = key_of(&new);
        match network.now().live.contains_key(&key) || network.now().archived.contains_key(&key) {
            true => self.create(network),
            false => (key, Action::Create(new, until)),
        }
    }

    /// Writes or removes a trustline or an offer.
    fn classic(&mut self, network: &Network) -> (LedgerKey, Action) {
        let number = self.below(40) as u32;
        let asset = Asset::credit(&format!("A{}", self.below(12)), number % 3);
        let entry = match self.below(3) {
            0 => offer(number.into(), &asset, &Asset::Native),
            _ => trustline(number, &asset),
        };
        let key = key_of(&entry);
        let is_removed = network.now().live.contains_key(&key) && self.below(2) == 0;
        let action = if is_removed { Action::Remove(key.clone()) } else { Action::Write(entry) };
        (key, action)
    }

    /// What may happen next to an entry that exists.
    fn change(&mut self, network: &Network) -> Option<(LedgerKey, Action)> {
        let (state, ledger) = (network.now(), network.next());
        let is_of_contracts =
            |key: &&LedgerKey| matches!(key, LedgerKey::ContractData(_) | LedgerKey::ContractCode(_));
        let all: Vec<&LedgerKey> =
            state.live.keys().chain(state.archived.keys()).filter(is_of_contracts).collect();
        let key = (*all.get(self.below(all.len().max(1)))?).clone();
        let new_end = ledger + self.below(150) as u32;
        let Some(until) = state.live_until(&key) else {
            return Some((key.clone(), Action::Restore(key, new_end)));
        };
        let archives = network.protocol() >= super::ARCHIVING_PROTOCOL;
        let action = match (until < ledger, is_temporary(&key)) {
            (true, true) => Action::Evict(key.clone()),
            (true, false) if archives && self.below(3) > 0 => Action::Evict(key.clone()),
            (true, false) if archives => Action::Restore(key.clone(), new_end),
            (true, false) => Action::Extend(key.clone(), new_end),
            (false, _) => match (self.below(4), &state.live[&key].data) {
                (0, _) => Action::Remove(key.clone()),
                (1, LedgerEntryData::ContractData(data))
                    if !is_nonce(&key) && data.key != ScVal::LedgerKeyContractInstance =>
                {
                    Action::Update(ContractDataEntry { val: self.value(), ..data.clone() })
                }
                _ => Action::Extend(key.clone(), until + self.below(100) as u32),
            },
        };
        Some((key, action))
    }
}

fn key_of(data: &LedgerEntryData) -> LedgerKey {
    stellar_xdr::LedgerEntry { data: data.clone(), ..stellar_xdr::LedgerEntry::default() }.to_key()
}
