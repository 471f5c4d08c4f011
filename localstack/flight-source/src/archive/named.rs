//! The assets that the entries of the state name: each once, by contract. Disk: an asset each time that it is named while it
//! is not remembered. Memory: [`REMEMBERED`] assets, and afterwards one part of [`PARTS`].

use std::collections::{BTreeMap, HashSet};

use pipeline::contract::asset::contract_id;
use stellar_xdr::{Asset, Limited, Limits, ReadXdr, WriteXdr};

use super::records::decoded;
use super::scratch::{Scratch, Spool, Spooled};
use crate::asset;
use crate::columns::strkey;
use crate::entry::named;
use crate::error::{Error, Result};
use crate::fault::{Fault, unencodable};

/// How many of the assets named last are not written again: about 10 MB.
const REMEMBERED: usize = 1 << 16;
/// How many files, by the beginning of the contract's strkey.
const PARTS: usize = 32;
const BUFFER: usize = 16 << 10;
/// Bytes of a strkey.
const STRKEY: usize = 56;

/// The assets named so far.
pub(crate) struct Named<'a> {
    passphrase: &'a str,
    remembered: HashSet<Asset>,
    parts: Vec<Spool>,
}

impl<'a> Named<'a> {
    /// No asset yet, of the network with this passphrase.
    ///
    /// # Errors
    /// [`Error::Scratch`].
    pub(crate) fn create(scratch: &Scratch, passphrase: &'a str) -> Result<Self> {
        let parts = (0..PARTS).map(|_| scratch.create(BUFFER)).collect::<Result<_>>()?;
        Ok(Self { passphrase, remembered: HashSet::new(), parts })
    }

    /// Adds the assets that the instance of a contract names, given its XDR.
    ///
    /// # Errors
    /// XDR that is not that of a ledger entry, an asset that cannot be encoded, and [`Error::Scratch`].
    pub(crate) fn add_instance(&mut self, xdr: &[u8]) -> Result<(), Fault> {
        let mut all = Vec::new();
        named(&decoded(xdr)?, self.passphrase, |asset| all.push(asset.clone())).map_err(unencodable)?;
        all.iter().try_for_each(|asset| self.add(asset))
    }

    /// Adds assets, given the XDR of each, one after the other.
    ///
    /// # Errors
    /// XDR that is not that of assets, an asset that cannot be encoded, and [`Error::Scratch`].
    pub(crate) fn add_all(&mut self, mut xdr: &[u8]) -> Result<(), Fault> {
        while !xdr.is_empty() {
            let asset = Asset::read_xdr(&mut Limited::new(&mut xdr, Limits::none()));
            self.add(&asset.map_err(unencodable)?)?;
        }
        Ok(())
    }

    /// Adds an asset. Codes that the network does not allow are left out: they name no asset.
    fn add(&mut self, asset: &Asset) -> Result<(), Fault> {
        if self.remembered.contains(asset) || !asset::is_allowed(asset) {
            return Ok(());
        }
        if self.remembered.len() >= REMEMBERED {
            self.remembered.clear();
        }
        self.remembered.insert(asset.clone());
        let contract = strkey(contract_id(asset, self.passphrase).map_err(unencodable)?);
        let xdr = asset.to_xdr(Limits::none()).map_err(unencodable)?;
        let part = &mut self.parts[part(&contract)];
        for bytes in [contract.as_bytes(), &[xdr.len() as u8], &xdr] {
            part.write(bytes)?;
        }
        Ok(())
    }

    /// All assets, each once, in the order of their contracts; and how many they are.
    ///
    /// # Errors
    /// [`Error::Scratch`].
    pub(crate) fn finish(self, scratch: &Scratch) -> Result<(Spooled, u64)> {
        let (mut all, mut count) = (scratch.create(BUFFER)?, 0);
        for part in self.parts {
            let bytes = part.finish()?.read()?;
            let unexpected = || Error::Unexpected("a temporary file of assets has changed".to_owned());
            let by_contract: BTreeMap<_, _> = listed(&bytes).ok_or_else(unexpected)?.into_iter().collect();
            for (contract, asset) in by_contract {
                all.write(contract)?;
                all.write(&[asset.len() as u8])?;
                all.write(asset)?;
                count += 1;
            }
        }
        Ok((all.finish()?, count))
    }
}

/// The file of a contract. Files are in the order of the text, in which digits come first. The first character is a C, the
/// second one from A to D.
fn part(contract: &str) -> usize {
    let of_base32 = |at: usize| match contract.as_bytes()[at] {
        digit @ b'2'..=b'7' => digit - b'2',
        letter => (letter - b'A') % 26 + 6,
    };
    let (second, third) = (usize::from(of_base32(1)) - 6, usize::from(of_base32(2)));
    second % 4 * (PARTS / 4) + third * (PARTS / 4) / 32
}

/// The contracts and the XDR of their assets in the bytes of a file; `None` if the bytes are not what was written.
fn listed(mut bytes: &[u8]) -> Option<Vec<(&[u8; STRKEY], &[u8])>> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let (contract, rest) = bytes.split_first_chunk::<STRKEY>()?;
        let ([length], rest) = rest.split_first_chunk::<1>()?;
        let (asset, rest) = rest.split_at_checked(usize::from(*length))?;
        all.push((contract, asset));
        bytes = rest;
    }
    Some(all)
}

/// The next asset and the strkey of its contract in a file of all assets; `None` at its end.
///
/// # Errors
/// A file that cannot be read, or has changed.
pub(crate) fn next(file: &mut impl std::io::BufRead) -> std::io::Result<Option<(String, Asset)>> {
    if file.fill_buf()?.is_empty() {
        return Ok(None);
    }
    let (mut head, mut xdr) = ([0; STRKEY + 1], [0; 255]);
    file.read_exact(&mut head)?;
    let xdr = &mut xdr[..usize::from(head[STRKEY])];
    file.read_exact(xdr)?;
    let asset = Asset::from_xdr(xdr, Limits::none()).map_err(std::io::Error::other)?;
    Ok(Some((String::from_utf8_lossy(&head[..STRKEY]).into_owned(), asset)))
}
