//! The contract of source, store, database and loader: windows, columns, values and their encoding. No I/O.
//!
//! The public modules are for sources in Rust, such as `flight-source`.

pub mod asset;
pub mod checkpoint;
pub(crate) mod evidence;
pub(crate) mod fingerprint;
pub(crate) mod network;
mod numeric;
pub mod tables;
mod token;
pub(crate) mod tuples;
pub(crate) mod values;
mod walk;
pub(crate) mod weight;
pub(crate) mod window;
pub mod wire;
pub mod xdr;
