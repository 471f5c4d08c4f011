//! The one error of the crate: its variants are the steps.

use std::net::SocketAddr;
use std::path::PathBuf;

use arrow::error::ArrowError;
use pipeline::BoxError;
use tonic::Status;

/// What keeps the server from starting, from running, or from answering a request.
///
/// Display is one sentence in lower case without its cause; the cause is the [`source`](std::error::Error::source), so that
/// a printed chain says everything once.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Options that contradict each other or the data.
    #[error("{0}")]
    Options(String),
    /// A Parquet file or directory that cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// What the file system or the Parquet reader says.
        #[source]
        source: BoxError,
    },
    /// A Parquet file or directory that can be read, but not served.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The synthetic chain cannot be made: a value that XDR does not allow.
    #[error("cannot make the synthetic chain")]
    Chain(#[from] stellar_xdr::Error),
    /// The address of a lake or an archive cannot be used.
    #[error("cannot open the {kind} {url}")]
    Store {
        /// `lake` or `archive`.
        kind: &'static str,
        /// The address as given.
        url: String,
        /// What is wrong with it.
        #[source]
        source: BoxError,
    },
    /// The manifest of a lake is not the JSON that Galexie writes.
    #[error("cannot parse the .config.json of the lake")]
    Manifest(#[source] serde_json::Error),
    /// Data is missing, and a retry does not help until it is there.
    #[error("{0}")]
    Missing(String),
    /// Data is there, but is not what it should be.
    #[error("{place}: {problem}")]
    Corrupt {
        /// Where: the object, the ledger.
        place: String,
        /// What is wrong there.
        problem: String,
        /// What the decoder says, if it says anything.
        #[source]
        source: Option<BoxError>,
    },
    /// Data is of another network.
    #[error("{place}: {problem}")]
    Network {
        /// Where: the object, the ledger.
        place: String,
        /// What is wrong there.
        problem: String,
    },
    /// The store with the data does not answer, or does not answer completely.
    #[error("{problem}")]
    Unreachable {
        /// What was tried, and where.
        problem: String,
        /// What the store says, if it says anything.
        #[source]
        source: Option<BoxError>,
    },
    /// The state cannot be kept in temporary files: most likely the disk is full.
    #[error("cannot keep the state in temporary files in {}", directory.display())]
    Scratch {
        /// Where they are.
        directory: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Rows cannot be put into a record batch.
    #[error("cannot make a record batch")]
    Batch(#[from] ArrowError),
    /// The address is taken, or is not one of this machine.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The gRPC server failed.
    #[error("cannot serve")]
    Serve(#[source] tonic::transport::Error),
    /// The process cannot use its signals, its threads or its standard output.
    #[error("cannot {action}")]
    Process {
        /// What was tried.
        action: &'static str,
        /// What the system says.
        source: std::io::Error,
    },
    /// A defect of this program: please report it.
    #[error("unexpected: {0}")]
    Unexpected(String),
}

/// The result of a step.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The whole chain of causes in one line, each said once.
    pub fn chain(&self) -> String {
        pipeline::chain(self)
    }
}

/// What a client is told: the chain, under the status that says whether a retry may help.
impl From<Error> for Status {
    fn from(error: Error) -> Self {
        Self::from(&error)
    }
}

impl From<&Error> for Status {
    fn from(error: &Error) -> Self {
        let message = error.chain();
        match error {
            Error::Missing(_) => Self::failed_precondition(message),
            Error::Corrupt { .. } | Error::Network { .. } => Self::data_loss(message),
            Error::Unreachable { .. } => Self::unavailable(message),
            Error::Scratch { .. } => Self::resource_exhausted(message),
            _ => Self::internal(message),
        }
    }
}
