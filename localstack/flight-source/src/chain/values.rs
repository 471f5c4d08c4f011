//! Values as XDR templates with holes, made once: a row copies a template and fills the holes, without building XDR
//! structures and without allocations.

use std::ops::Range;

use stellar_xdr::{
    ContractExecutable, ContractId, Error, Hash, Int128Parts, Limits, ScAddress, ScBytes, ScContractInstance,
    ScMap, ScVal, UInt128Parts, WriteXdr,
};

use super::dice::Dice;
use crate::asset::{map, symbol, vec};

/// The XDR of a value, and the ranges in it that differ from row to row.
#[derive(Debug)]
pub(crate) struct Template {
    bytes: Vec<u8>,
    holes: Vec<Range<usize>>,
}

impl Template {
    /// Encodes the value that `make` returns for a fill byte; the bytes that depend on the fill byte are the holes.
    pub(crate) fn new(make: impl Fn(u8) -> Result<ScVal, Error>) -> Result<Self, Error> {
        Self::of(|fill| make(fill)?.to_xdr(Limits::none()))
    }

    /// The same as [`Template::new`], for a value already encoded.
    pub(crate) fn of(make: impl Fn(u8) -> Result<Vec<u8>, Error>) -> Result<Self, Error> {
        let (bytes, other) = (make(0)?, make(0xff)?);
        let mut holes: Vec<Range<usize>> = Vec::new();
        for (at, _) in bytes.iter().zip(&other).enumerate().filter(|(_, (a, b))| a != b) {
            match holes.last_mut() {
                Some(hole) if hole.end == at => hole.end += 1,
                _ => holes.push(at..at + 1),
            }
        }
        Ok(Self { bytes, holes })
    }

    /// Writes the value into `out`, with random bytes in its holes.
    pub(crate) fn fill(&self, dice: &mut Dice, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(&self.bytes);
        for hole in &self.holes {
            dice.fill(&mut out[hole.clone()]);
        }
    }

    /// Writes the value into `out`, with these contents in its first holes, which must have the same lengths.
    pub(crate) fn put(&self, contents: &[&[u8]], out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(&self.bytes);
        for (hole, content) in self.holes.iter().zip(contents) {
            out[hole.clone()].copy_from_slice(content);
        }
    }
}

/// Sizes of values: of 100,000 values, how many are in this or a smaller class, and the XDR sizes of the class in bytes.
const SIZES: [(u64, Range<usize>); 6] = [
    (36_000, 32..48),
    (76_000, 96..280),
    (94_600, 280..760),
    (99_500, 760..2_600),
    (99_927, 3_000..12_000),
    (100_000, 16_000..46_000),
];

/// The number of templates per class.
const SHAPES: usize = 12;

/// The templates of a chain.
#[derive(Debug)]
pub(crate) struct Values {
    balances: [Template; 3],
    amount: Template,
    allowance: Template,
    any: Vec<Template>,
}

impl Values {
    /// Makes the templates.
    pub(crate) fn new() -> Result<Self, Error> {
        let amount = |fill| ScVal::I128(Int128Parts { hi: i64::from_be_bytes([fill; 8]), lo: all(fill) });
        let balance = |authorized, clawback| {
            Template::new(|fill| {
                map(vec![
                    (symbol("amount")?, amount(fill)),
                    (symbol("authorized")?, ScVal::Bool(authorized)),
                    (symbol("clawback")?, ScVal::Bool(clawback)),
                ])
            })
        };
        let mut any = Vec::with_capacity(SIZES.len() * SHAPES);
        for (_, sizes) in &SIZES {
            for shape in 0..SHAPES {
                let size = sizes.start + sizes.len() * shape / SHAPES;
                any.push(Template::new(|fill| shaped(shape, size, fill))?);
            }
        }
        let allowance = Template::new(|fill| {
            map(vec![
                (symbol("amount")?, amount(fill)),
                (symbol("live_until_ledger")?, ScVal::U32(u32::from_be_bytes([fill; 4]))),
            ])
        })?;
        Ok(Self {
            balances: [balance(true, false)?, balance(true, true)?, balance(false, false)?],
            amount: Template::new(|fill| Ok(amount(fill)))?,
            allowance,
            any,
        })
    }

    /// An amount of a token that is no Stellar asset.
    pub(crate) fn amount(&self, amount: i128, out: &mut Vec<u8>) {
        self.amount.put(&[&amount.to_be_bytes()], out);
    }

    /// An allowance up to this ledger.
    pub(crate) fn allowance(&self, amount: i128, until: u32, out: &mut Vec<u8>) {
        self.allowance.put(&[&amount.to_be_bytes(), &until.to_be_bytes()], out);
    }

    /// A balance of a Stellar asset contract: amount, authorized, clawback.
    pub(crate) fn balance(&self, amount: i128, dice: &mut Dice, out: &mut Vec<u8>) {
        let template = match dice.below(100) {
            0 => &self.balances[2],
            1..=2 => &self.balances[1],
            _ => &self.balances[0],
        };
        template.put(&[&amount.to_be_bytes()], out);
    }

    /// A random value of a contract: mostly small, sometimes tens of KiB.
    pub(crate) fn any(&self, dice: &mut Dice, out: &mut Vec<u8>) {
        let throw = dice.below(100_000);
        let size = SIZES.iter().take_while(|(up_to, _)| *up_to <= throw).count();
        let shape = dice.below(SHAPES as u64) as usize;
        self.any[size * SHAPES + shape].fill(dice, out);
    }
}

/// The instance of a Wasm contract with this code hash, and `fields` entries in its storage.
pub(crate) fn wasm_instance(code: [u8; 32], fields: usize) -> Result<Template, Error> {
    Template::new(|fill| {
        let storage = (0..fields).map(|i| field(i, fill)).collect::<Result<Vec<_>, _>>()?;
        Ok(ScVal::ContractInstance(ScContractInstance {
            executable: ContractExecutable::Wasm(Hash(code)),
            storage: Some(ScMap::sorted_from_pairs(storage.into_iter())?),
        }))
    })
}

fn all(fill: u8) -> u64 {
    u64::from_be_bytes([fill; 8])
}

/// A number of up to 48 bits: real amounts and counters use only part of their type.
pub(crate) fn number(fill: u8) -> u64 {
    all(fill) >> 16
}

fn bytes(len: usize, fill: u8) -> Result<ScVal, Error> {
    Ok(ScVal::Bytes(ScBytes(vec![fill; len].try_into()?)))
}

fn address(fill: u8) -> ScVal {
    ScVal::Address(ScAddress::Contract(ContractId(Hash([fill; 32]))))
}

/// One entry of a map: a name and a value, of 36 to 60 bytes of XDR.
fn field(i: usize, fill: u8) -> Result<(ScVal, ScVal), Error> {
    let value = match i % 4 {
        0 => ScVal::I128(Int128Parts { hi: 0, lo: number(fill) }),
        1 => ScVal::U64(number(fill)),
        2 => address(fill),
        _ => ScVal::U128(UInt128Parts { hi: 0, lo: number(fill) }),
    };
    Ok((symbol(&format!("field_{i:04}"))?, value))
}

/// A value in one of four shapes, of about `size` bytes of XDR.
fn shaped(shape: usize, size: usize, fill: u8) -> Result<ScVal, Error> {
    match shape % 4 {
        0 => bytes(size - 8, fill),
        1 if size >= 96 => map((0..size / 44).map(|i| field(i, fill)).collect::<Result<_, _>>()?),
        1 => symbol(&"awaiting_the_next_settlement_now"[..size.min(40) - 8]),
        2 if size >= 96 => vec((0..size / 20)
            .map(|i| {
                Ok(if i == 0 {
                    symbol("Reserves")?
                } else {
                    ScVal::U128(UInt128Parts { hi: 0, lo: number(fill) })
                })
            })
            .collect::<Result<_, Error>>()?),
        2 => vec(vec![ScVal::U128(UInt128Parts { hi: 0, lo: number(fill) })]),
        _ => vec(vec![symbol("Data")?, bytes(size.saturating_sub(32).max(4), fill)?]),
    }
}

#[cfg(test)]
mod tests {
    use stellar_xdr::ReadXdr;

    use super::super::dice::Use;
    use super::*;

    #[test]
    fn every_filled_template_is_valid_xdr() {
        let values = Values::new().unwrap();
        let mut dice = Dice::at(7, Use::Value, 0, 0);
        let mut out = Vec::new();
        for template in values.any.iter().chain(&values.balances) {
            template.fill(&mut dice, &mut out);
            ScVal::from_xdr(&out, Limits::none()).unwrap();
        }
        wasm_instance([9; 32], 6).unwrap().fill(&mut dice, &mut out);
        assert!(matches!(ScVal::from_xdr(&out, Limits::none()).unwrap(), ScVal::ContractInstance(_)));
    }

    #[test]
    fn a_balance_holds_its_amount() {
        let values = Values::new().unwrap();
        let mut out = Vec::new();
        for amount in [0, 1, i128::from(i64::MAX) + 1, i128::MAX] {
            values.balance(amount, &mut Dice::at(7, Use::Value, 0, 0), &mut out);
            let ScVal::Map(Some(map)) = ScVal::from_xdr(&out, Limits::none()).unwrap() else {
                panic!("no map")
            };
            let ScVal::I128(parts) = &map.0[0].val else { panic!("no amount") };
            assert_eq!((i128::from(parts.hi) << 64) | i128::from(parts.lo), amount);
        }
    }
}
