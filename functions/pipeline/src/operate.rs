//! Operations beside the loading: status, verification, and maintenance by the owner.

mod assets;
mod coverage;
mod gauges;
mod left_overs;
mod maintain;
mod maintenance;
mod observer;
mod overview;
mod retention;
mod status;
mod verify;

pub use assets::{KnownAsset, add_assets, list_assets};
pub use coverage::{Bin, Coverage};
pub use maintain::maintain;
pub use maintenance::{DroppedPartition, LeftOver, Maintenance, Postponed};
pub use observer::{Observer, Reachable};
pub use overview::{Overview, Pulse, TableSize, Throughput, status_in_bins};
pub use status::{FailedWindow, LastWindow, Status, UnderWay, status};
pub use verify::{Finding, Verification, verify};
