//! Random values of every type, the same in every run.

use stellar_xdr::{
    AccountId, BytesM, ClaimableBalanceId, ContractExecutable, ContractExecutableExternalRef, ContractId,
    Duration, Hash, Int128Parts, Int256Parts, MuxedContract, MuxedEd25519Account, PoolId, PublicKey,
    ScAddress, ScBytes, ScContractInstance, ScError, ScErrorCode, ScMap, ScMapEntry, ScNonceKey, ScString,
    ScSymbol, ScVal, ScVec, StringM, TimePoint, UInt128Parts, UInt256Parts, Uint256, VecM,
};

/// Numbers that look random (SplitMix64), and what is made of them.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below this one.
    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    /// A number of any magnitude: near 0 as often as near the maximum.
    fn number(&mut self) -> u64 {
        let number = self.next() >> self.below(64);
        if self.below(2) == 0 { number } else { !number }
    }

    fn small(&mut self) -> u32 {
        u32::try_from(self.number() >> 32).unwrap()
    }

    pub(super) fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    fn array(&mut self) -> [u8; 32] {
        std::array::from_fn(|_| self.byte())
    }

    /// Printable ASCII, or, once in a while, any bytes.
    fn text(&mut self, most: usize) -> Vec<u8> {
        let any = self.below(3) == 0;
        let length = self.below(most + 1);
        (0..length).map(|_| if any { self.byte() } else { b' ' + self.byte() % 95 }).collect()
    }

    fn string(&mut self) -> ScString {
        ScString(StringM::try_from(self.text(50)).unwrap())
    }

    pub(super) fn address(&mut self) -> ScAddress {
        let (id, bytes) = (self.number(), self.array());
        let contract = ContractId(Hash(bytes));
        match self.below(6) {
            0 => ScAddress::Account(AccountId(PublicKey::PublicKeyTypeEd25519(Uint256(bytes)))),
            1 => ScAddress::Contract(contract),
            2 => ScAddress::MuxedAccount(MuxedEd25519Account { id, ed25519: Uint256(bytes) }),
            3 => ScAddress::ClaimableBalance(ClaimableBalanceId::ClaimableBalanceIdTypeV0(Hash(bytes))),
            4 => ScAddress::LiquidityPool(PoolId(Hash(bytes))),
            _ => ScAddress::MuxedContract(MuxedContract { id, contract_id: contract }),
        }
    }

    fn error(&mut self) -> ScError {
        let code = ScErrorCode::VARIANTS[self.below(ScErrorCode::VARIANTS.len())];
        match self.below(10) {
            0 => ScError::Contract(self.small()),
            1 => ScError::WasmVm(code),
            2 => ScError::Context(code),
            3 => ScError::Storage(code),
            4 => ScError::Object(code),
            5 => ScError::Crypto(code),
            6 => ScError::Events(code),
            7 => ScError::Budget(code),
            8 => ScError::Value(code),
            _ => ScError::Auth(code),
        }
    }

    fn executable(&mut self) -> ContractExecutable {
        match self.below(3) {
            0 => ContractExecutable::Wasm(Hash(self.array())),
            1 => ContractExecutable::StellarAsset,
            _ => ContractExecutable::ExternalRef(ContractExecutableExternalRef {
                executable_owner: self.address(),
                tag: self.string(),
            }),
        }
    }

    fn map(&mut self, nesting: usize) -> Option<ScMap> {
        let count = self.below(6).checked_sub(1)?;
        let entries = (0..count).map(|_| ScMapEntry { key: self.value(nesting), val: self.value(nesting) });
        Some(ScMap(VecM::try_from(entries.collect::<Vec<_>>()).unwrap()))
    }

    /// A value of any type, with so many containers around the innermost at most.
    pub(super) fn value(&mut self, nesting: usize) -> ScVal {
        let types = if nesting == 0 { 20 } else { 26 };
        match self.below(types) {
            0 => ScVal::Bool(self.below(2) == 1),
            1 => ScVal::Void,
            2 => ScVal::Error(self.error()),
            3 => ScVal::U32(self.small()),
            4 => ScVal::I32(self.small().cast_signed()),
            5 => ScVal::U64(self.number()),
            6 => ScVal::I64(self.number().cast_signed()),
            7 => ScVal::Timepoint(TimePoint(self.number())),
            8 => ScVal::Duration(Duration(self.number())),
            9 => ScVal::U128(UInt128Parts { hi: self.number(), lo: self.number() }),
            10 => ScVal::I128(Int128Parts { hi: self.number().cast_signed(), lo: self.number() }),
            11 => {
                let [hi_hi, hi_lo, lo_hi, lo_lo] = std::array::from_fn(|_| self.number());
                ScVal::U256(UInt256Parts { hi_hi, hi_lo, lo_hi, lo_lo })
            }
            12 => {
                let [hi_hi, hi_lo, lo_hi, lo_lo] = std::array::from_fn(|_| self.number());
                ScVal::I256(Int256Parts { hi_hi: hi_hi.cast_signed(), hi_lo, lo_hi, lo_lo })
            }
            13 => ScVal::Bytes(ScBytes(BytesM::try_from(self.text(50)).unwrap())),
            14 => ScVal::String(self.string()),
            15 => ScVal::Symbol(ScSymbol(StringM::try_from(self.text(32)).unwrap())),
            16 => ScVal::Address(self.address()),
            17 => ScVal::LedgerKeyContractInstance,
            18 => ScVal::LedgerKeyNonce(ScNonceKey { nonce: self.number().cast_signed() }),
            19 => ScVal::ExecutableTag(self.string()),
            20..=22 => ScVal::Vec(self.below(6).checked_sub(1).map(|count| {
                let items = (0..count).map(|_| self.value(nesting - 1)).collect::<Vec<_>>();
                ScVec(VecM::try_from(items).unwrap())
            })),
            23 | 24 => ScVal::Map(self.map(nesting - 1)),
            _ => ScVal::ContractInstance(ScContractInstance {
                executable: self.executable(),
                storage: self.map(nesting - 1),
            }),
        }
    }
}
