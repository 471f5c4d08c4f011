//! Whether bytes are the XDR of one `SCVal`, found by walking over them: nothing is allocated, so every value of every row can be
//! checked. What is rare is left to the decoder of `stellar-xdr`.

use stellar_xdr::{Limits, ReadXdr, ScVal};

/// The deepest nesting of a value: that of the network. Deeper values are refused.
pub(crate) const DEPTH: u32 = 500;
/// Nesting up to which the walk itself goes; the decoder counts its own way beyond.
const WALKED_DEPTH: u32 = 32;

/// Checks that the bytes are one whole `SCVal`.
///
/// # Errors
/// Why they are not.
pub(crate) fn check(bytes: &[u8]) -> Result<(), stellar_xdr::Error> {
    let mut walk = Walk { rest: bytes };
    match walk.value(WALKED_DEPTH) {
        Some(()) if walk.rest.is_empty() => Ok(()),
        // Either wrong or rare: the decoder knows, and says why.
        _ => ScVal::from_xdr(bytes, Limits { depth: DEPTH, len: bytes.len() }).map(drop),
    }
}

/// The amount of a balance as a Stellar asset contract writes it: a map of `amount`, `authorized` and `clawback`. `None` for
/// any other value.
pub(crate) fn asset_balance(bytes: &[u8]) -> Option<i128> {
    const BEFORE: &[u8] = b"\0\0\0\x11\0\0\0\x01\0\0\0\x03\0\0\0\x0f\0\0\0\x06amount\0\0\0\0\0\x0a";
    let (amount, _) = bytes.strip_prefix(BEFORE)?.split_first_chunk()?;
    Some(i128::from_be_bytes(*amount))
}

/// The bytes that are still to come.
struct Walk<'a> {
    rest: &'a [u8],
}

impl Walk<'_> {
    fn skip(&mut self, bytes: usize) -> Option<()> {
        self.rest = self.rest.get(bytes..)?;
        Some(())
    }

    fn number(&mut self) -> Option<u32> {
        let (number, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(u32::from_be_bytes(*number))
    }

    /// A number that must be this one.
    fn exactly(&mut self, wanted: u32) -> Option<()> {
        (self.number()? == wanted).then_some(())
    }

    /// A boolean, or whether an optional value follows.
    fn flag(&mut self) -> Option<bool> {
        match self.number()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    /// Bytes of any length up to `most`, padded with zeros to a multiple of 4.
    fn bytes(&mut self, most: u32) -> Option<()> {
        let length = self.number().filter(|length| *length <= most)?;
        let length = usize::try_from(length).ok()?;
        let padded = length.checked_next_multiple_of(4)?;
        if self.rest.get(length..padded)?.iter().any(|byte| *byte != 0) {
            return None;
        }
        self.skip(padded)
    }

    /// A value. `None` if it is none, or one that the walk leaves to the decoder.
    fn value(&mut self, depth: u32) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        match self.number()? {
            0 => self.flag().map(drop),
            1 | 20 => Some(()),
            3 | 4 => self.skip(4),
            5..=8 | 21 => self.skip(8),
            9 | 10 => self.skip(16),
            11 | 12 => self.skip(32),
            13 | 14 => self.bytes(u32::MAX),
            15 => self.bytes(32),
            16 => self.values(1, depth),
            17 => self.values(2, depth),
            18 => self.address(),
            19 => self.instance(depth),
            _ => None,
        }
    }

    /// Optional elements of so many values each.
    fn values(&mut self, each: u32, depth: u32) -> Option<()> {
        if !self.flag()? {
            return Some(());
        }
        for _ in 0..self.number()?.checked_mul(each)? {
            self.value(depth)?;
        }
        Some(())
    }

    fn address(&mut self) -> Option<()> {
        match self.number()? {
            // an account, or a claimable balance: both have a version of their own
            0 | 3 => {
                self.exactly(0)?;
                self.skip(32)
            }
            1 | 4 => self.skip(32),
            2 => self.skip(8 + 32),
            _ => None,
        }
    }

    fn instance(&mut self, depth: u32) -> Option<()> {
        match self.number()? {
            0 => self.skip(32)?,
            1 => {}
            _ => return None,
        }
        self.values(2, depth)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use stellar_xdr::{
        AccountId, BytesM, ClaimableBalanceId, ContractExecutable, ContractId, Hash, Int128Parts,
        Int256Parts, MuxedEd25519Account, PoolId, PublicKey, ScAddress, ScBytes, ScContractInstance, ScError,
        ScMap, ScMapEntry, ScNonceKey, ScString, ScSymbol, ScVec, StringM, Uint256, VecM, WriteXdr,
    };

    use super::*;

    fn address() -> impl Strategy<Value = ScAddress> {
        (0..5u8, any::<[u8; 32]>(), any::<u64>()).prop_map(|(kind, bytes, id)| match kind {
            0 => ScAddress::Account(AccountId(PublicKey::PublicKeyTypeEd25519(Uint256(bytes)))),
            1 => ScAddress::Contract(ContractId(Hash(bytes))),
            2 => ScAddress::MuxedAccount(MuxedEd25519Account { id, ed25519: Uint256(bytes) }),
            3 => ScAddress::ClaimableBalance(ClaimableBalanceId::ClaimableBalanceIdTypeV0(Hash(bytes))),
            _ => ScAddress::LiquidityPool(PoolId(Hash(bytes))),
        })
    }

    fn leaf() -> impl Strategy<Value = ScVal> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..9);
        prop_oneof![
            any::<bool>().prop_map(ScVal::Bool),
            Just(ScVal::Void),
            any::<u32>().prop_map(|code| ScVal::Error(ScError::Contract(code))),
            any::<u32>().prop_map(ScVal::U32),
            any::<i64>().prop_map(ScVal::I64),
            (any::<i64>(), any::<u64>()).prop_map(|(hi, lo)| ScVal::I128(Int128Parts { hi, lo })),
            any::<u64>().prop_map(|n| ScVal::I256(Int256Parts { hi_hi: 0, hi_lo: n, lo_hi: n, lo_lo: 1 })),
            bytes().prop_map(|b| ScVal::Bytes(ScBytes(BytesM::try_from(b).unwrap()))),
            bytes().prop_map(|b| ScVal::String(ScString(StringM::try_from(b).unwrap()))),
            "[a-z_]{0,32}".prop_map(|s| ScVal::Symbol(ScSymbol(s.as_str().try_into().unwrap()))),
            address().prop_map(ScVal::Address),
            Just(ScVal::LedgerKeyContractInstance),
            any::<i64>().prop_map(|nonce| ScVal::LedgerKeyNonce(ScNonceKey { nonce })),
        ]
    }

    fn value() -> impl Strategy<Value = ScVal> {
        let map = |pairs: Vec<(ScVal, ScVal)>| {
            let entries = pairs.into_iter().map(|(key, val)| ScMapEntry { key, val }).collect::<Vec<_>>();
            ScMap(VecM::try_from(entries).unwrap())
        };
        leaf().prop_recursive(6, 40, 5, move |inner| {
            let pairs = prop::collection::vec((inner.clone(), inner.clone()), 0..4);
            prop_oneof![
                prop::option::of(prop::collection::vec(inner, 0..5))
                    .prop_map(|items| ScVal::Vec(items.map(|i| ScVec(VecM::try_from(i).unwrap())))),
                prop::option::of(pairs.clone()).prop_map(move |p| ScVal::Map(p.map(map))),
                (prop::option::of(pairs), any::<Option<[u8; 32]>>()).prop_map(move |(p, code)| {
                    let executable = code.map_or(ContractExecutable::StellarAsset, |hash| {
                        ContractExecutable::Wasm(Hash(hash))
                    });
                    ScVal::ContractInstance(ScContractInstance { executable, storage: p.map(map) })
                }),
            ]
        })
    }

    /// The walk alone, without the decoder behind it.
    fn walked(bytes: &[u8]) -> bool {
        let mut walk = Walk { rest: bytes };
        walk.value(WALKED_DEPTH).is_some() && walk.rest.is_empty()
    }

    fn decodes(bytes: &[u8]) -> bool {
        ScVal::from_xdr(bytes, Limits { depth: DEPTH, len: bytes.len() }).is_ok()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_value_passes_and_what_the_walk_passes_the_decoder_reads(
            value in value(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), prop_oneof![any::<u8>(), 0..24u8]), 1..4),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = value.to_xdr(Limits::none()).unwrap();
            prop_assert!(check(&bytes).is_ok());
            let printed = format!("{value:?}");
            prop_assert!(walked(&bytes) || printed.contains("Error("), "the walk knows all but errors: {}", printed);
            let cut = &bytes[..cut.index(bytes.len())];
            prop_assert!(!walked(cut) && check(cut).is_err(), "a part of it");
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            prop_assert!(!walked(&bytes) || decodes(&bytes), "{:?}", bytes);
            prop_assert_eq!(check(&bytes).is_ok(), decodes(&bytes));
        }
    }

    #[test]
    fn depth_and_lengths_have_bounds() {
        let nested = |depth: usize| [0, 0, 0, 16, 0, 0, 0, 1, 0, 0, 0, 1].repeat(depth);
        let deep = |depth: usize| [nested(depth), vec![0, 0, 0, 1]].concat();
        assert!(check(&deep(100)).is_ok());
        assert!(check(&deep(100_000)).is_err());
        assert!(check(&[0, 0, 0, 13, 255, 255, 255, 255]).is_err(), "longer than what there is");
        assert!(check(&[0, 0, 0, 16, 0, 0, 0, 1, 255, 255, 255, 255, 0, 0, 0, 1]).is_err());
    }

    #[test]
    fn the_amount_of_an_asset_contract_is_read_in_place() {
        let of = |amount: i128| {
            let row = testkit::Row::at(1).balance(1, amount);
            let value = ScVal::from_xdr_base64(row.val_xdr.unwrap(), Limits::none()).unwrap();
            asset_balance(&value.to_xdr(Limits::none()).unwrap())
        };
        for amount in [0, 5, -1, i128::MAX, i128::MIN] {
            assert_eq!(of(amount), Some(amount));
        }
        assert_eq!(asset_balance(&ScVal::Void.to_xdr(Limits::none()).unwrap()), None);
        assert_eq!(asset_balance(&[]), None);
    }
}
