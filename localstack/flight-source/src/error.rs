//! Why the server does not start, or stops.

use std::path::PathBuf;

/// What went wrong, in a sentence.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Options that do not fit together.
    #[error("{0}")]
    Options(String),
    /// A Parquet file or directory that cannot be served.
    #[error("{}: {reason}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A lake of ledgers that cannot be served.
    #[error(transparent)]
    Lake(#[from] crate::trouble::Trouble),
    /// A value that XDR does not allow.
    #[error("cannot encode XDR: {0}")]
    Xdr(#[from] stellar_xdr::Error),
    /// The address is taken, or not one of this machine.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address asked for.
        address: std::net::SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// Standard output, or the signals of the process.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The gRPC server.
    #[error("the server failed: {0}")]
    Serve(#[from] tonic::transport::Error),
    /// The columns do not fit the Arrow format.
    #[error("the columns cannot be served: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
}
