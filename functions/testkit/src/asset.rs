//! Classic assets and their contracts.

use sha2::{Digest, Sha256};
use stellar_xdr::{
    AlphaNum4, AlphaNum12, AssetCode4, AssetCode12, ContractIdPreimage, Hash, HashIdPreimage,
    HashIdPreimageContractId, Limits, WriteXdr,
};

use crate::xdr;

/// The passphrase of the public network.
pub const PUBNET: &str = "Public Global Stellar Network ; September 2015";
/// The passphrase of the test network.
pub const TESTNET: &str = "Test SDF Network ; September 2015";

/// An asset as the instance row of its contract names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asset {
    /// Lumens: a type, and neither code nor issuer.
    Native,
    /// A code of up to 12 characters and the issuer's strkey.
    Credit {
        /// As in `USDC`, without padding.
        code: String,
        /// A strkey `G…`.
        issuer: String,
    },
}

impl Asset {
    /// The asset `code` of [`xdr::issuer`] number `issuer`.
    pub fn credit(code: &str, issuer: u32) -> Asset {
        Asset::Credit { code: code.to_owned(), issuer: xdr::issuer(issuer) }
    }

    /// `native`, `credit_alphanum4` or `credit_alphanum12`.
    pub fn type_name(&self) -> &'static str {
        match self {
            Asset::Native => "native",
            Asset::Credit { code, .. } if code.len() <= 4 => "credit_alphanum4",
            Asset::Credit { .. } => "credit_alphanum12",
        }
    }

    /// The strkey `C…` of this asset's contract in the network of that passphrase.
    pub fn contract_id(&self, passphrase: &str) -> String {
        contract_id_of(&self.to_xdr(), passphrase)
    }

    /// The asset in the XDR of ledger entries.
    pub fn to_xdr(&self) -> stellar_xdr::Asset {
        match self {
            Asset::Native => stellar_xdr::Asset::Native,
            Asset::Credit { code, issuer } if code.len() <= 4 => {
                stellar_xdr::Asset::CreditAlphanum4(AlphaNum4 {
                    asset_code: AssetCode4(padded(code)),
                    issuer: xdr::account(issuer),
                })
            }
            Asset::Credit { code, issuer } => stellar_xdr::Asset::CreditAlphanum12(AlphaNum12 {
                asset_code: AssetCode12(padded(code)),
                issuer: xdr::account(issuer),
            }),
        }
    }
}

/// The strkey `C…` of an asset's contract in the network of that passphrase.
pub(crate) fn contract_id_of(asset: &stellar_xdr::Asset, passphrase: &str) -> String {
    let preimage = HashIdPreimage::ContractId(HashIdPreimageContractId {
        network_id: Hash(Sha256::digest(passphrase).into()),
        contract_id_preimage: ContractIdPreimage::Asset(asset.clone()),
    });
    let bytes = preimage.to_xdr(Limits::none()).expect("an asset encodes");
    xdr::contract_strkey(Sha256::digest(bytes).into())
}

fn padded<const N: usize>(code: &str) -> [u8; N] {
    let mut bytes = [0; N];
    bytes[..code.len()].copy_from_slice(code.as_bytes());
    bytes
}
