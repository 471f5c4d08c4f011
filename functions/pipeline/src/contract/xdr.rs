//! Values and their XDR: the identity of an entry, the exact amount of a balance, and hexadecimal.

use sha2::{Digest, Sha256};
use stellar_strkey::Contract;
use stellar_xdr::{
    ContractDataDurability, ContractId, Hash, LedgerKey, LedgerKeyContractData, Limits, ReadXdr, ScAddress,
    ScVal, WriteXdr,
};

/// Limits for decoding: nesting and bytes. Deeper or longer values are refused.
fn limits(base64: &str) -> Limits {
    Limits { depth: 500, len: base64.len() }
}

/// Decodes a base64 SCVal; the error is the cause.
fn sc_val(base64: &str) -> Result<ScVal, String> {
    ScVal::from_xdr_base64(base64, limits(base64)).map_err(|e| format!("is not base64 XDR of an SCVal: {e}"))
}

/// SHA-256 of the LedgerKey XDR: the identity of an entry, and of its TTL.
///
/// # Errors
/// Only if XDR cannot be written to memory.
pub fn key_hash(key: &LedgerKey) -> Result<[u8; 32], stellar_xdr::Error> {
    Ok(Sha256::digest(key.to_xdr(Limits::none())?).into())
}

/// The column `contract_durability`.
pub fn durability(durability: ContractDataDurability) -> &'static str {
    match durability {
        ContractDataDurability::Persistent => "ContractDataDurabilityPersistent",
        ContractDataDurability::Temporary => "ContractDataDurabilityTemporary",
    }
}

/// The column `ledger_key_hash`, from contract, key and durability.
///
/// # Errors
/// The reason why it cannot be derived.
pub(crate) fn ledger_key_hash(
    contract_id: &str,
    key_xdr: Option<&str>,
    durability_word: &str,
) -> Result<String, String> {
    let contract = Contract::from_string(contract_id)
        .map_err(|_| format!("contract_id {contract_id:?} is not a strkey C…"))?;
    let durability = ContractDataDurability::VARIANTS
        .into_iter()
        .find(|variant| durability(*variant) == durability_word)
        .ok_or_else(|| format!("contract_durability {durability_word:?} is unknown"))?;
    let key = sc_val(key_xdr.ok_or("key_xdr is null")?).map_err(|e| format!("key_xdr {e}"))?;
    let ledger_key = LedgerKey::ContractData(LedgerKeyContractData {
        contract: ScAddress::Contract(ContractId(Hash(contract.0))),
        key,
        durability,
    });
    Ok(base16(&key_hash(&ledger_key).map_err(|e| e.to_string())?))
}

/// The amount of a balance entry: the `amount` of its map, or the bare i128 of older contracts.
///
/// # Errors
/// The reason why there is none.
pub(crate) fn balance_amount(val_xdr: &str) -> Result<i128, String> {
    let value = sc_val(val_xdr)?;
    let amount = match &value {
        ScVal::I128(_) => Some(&value),
        ScVal::Map(Some(map)) => map
            .iter()
            .find(|entry| matches!(&entry.key, ScVal::Symbol(name) if name.as_slice() == b"amount"))
            .map(|entry| &entry.val),
        _ => None,
    };
    match amount {
        Some(ScVal::I128(parts)) => Ok((i128::from(parts.hi) << 64) | i128::from(parts.lo)),
        _ => Err("contains no i128 amount".to_owned()),
    }
}

/// Lower-case hexadecimal.
pub fn base16(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    push_base16(&mut text, bytes);
    text
}

/// Appends lower-case hexadecimal.
pub fn push_base16(text: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_a_real_entry() {
        // pubnet, ledger 51340657, the first change
        let hash = ledger_key_hash(
            "CBZJDM4CRWMIMHIDXIZUE7WB3ZAO6FKC3NIK2YT35335F2THKSHRHXDL",
            Some("AAAAEAAAAAEAAAACAAAADwAAAAVUb2tlbgAAAAAAAAMAAAEf"),
            "ContractDataDurabilityPersistent",
        );
        assert_eq!(hash.unwrap(), "36fe1cfb21bd9a01c48ddb5564f959b935273d89dd6c26da5eab159b02f064f1");
    }

    #[test]
    fn what_cannot_be_derived_says_why() {
        let hash = |contract, key, durability| ledger_key_hash(contract, key, durability).unwrap_err();
        let good = "CBZJDM4CRWMIMHIDXIZUE7WB3ZAO6FKC3NIK2YT35335F2THKSHRHXDL";
        assert!(hash("CBAD", Some("AAAAAQ=="), "ContractDataDurabilityTemporary").contains("not a strkey"));
        assert!(hash(good, None, "ContractDataDurabilityTemporary").contains("key_xdr is null"));
        assert!(
            hash(good, Some("AAAA"), "ContractDataDurabilityTemporary").contains("key_xdr is not base64 XDR")
        );
        assert!(hash(good, Some("AAAAAQ=="), "Eternal").contains("\"Eternal\" is unknown"));
    }

    #[test]
    fn amounts_are_exact_over_the_whole_i128() {
        for amount in [0, 1, -1, i128::from(i64::MAX) + 1, i128::MAX, i128::MIN] {
            let hi = i64::try_from(amount >> 64).unwrap();
            let lo = u64::try_from(amount & i128::from(u64::MAX)).unwrap();
            let xdr = ScVal::I128(stellar_xdr::Int128Parts { hi, lo }).to_xdr_base64(Limits::none()).unwrap();
            assert_eq!(balance_amount(&xdr), Ok(amount));
        }
        assert_eq!(balance_amount("AAAAAQ=="), Err("contains no i128 amount".to_owned()));
    }
}
