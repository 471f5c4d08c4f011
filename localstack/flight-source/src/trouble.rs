//! Why a dataset cannot answer a request, and the gRPC status by which a client hears of it.

use arrow::error::ArrowError;
use tonic::Status;

/// What stands in the way of an answer, in a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Trouble {
    /// Data that should be there is not. Asking again does not help before it is: FAILED_PRECONDITION.
    #[error("{0}")]
    Missing(String),
    /// Data is there and is not what it should be: DATA_LOSS.
    #[error("{0}")]
    Corrupt(String),
    /// The place where the data is does not answer: UNAVAILABLE.
    #[error("{0}")]
    Unreachable(String),
    /// Something that should not happen: INTERNAL.
    #[error("{0}")]
    Internal(String),
}

impl From<ArrowError> for Trouble {
    fn from(error: ArrowError) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<Trouble> for Status {
    fn from(trouble: Trouble) -> Self {
        let message = trouble.to_string();
        match trouble {
            Trouble::Missing(_) => Self::failed_precondition(message),
            Trouble::Corrupt(_) => Self::data_loss(message),
            Trouble::Unreachable(_) => Self::unavailable(message),
            Trouble::Internal(_) => Self::internal(message),
        }
    }
}
