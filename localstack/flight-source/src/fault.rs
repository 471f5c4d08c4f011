//! A fault found in an object by code that does not know which object and ledger it reads.

use std::fmt::Display;
use std::io;

use pipeline::BoxError;

use crate::error::Error;

/// What is wrong, and the error of the decoder, if there is one.
#[derive(Debug)]
pub(crate) struct Fault {
    problem: String,
    source: Option<BoxError>,
    is_of_another_network: bool,
    /// No fault of the object: why it could not be read.
    failure: Option<Box<Error>>,
}

impl Fault {
    /// The data is sound, but not of the network with this passphrase.
    pub(crate) fn of_another_network(passphrase: &str) -> Self {
        Self::of_network(format!(
            "its transactions are not of the network {passphrase:?}: set --network-passphrase"
        ))
    }

    /// The data is sound, but of another network, as the problem says.
    pub(crate) fn of_network(problem: String) -> Self {
        Self { is_of_another_network: true, ..Self::from(problem) }
    }

    /// What keeps a compressed object from being read: what it is itself, or an [`Error`] of its store inside `error`.
    pub(crate) fn of_reading(error: io::Error) -> Self {
        match error.downcast::<Error>() {
            Ok(failure) => failure.into(),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => "it is truncated".into(),
            Err(error) => Self::caused("it cannot be decompressed", error),
        }
    }

    /// A fault with its cause.
    pub(crate) fn caused(problem: &str, source: impl Into<BoxError>) -> Self {
        Self { source: Some(source.into()), ..Self::from(problem) }
    }

    /// The fault as an error in this object and these ledgers.
    pub(crate) fn at(self, object: impl Display, ledgers: impl Display) -> Error {
        let Self { problem, source, is_of_another_network, failure } = self;
        if let Some(failure) = failure {
            return *failure;
        }
        let place = format!("object {object}, ledger {ledgers}");
        if is_of_another_network {
            return Error::Network { place, problem };
        }
        Error::Corrupt { place, problem, source }
    }
}

impl<T: Into<String>> From<T> for Fault {
    fn from(problem: T) -> Self {
        Self { problem: problem.into(), source: None, is_of_another_network: false, failure: None }
    }
}

impl From<Error> for Fault {
    fn from(failure: Error) -> Self {
        Self { failure: Some(Box::new(failure)), ..Self::from(String::new()) }
    }
}

/// The fault of an entry that XDR does not allow.
pub(crate) fn unencodable(error: stellar_xdr::Error) -> Fault {
    Fault::caused("an entry cannot be encoded as XDR", error)
}

/// The fault of rows that make no record batch.
pub(crate) fn misfit(error: Error) -> Fault {
    Fault::caused("its rows do not fit the columns", error)
}
