//! Ledgers made for tests, as objects of a lake.

use std::io::Write;
use std::path::Path;

pub(super) use testkit::network::ledger::*;

/// Compresses as the extension says.
pub(super) fn packed(xdr: &[u8], extension: &str) -> Vec<u8> {
    match extension {
        "xdr.gz" => {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(xdr).unwrap();
            gzip.finish().unwrap()
        }
        "xdr" => xdr.to_vec(),
        _ => {
            let mut zstd = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
            zstd.include_checksum(true).unwrap(); // as Galexie does
            zstd.write_all(xdr).unwrap();
            zstd.finish().unwrap()
        }
    }
}

/// Writes `xdr` as the object of these ledgers, atomically, as object stores do.
pub(super) fn put(folder: &Path, (start, end): (u32, u32), xdr: &[u8], extension: &str) {
    std::fs::create_dir_all(folder).unwrap();
    let path = folder.join(format!("{}.{extension}", name(start, end)));
    let temporary = folder.join(".being-written");
    std::fs::write(&temporary, packed(xdr, extension)).unwrap();
    std::fs::rename(temporary, path).unwrap();
}
