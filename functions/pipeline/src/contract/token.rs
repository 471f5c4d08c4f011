//! Balances of tokens whose contract is not a Stellar asset contract: holder and amount, decoded from key and value.
//!
//! Such a contract keeps a balance under the key `["Balance", Address]`, as an i128, or in a map with an `amount`.

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use stellar_xdr::{Limits, ReadXdr, ScVal};

use super::tables::{Table, position};
use super::walk;
use super::xdr::{balance_amount, value_bytes};

/// The beginning of such a key in base64: a vector of two, the symbol `Balance`, and the beginning of an address.
const KEY: &str = "AAAAEAAAAAEAAAACAAAADwAAAAdCYWxhbmNlAAAA";

/// Holder and amount.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Balance {
    /// The strkey of the holder.
    pub(crate) holder: String,
    /// In the smallest unit of the token.
    pub(crate) amount: i128,
}

/// The columns of rows of `data` that balances are decoded from.
pub(crate) struct Balances<'a> {
    known: &'a StringArray,
    keys: &'a StringArray,
    values: &'a StringArray,
}

impl<'a> Balances<'a> {
    /// The columns of a batch; `None` for a table without balances.
    pub(crate) fn of(table: Table, batch: &'a RecordBatch) -> Option<Self> {
        let text = |column: usize| batch.column(column).as_string::<i32>();
        (table == Table::Data).then(|| Balances {
            known: text(position::BALANCE_HOLDER),
            keys: text(position::KEY_XDR),
            values: text(position::VAL_XDR),
        })
    }

    /// The balance in a row; `None` if it has none, or the source has decoded it.
    pub(crate) fn row(&self, row: usize) -> Option<Balance> {
        if self.known.is_valid(row) || self.keys.is_null(row) || self.values.is_null(row) {
            return None;
        }
        decode(self.keys.value(row), self.values.value(row))
    }
}

/// The balance of an entry; `None` if it is none.
fn decode(key: &str, value: &str) -> Option<Balance> {
    if !key.starts_with(KEY) {
        return None;
    }
    let mut bytes = Vec::new();
    value_bytes(key, &mut bytes).ok()?;
    let ScVal::Vec(Some(key)) =
        ScVal::from_xdr(&bytes, Limits { depth: walk::DEPTH, len: bytes.len() }).ok()?
    else {
        return None;
    };
    let [ScVal::Symbol(_), ScVal::Address(holder)] = key.as_slice() else { return None };
    value_bytes(value, &mut bytes).ok()?;
    Some(Balance { holder: holder.to_string(), amount: balance_amount(&bytes)? })
}

#[cfg(test)]
mod tests {
    use stellar_xdr::{Int128Parts, ScAddress, WriteXdr};

    use super::*;

    fn symbol(text: &str) -> ScVal {
        ScVal::Symbol(text.try_into().unwrap())
    }

    fn key(name: &str, rest: Vec<ScVal>) -> ScVal {
        let items: Vec<ScVal> = [symbol(name)].into_iter().chain(rest).collect();
        ScVal::Vec(Some(items.try_into().unwrap()))
    }

    fn amount(amount: i128) -> ScVal {
        ScVal::I128(Int128Parts { hi: (amount >> 64) as i64, lo: amount as u64 })
    }

    fn decoded(key: &ScVal, value: &ScVal) -> Option<(String, i128)> {
        let text = |value: &ScVal| value.to_xdr_base64(Limits::none()).unwrap();
        decode(&text(key), &text(value)).map(|balance| (balance.holder, balance.amount))
    }

    #[test]
    fn a_balance_has_any_holder_and_any_amount() {
        for holder in [
            "GA5ZSEJYB37JRC5AVCIA5MOP4RHTM335X2KGX3IHOJAPP5RE34K4KZVN",
            "CBZJDM4CRWMIMHIDXIZUE7WB3ZAO6FKC3NIK2YT35335F2THKSHRHXDL",
        ] {
            let address = ScVal::Address(holder.parse::<ScAddress>().unwrap());
            for of in [0, 7, -1, i128::MAX, i128::MIN] {
                let expected = Some((holder.to_owned(), of));
                assert_eq!(decoded(&key("Balance", vec![address.clone()]), &amount(of)), expected);
            }
        }
    }

    #[test]
    fn nothing_else_is_a_balance() {
        let address: ScAddress = "GA5ZSEJYB37JRC5AVCIA5MOP4RHTM335X2KGX3IHOJAPP5RE34K4KZVN".parse().unwrap();
        let address = ScVal::Address(address);
        for key in [
            key("Balance", vec![]),
            key("Balance", vec![ScVal::U32(7)]),
            key("Balance", vec![address.clone(), address.clone()]),
            key("Balanced", vec![address.clone()]),
            key("balance", vec![address.clone()]),
            address.clone(),
            ScVal::Vec(None),
        ] {
            assert_eq!(decoded(&key, &amount(7)), None, "{key:?}");
        }
        for value in [ScVal::U64(7), ScVal::Void, ScVal::Map(None), symbol("amount")] {
            assert_eq!(decoded(&key("Balance", vec![address.clone()]), &value), None, "{value:?}");
        }
    }
}
