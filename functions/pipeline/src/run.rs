//! The job: plans windows, then drains, stages, loads, records and archives them with parallel workers.

mod attribution;
mod budget;
mod conclude;
mod context;
mod fingerprint;
mod follow_up;
mod ownership;
mod pace;
mod partitions;
mod plan;
mod planner;
mod recover;
mod replay;
mod restore;
mod scheduled;
mod snapshot;
mod stop;
mod window;
mod workers;

pub use context::Clients;
pub use plan::{Plan, PlannedReplay, plan};
pub use replay::{ReplayKind, ReplayOptions, replay};
pub use scheduled::{run, run_until_stopped};
pub use snapshot::{SnapshotOptions, SnapshotReport, snapshot};
pub use stop::Stop;
