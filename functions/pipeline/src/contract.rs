//! The contract of source, store, database and loader: windows, columns, values and their encoding. No I/O.

pub(crate) mod evidence;
pub(crate) mod network;
mod numeric;
pub(crate) mod tables;
pub(crate) mod tuples;
pub(crate) mod window;
pub(crate) mod xdr;
