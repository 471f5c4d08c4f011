//! Ledgers of a lake as a source.

mod columns;
mod entries;
mod layouts;
mod maker;
mod mutations;
mod real;
mod rows;
mod trouble;

use super::*;
use flight_source::{Lake, LakeOptions};
use std::path::{Path, PathBuf};

/// The folder with real data of the public network.
fn real_data() -> PathBuf {
    PathBuf::from(
        std::env::var("REAL_DATA_DIR").expect("REAL_DATA_DIR is not set: run the tests through `make test`"),
    )
}

fn at(directory: &Path) -> LakeOptions {
    LakeOptions { url: directory.display().to_string(), cache_bytes: 64 << 20, ..LakeOptions::default() }
}

async fn serve_lake(lake: &LakeOptions) -> Source {
    serve_with(Arc::new(Lake::open(lake).await.unwrap()), options()).await
}

fn scval(base64: &str) -> stellar_xdr::ScVal {
    use stellar_xdr::ReadXdr;
    stellar_xdr::ScVal::from_xdr_base64(base64, stellar_xdr::Limits::none()).unwrap()
}
