//! The object store: staging of windows, and the archive of completed ones.

pub(crate) mod archive;
mod entries;
pub(crate) mod footer;
pub(crate) mod mark;
pub(crate) mod names;
pub(crate) mod object;
mod s3;
mod silence;
mod sort;
pub(crate) mod stage;
#[allow(clippy::module_inception, reason = "the room holds more than the store")]
mod store;

pub(crate) use entries::EntryOrder;
pub(crate) use object::StagedObject;
pub(crate) use store::Store;
