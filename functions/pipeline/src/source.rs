//! The Flight source: its offer of a window, and the drain that proves it complete.

mod cast;
mod compression;
mod connect;
mod decode;
mod drain;
mod flight;
mod numbering;
mod offer;
mod pieces;
mod tls;

pub(crate) use drain::{Drain, Drained, drain};
pub(crate) use flight::Flight;
pub(crate) use offer::{Offer, OfferedWindow, Trust};
