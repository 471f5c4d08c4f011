//! Ledgers of a lake as a source.

mod real;

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
