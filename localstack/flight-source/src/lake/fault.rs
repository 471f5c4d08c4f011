//! A fault found in an object by code that does not know which object and ledger it reads.

use std::fmt::Display;

use pipeline::BoxError;

use crate::error::Error;

/// What is wrong, and the error of the decoder, if there is one.
#[derive(Debug)]
pub(crate) struct Fault {
    problem: String,
    source: Option<BoxError>,
    is_of_another_network: bool,
}

impl Fault {
    /// The data is sound, but not of the network with this passphrase.
    pub(crate) fn of_another_network(passphrase: &str) -> Self {
        let problem =
            format!("its transactions are not of the network {passphrase:?}: set --network-passphrase");
        Self { is_of_another_network: true, ..Self::from(problem) }
    }

    /// A fault with its cause.
    pub(crate) fn caused(problem: &str, source: impl Into<BoxError>) -> Self {
        Self { source: Some(source.into()), ..Self::from(problem) }
    }

    /// The fault as an error in this object and these ledgers.
    pub(crate) fn at(self, object: impl Display, ledgers: impl Display) -> Error {
        let Self { problem, source, is_of_another_network } = self;
        let place = format!("object {object}, ledger {ledgers}");
        if is_of_another_network {
            return Error::Network { place, problem };
        }
        Error::Corrupt { place, problem, source }
    }
}

impl<T: Into<String>> From<T> for Fault {
    fn from(problem: T) -> Self {
        Self { problem: problem.into(), source: None, is_of_another_network: false }
    }
}
