//! Recorded facts of a window: how it was proven complete, and where its rows came from.

use serde::{Deserialize, Serialize};

/// How the completeness of a window was proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// The source declared the ledgers and the number of rows, and exactly those arrived.
    Declared,
    /// The source declared nothing; the operator accepted a clean end of stream as complete.
    TrustedEnd,
    /// The source declared nothing; ledgers came in order, and the last one seen was left out.
    BeforeLast,
}

impl Evidence {
    /// The word in `ingestion_progress.evidence`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Evidence::Declared => "declared",
            Evidence::TrustedEnd => "trusted_end",
            Evidence::BeforeLast => "before_last",
        }
    }
}

/// Where the rows of a window came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RowSource {
    /// Drained by this run.
    Flight,
    /// A sealed object of an earlier attempt.
    Staging,
    /// The archive of completed windows.
    Archive,
}

impl RowSource {
    /// The value in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            RowSource::Flight => "flight",
            RowSource::Staging => "staging",
            RowSource::Archive => "archive",
        }
    }
}
