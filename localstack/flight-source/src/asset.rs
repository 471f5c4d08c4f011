//! Stellar asset contracts: the instance entry, and its columns.

use pipeline::contract::asset::{asset_type, credit};
use stellar_xdr::{
    AccountId, AlphaNum4, AlphaNum12, Asset, AssetCode4, AssetCode12, ContractExecutable, Error, PublicKey,
    ScAddress, ScBytes, ScContractInstance, ScMap, ScString, ScSymbol, ScVal, ScVec, Uint256,
};

/// The columns `asset_type`, `asset_code` and `asset_issuer` of an instance row.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct AssetColumns {
    /// `native`, `credit_alphanum4` or `credit_alphanum12`.
    pub(crate) asset_type: &'static str,
    /// Without padding; `None` for native.
    pub(crate) code: Option<String>,
    /// Strkey `G…`; `None` for native.
    pub(crate) issuer: Option<String>,
}

fn code_and_issuer(asset: &Asset) -> Option<(String, &AccountId)> {
    let (padded, issuer): (&[u8], _) = match asset {
        Asset::Native => return None,
        Asset::CreditAlphanum4(AlphaNum4 { asset_code: AssetCode4(code), issuer }) => (code, issuer),
        Asset::CreditAlphanum12(AlphaNum12 { asset_code: AssetCode12(code), issuer }) => (code, issuer),
    };
    let code = String::from_utf8_lossy(padded);
    Some((code.trim_end_matches('\0').to_owned(), issuer))
}

/// The asset columns of an instance row.
pub(crate) fn columns(asset: &Asset) -> AssetColumns {
    let (code, issuer) = code_and_issuer(asset).map(|(code, issuer)| (code, issuer.to_string())).unzip();
    AssetColumns { asset_type: asset_type(asset), code, issuer }
}

/// Whether the network allows the asset: a code consists of ASCII letters and digits, and has the type of its length.
pub(crate) fn is_allowed(asset: &Asset) -> bool {
    code_and_issuer(asset).is_none_or(|(code, issuer)| {
        code.bytes().all(|byte| byte.is_ascii_alphanumeric())
            && credit(&code, issuer.clone()).as_ref() == Some(asset)
    })
}

/// A symbol: up to 32 characters of `a-zA-Z0-9_`.
pub(crate) fn symbol(text: &str) -> Result<ScVal, Error> {
    Ok(ScVal::Symbol(ScSymbol(text.try_into()?)))
}

/// A string.
pub(crate) fn string(text: &str) -> Result<ScVal, Error> {
    Ok(ScVal::String(ScString(text.try_into()?)))
}

/// A vector value.
pub(crate) fn vec(items: Vec<ScVal>) -> Result<ScVal, Error> {
    Ok(ScVal::Vec(Some(ScVec(items.try_into()?))))
}

/// A map value, sorted by key.
pub(crate) fn map(pairs: Vec<(ScVal, ScVal)>) -> Result<ScVal, Error> {
    Ok(ScVal::Map(Some(ScMap::sorted_from_pairs(pairs.into_iter())?)))
}

/// The value of the instance entry: executable, metadata, administrator and asset.
pub(crate) fn instance(asset: &Asset) -> Result<ScVal, Error> {
    let credit = code_and_issuer(asset);
    let (name, short) = match &credit {
        None => ("native".to_owned(), "native".to_owned()),
        Some((code, issuer)) => (format!("{code}:{issuer}"), code.clone()),
    };
    let info = match &credit {
        None => vec(vec![symbol("Native")?])?,
        Some((code, AccountId(PublicKey::PublicKeyTypeEd25519(Uint256(issuer))))) => {
            let kind = if matches!(asset, Asset::CreditAlphanum4(_)) { "AlphaNum4" } else { "AlphaNum12" };
            let issuer = ScVal::Bytes(ScBytes(issuer.to_vec().try_into()?));
            let fields = vec![(symbol("asset_code")?, string(code)?), (symbol("issuer")?, issuer)];
            vec(vec![symbol(kind)?, map(fields)?])?
        }
    };
    let metadata = map(vec![
        (symbol("decimal")?, ScVal::U32(7)),
        (symbol("name")?, string(&name)?),
        (symbol("symbol")?, string(&short)?),
    ])?;
    let mut storage = vec![(symbol("METADATA")?, metadata), (vec(vec![symbol("AssetInfo")?])?, info)];
    if let Some((_, issuer)) = credit {
        storage.push((vec(vec![symbol("Admin")?])?, ScVal::Address(ScAddress::Account(issuer.clone()))));
    }
    Ok(ScVal::ContractInstance(ScContractInstance {
        executable: ContractExecutable::StellarAsset,
        storage: Some(ScMap::sorted_from_pairs(storage.into_iter())?),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_circle(code: &str) -> Asset {
        credit(code, "GA5ZSEJYB37JRC5AVCIA5MOP4RHTM335X2KGX3IHOJAPP5RE34K4KZVN".parse().unwrap()).unwrap()
    }

    #[test]
    fn columns_name_the_asset_without_padding() {
        let native = columns(&Asset::Native);
        assert_eq!(native, AssetColumns { asset_type: "native", code: None, issuer: None });
        let short = columns(&of_circle("BTC"));
        assert_eq!((short.asset_type, short.code.as_deref()), ("credit_alphanum4", Some("BTC")));
        let long = columns(&of_circle("yUSDC"));
        assert_eq!((long.asset_type, long.code.as_deref()), ("credit_alphanum12", Some("yUSDC")));
    }

    #[test]
    fn the_network_allows_letters_and_digits() {
        let of = |code: [u8; 12]| {
            let Asset::CreditAlphanum12(asset) = of_circle("yUSDC") else { panic!("another type") };
            Asset::CreditAlphanum12(AlphaNum12 { asset_code: AssetCode12(code), ..asset })
        };
        for allowed in [Asset::Native, of_circle("A"), of_circle("yUSDC"), of(*b"123456789abc")] {
            assert!(is_allowed(&allowed), "{allowed:?}");
        }
        for refused in [
            of_circle("US C"),
            of_circle("\u{e9}x"),
            of([0; 12]),
            of(*b"USDC\0\0\0\0\0\0\0\0"),
            of(*b"yUS\0DC\0\0\0\0\0\0"),
            of(*b"yUSD\xff\0\0\0\0\0\0\0"),
        ] {
            assert!(!is_allowed(&refused), "{refused:?}");
        }
    }
}
