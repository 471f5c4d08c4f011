//! Operations beside the loading: status, verification, and maintenance by the owner.

mod adopt;
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
mod strays;
mod verify;

pub use adopt::{Adoption, adopt_archive};
pub use assets::{KnownAsset, add_assets, list_assets};
pub use coverage::{Bin, Coverage};
pub use maintain::maintain;
pub use maintenance::{DroppedPartition, LeftOver, Maintenance, Postponed, Stray, StrayKind};
pub use observer::{Observer, Reachable};
pub use overview::{Overview, Pulse, TableSize, Throughput, status_in_bins};
pub use status::{Base, FailedWindow, LastWindow, Status, UnderWay, status};
pub use verify::{CheckpointVerification, Difference, Finding, Verification, verify, verify_checkpoint};
