//! Networks, and the contract ids that follow from their passphrase.

use sha2::{Digest, Sha256};
use stellar_strkey::Contract;
use stellar_xdr::Asset;

use crate::contract::asset::contract_id;
use crate::error::{Error, Result};

/// A Stellar network: a short name for paths, tables and messages, and the passphrase that identifies it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// `pubnet`, `testnet`, `futurenet`, or a custom name: lower-case letters, digits, `-`, `_`.
    pub name: String,
    /// The network passphrase.
    pub passphrase: String,
}

/// The passphrase of the public network.
pub const PUBNET: &str = "Public Global Stellar Network ; September 2015";

/// The networks with a well-known passphrase.
const KNOWN: [(&str, &str); 3] = [
    ("pubnet", PUBNET),
    ("testnet", "Test SDF Network ; September 2015"),
    ("futurenet", "Test SDF Future Network ; October 2022"),
];

impl Network {
    /// A network by name; an unknown one requires its passphrase.
    ///
    /// # Errors
    /// [`Error::Config`] for a name that cannot be part of a path, an unknown name without a passphrase, or a known
    /// name with another passphrase.
    pub fn new(name: &str, passphrase: Option<&str>) -> Result<Self> {
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if name.is_empty() || name.len() > 40 || !name.chars().all(legal) {
            return Err(Error::config(
                "NETWORK",
                format!("{name:?} is not a network name: use 1 to 40 of a-z, 0-9, '-' and '_'"),
            ));
        }
        let known = KNOWN.iter().find(|(n, _)| *n == name).map(|(_, p)| *p);
        let passphrase = match (known, passphrase) {
            (Some(known), Some(given)) if known != given => {
                return Err(Error::config("NETWORK_PASSPHRASE", format!("is not the passphrase of {name}")));
            }
            (Some(known), _) => known,
            (None, Some(given)) => given,
            (None, None) => {
                return Err(Error::config(
                    "NETWORK",
                    format!("{name} is not pubnet, testnet or futurenet: set NETWORK_PASSPHRASE"),
                ));
            }
        };
        Ok(Network { name: name.to_owned(), passphrase: passphrase.to_owned() })
    }

    /// The id of this network: the SHA-256 of its passphrase.
    pub(crate) fn id(&self) -> [u8; 32] {
        Sha256::digest(self.passphrase.as_bytes()).into()
    }

    /// The contract id (strkey `C…`) of the native asset's contract on this network.
    ///
    /// # Errors
    /// [`Error::Unexpected`] only if XDR cannot be written to memory.
    pub fn native_contract(&self) -> Result<String> {
        self.asset_contract(&Asset::Native)
    }

    /// The id of an asset's contract on this network: a hash of asset and network.
    pub(crate) fn asset_contract(&self, asset: &Asset) -> Result<String> {
        let id = contract_id(asset, &self.passphrase).map_err(|e| Error::Unexpected(e.to_string()))?;
        Ok(Contract(id).to_string().as_str().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn native_contracts_are_those_of_the_networks() {
        let of = |name| Network::new(name, None).unwrap().native_contract().unwrap();
        assert_eq!(of("pubnet"), "CAS3J7GYLGXMF6TDJBBYYSE3HQ6BBSMLNUQ34T6TZMYMW2EVH34XOWMA");
        assert_eq!(of("testnet"), "CDLZFC3SYJYDZT7K67VZ75HPJVIEUVNIXF47ZG2FB2RMQQVU2HHGCYSC");
    }

    #[test]
    fn names_and_passphrases_are_checked() {
        let error = |name, passphrase| Network::new(name, passphrase).unwrap_err().to_string();
        assert!(error("standalone", None).contains("set NETWORK_PASSPHRASE"));
        assert!(error("../etc", Some("x")).contains("is not a network name"));
        assert!(error("testnet", Some(PUBNET)).contains("not the passphrase of testnet"));
        assert_eq!(Network::new("standalone", Some("secret island")).unwrap().passphrase, "secret island");
    }
}
