//! A fault found in an object by code that does not know which object and ledger it reads.

use std::fmt::Display;

use pipeline::BoxError;

use crate::error::Error;

/// What is wrong, and the error of the decoder, if there is one.
#[derive(Debug)]
pub(crate) struct Fault {
    problem: String,
    source: Option<BoxError>,
}

impl Fault {
    /// A fault with its cause.
    pub(crate) fn caused(problem: &str, source: impl Into<BoxError>) -> Self {
        Self { problem: problem.to_owned(), source: Some(source.into()) }
    }

    /// The fault as an error in this object and these ledgers.
    pub(crate) fn at(self, object: impl Display, ledgers: impl Display) -> Error {
        let Self { problem, source } = self;
        Error::Corrupt { place: format!("object {object}, ledger {ledgers}"), problem, source }
    }
}

impl<T: Into<String>> From<T> for Fault {
    fn from(problem: T) -> Self {
        Self { problem: problem.into(), source: None }
    }
}
