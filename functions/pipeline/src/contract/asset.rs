//! Assets: by code and issuer, their type, and the contract of an asset on a network.

use sha2::{Digest, Sha256};
use stellar_xdr::{
    AccountId, AlphaNum4, AlphaNum12, Asset, AssetCode4, AssetCode12, ContractIdPreimage, Error, Hash,
    HashIdPreimage, HashIdPreimageContractId, Limits, WriteXdr,
};

/// The asset of a code and an issuer; the length of the code decides the type. `None` unless the code has 1 to 12 bytes.
pub fn credit(code: &str, issuer: AccountId) -> Option<Asset> {
    let mut padded = [0; 12];
    padded.get_mut(..code.len())?.copy_from_slice(code.as_bytes());
    let [a, b, c, d, ..] = padded;
    match code.len() {
        0 => None,
        1..=4 => Some(Asset::CreditAlphanum4(AlphaNum4 { asset_code: AssetCode4([a, b, c, d]), issuer })),
        _ => Some(Asset::CreditAlphanum12(AlphaNum12 { asset_code: AssetCode12(padded), issuer })),
    }
}

/// The asset that these columns name; `None` if they name none.
pub(crate) fn named(type_word: &str, code: Option<&str>, issuer: Option<&str>) -> Option<Asset> {
    let asset = match (code, issuer) {
        (None, None) => Asset::Native,
        (Some(code), Some(issuer)) if code.bytes().all(|b| b.is_ascii_alphanumeric()) => {
            credit(code, issuer.parse().ok()?)?
        }
        _ => return None,
    };
    (asset_type(&asset) == type_word).then_some(asset)
}

/// The column `asset_type`.
pub fn asset_type(asset: &Asset) -> &'static str {
    match asset {
        Asset::Native => "native",
        Asset::CreditAlphanum4(_) => "credit_alphanum4",
        Asset::CreditAlphanum12(_) => "credit_alphanum12",
    }
}

/// The id of the contract of an asset on the network with this passphrase: a hash of both.
///
/// # Errors
/// Only if XDR cannot be written to memory.
pub fn contract_id(asset: &Asset, passphrase: &str) -> Result<[u8; 32], Error> {
    let preimage = HashIdPreimage::ContractId(HashIdPreimageContractId {
        network_id: Hash(Sha256::digest(passphrase.as_bytes()).into()),
        contract_id_preimage: ContractIdPreimage::Asset(asset.clone()),
    });
    Ok(Sha256::digest(preimage.to_xdr(Limits::none())?).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::network::PUBNET;

    /// The asset of this code and the issuer of USDC on the public network.
    fn of_circle(code: &str) -> Option<Asset> {
        credit(code, "GA5ZSEJYB37JRC5AVCIA5MOP4RHTM335X2KGX3IHOJAPP5RE34K4KZVN".parse().unwrap())
    }

    #[test]
    fn contract_ids_are_those_of_the_public_network() {
        let strkey =
            |asset: &Asset| stellar_strkey::Contract(contract_id(asset, PUBNET).unwrap()).to_string();
        assert_eq!(
            strkey(&Asset::Native).as_str(),
            "CAS3J7GYLGXMF6TDJBBYYSE3HQ6BBSMLNUQ34T6TZMYMW2EVH34XOWMA"
        );
        assert_eq!(
            strkey(&of_circle("USDC").unwrap()).as_str(),
            "CCW67TSZV3SSS2HXMBQ5JFGCKJNXKZM7UQUWUZPUTHXSTZLEO7SJMI75"
        );
    }

    #[test]
    fn three_columns_name_an_asset_or_none() {
        let issuer = "GA5ZSEJYB37JRC5AVCIA5MOP4RHTM335X2KGX3IHOJAPP5RE34K4KZVN";
        assert_eq!(named("native", None, None), Some(Asset::Native));
        assert_eq!(named("credit_alphanum4", Some("USDC"), Some(issuer)), of_circle("USDC"));
        for (word, code, issuer) in [
            ("native", Some("USDC"), Some(issuer)),
            ("credit_alphanum12", Some("USDC"), Some(issuer)),
            ("credit_alphanum4", Some("US C"), Some(issuer)),
            ("credit_alphanum4", Some("USDC"), None),
            ("credit_alphanum4", None, None),
            ("credit_alphanum4", Some("USDC"), Some("GA5Z")),
        ] {
            assert_eq!(named(word, code, issuer), None, "{word} {code:?}");
        }
    }

    #[test]
    fn the_length_of_a_code_decides_the_type() {
        let of = |code| of_circle(code).as_ref().map(asset_type);
        assert_eq!([of("A"), of("USDC")], [Some("credit_alphanum4"); 2]);
        assert_eq!([of("yUSDC"), of("TWELVECHARS0")], [Some("credit_alphanum12"); 2]);
        assert_eq!([of(""), of("THIRTEENCHARS")], [None; 2]);
        assert_eq!(asset_type(&Asset::Native), "native");
    }
}
