//! The manifest `.config.json`, in which newer versions of Galexie describe a lake.

use serde::Deserialize;

use crate::error::{Error, Result};

/// The name of the manifest, at the root of the lake.
pub(crate) const NAME: &str = ".config.json";

/// The contents of the manifest, all optional: the names of the objects say how the lake is laid out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Manifest {
    pub(crate) network_passphrase: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) compression: Option<String>,
    /// Older manifests call it ledgersPerFile.
    #[serde(alias = "ledgersPerFile")]
    pub(crate) ledgers_per_batch: Option<u32>,
    /// Older manifests call it filesPerPartition.
    #[serde(alias = "filesPerPartition")]
    pub(crate) batches_per_partition: Option<u32>,
}

impl Manifest {
    /// Parses the manifest.
    ///
    /// # Errors
    /// [`Error::Manifest`] when it is not valid, [`Error::Options`] when it names an unsupported compression.
    pub(crate) fn parse(json: &[u8]) -> Result<Self> {
        let manifest: Self = serde_json::from_slice(json).map_err(Error::Manifest)?;
        if let Some(other) = &manifest.compression
            && !["zstd", "zst", "gzip", "gz", "none", ""].contains(&other.as_str())
        {
            return Err(Error::Options(format!(
                "the {NAME} of the lake names the compression {other:?}; only zstd, gzip and none are supported"
            )));
        }
        Ok(manifest)
    }

    /// The passphrase of the network: `asked`, or else that of the manifest, or else `default`.
    ///
    /// # Errors
    /// [`Error::Options`] when `asked` and the manifest contradict each other.
    pub(crate) fn passphrase(&self, asked: Option<&str>, default: &str) -> Result<String> {
        match (asked, &self.network_passphrase) {
            (Some(asked), Some(here)) if asked != here => Err(Error::Options(format!(
                "the lake is of the network {here:?}, but --network-passphrase is {asked:?}"
            ))),
            (Some(passphrase), _) => Ok(passphrase.to_owned()),
            (None, Some(here)) => Ok(here.clone()),
            (None, None) => Ok(default.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GALEXIE: &str = r#"{"networkPassphrase":"Test SDF Network ; September 2015","version":"1.0",
        "compression":"zstd","ledgersPerBatch":64,"batchesPerPartition":10}"#;

    #[test]
    fn what_galexie_writes_is_read() {
        let manifest = Manifest::parse(GALEXIE.as_bytes()).unwrap();
        assert_eq!((manifest.ledgers_per_batch, manifest.batches_per_partition), (Some(64), Some(10)));
        let older = Manifest::parse(br#"{"ledgersPerFile":1,"filesPerPartition":64000}"#).unwrap();
        assert_eq!((older.ledgers_per_batch, older.batches_per_partition), (Some(1), Some(64_000)));
        assert!(Manifest::parse(b"{").unwrap_err().to_string().contains(".config.json"));
        let lz4 = Manifest::parse(br#"{"compression":"lz4"}"#).unwrap_err();
        assert!(lz4.to_string().contains("lz4"), "{lz4}");
    }

    #[test]
    fn the_passphrase_is_that_of_the_lake() {
        let manifest = Manifest::parse(GALEXIE.as_bytes()).unwrap();
        let testnet = "Test SDF Network ; September 2015";
        assert_eq!(manifest.passphrase(None, "x").unwrap(), testnet);
        assert_eq!(manifest.passphrase(Some(testnet), "x").unwrap(), testnet);
        assert!(manifest.passphrase(Some("y"), "x").unwrap_err().to_string().contains("\"y\""));
        assert_eq!(Manifest::default().passphrase(None, "x").unwrap(), "x");
        assert_eq!(Manifest::default().passphrase(Some("y"), "x").unwrap(), "y");
    }
}
