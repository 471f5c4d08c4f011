//! A lake as a source.

use std::path::{Path, PathBuf};

use flight_source::{Lake, LakeOptions};

use testkit::network::entries;

use super::*;

mod captures;
mod columns;
mod faults;
pub(crate) mod independent;
pub(crate) mod layouts;
mod maker;
mod mutations;
mod real;
mod rows;
mod tables;
mod throughput;

/// The folder with real data of the public network, if there is one.
#[allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "the data stays outside of the repository"
)]
pub(crate) fn real_data() -> Option<PathBuf> {
    let folder = std::env::var_os("REAL_DATA_DIR");
    if folder.is_none() {
        eprintln!("REAL_DATA_DIR is not set: no real ledger is read");
    }
    folder.map(PathBuf::from)
}

/// A number from an environment variable.
#[allow(clippy::disallowed_methods, reason = "it only makes tests longer")]
pub(crate) fn number(variable: &str, default: u32) -> u32 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

/// The object of a ledger with one row.
pub(crate) fn one_ledger(sequence: u32) -> Vec<u8> {
    maker::packed(&maker::batch(sequence, layouts::ledgers(&mut maker::Maker::new(sequence), 1)), "xdr.zst")
}

pub(crate) fn at(directory: &Path) -> LakeOptions {
    LakeOptions { url: directory.display().to_string(), cache_bytes: 64 << 20, ..LakeOptions::default() }
}

pub(crate) async fn serve_lake(lake: &LakeOptions) -> Source {
    serve_with(Arc::new(Lake::open(lake).await.unwrap()), options()).await
}

pub(crate) fn scval(base64: &str) -> stellar_xdr::ScVal {
    use stellar_xdr::ReadXdr;
    stellar_xdr::ScVal::from_xdr_base64(base64, stellar_xdr::Limits::none()).unwrap()
}
