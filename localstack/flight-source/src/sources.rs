//! What a server serves.

use std::sync::Arc;

use tonic::Status;

use crate::archive::Archive;
use crate::dataset::Dataset;

/// What a server serves: ledgers, states, or both.
#[derive(Clone, Default)]
pub struct Sources {
    /// The rows of ledgers, by window.
    pub ledgers: Option<Arc<dyn Dataset>>,
    /// The state at the checkpoints of an archive.
    pub state: Option<Arc<Archive>>,
}

impl Sources {
    pub(crate) fn ledgers(&self) -> Result<&Arc<dyn Dataset>, Status> {
        self.ledgers.as_ref().ok_or_else(|| {
            Status::not_found("this source has no ledgers, only checkpoints: ask for contract, state")
        })
    }

    pub(crate) fn state(&self) -> Result<&Arc<Archive>, Status> {
        self.state
            .as_ref()
            .ok_or_else(|| Status::not_found("this source has no checkpoints: flight-source needs --archive"))
    }
}

impl From<Arc<dyn Dataset>> for Sources {
    fn from(ledgers: Arc<dyn Dataset>) -> Self {
        Self { ledgers: Some(ledgers), state: None }
    }
}

impl<T: Dataset> From<Arc<T>> for Sources {
    fn from(ledgers: Arc<T>) -> Self {
        Self { ledgers: Some(ledgers), state: None }
    }
}

impl From<Arc<Archive>> for Sources {
    fn from(state: Arc<Archive>) -> Self {
        Self { ledgers: None, state: Some(state) }
    }
}
