//! PostgreSQL: connections and sessions, the schema, and the transaction that loads a window.

mod backend;
pub(crate) mod binary;
mod client;
mod connect;
mod credentials;
pub(crate) mod digest;
pub(crate) mod fold;
mod functions;
pub(crate) mod health;
pub(crate) mod hints;
pub(crate) mod load;
mod migrate;
mod password_file;
mod patience;
pub(crate) mod progress;
pub(crate) mod replace;
mod row;
mod schema;
mod sessions;
pub(crate) mod snapshot;
pub(crate) mod settings;
pub(crate) mod sql;
mod tls;
mod transaction;

pub(crate) use client::Client;
pub(crate) use connect::connect;
pub use migrate::{Migration, check, migrate};
pub(crate) use patience::{LONG_WORK, Limits};
pub(crate) use row::{get, ledger, side, sides, window};
pub(crate) use sessions::{Session, Sessions};
pub(crate) use transaction::{begin, commit, try_lock};
