//! What is built once and serves many runs: the configuration, and the ways to the source, to the object store and to
//! PostgreSQL.

use std::sync::Arc;

use crate::config::Config;
use crate::database::Sessions;
use crate::drain::Flight;
use crate::error::Result;
use crate::staging::Staging;

/// The clients of a process, for as many runs as it makes.
///
/// A host may be frozen between two runs, for hours. What may have died meanwhile is proven alive or made anew: a session
/// of PostgreSQL answers a question before it is used, and each run opens a connection of its own to the source.
#[derive(Debug)]
pub struct Clients {
    pub(crate) config: Config,
    pub(crate) staging: Staging,
    pub(crate) sessions: Sessions,
    flight: Flight,
}

impl Clients {
    /// Prepares the clients. Nothing is sent to anybody before the first run.
    ///
    /// # Errors
    /// [`crate::Error::Config`] for what the configuration cannot mean, [`crate::Error::Staging`] when the folder of a
    /// `file://` URL cannot be made.
    pub fn open(config: Config) -> Result<Arc<Self>> {
        Ok(Arc::new(Clients {
            staging: Staging::open(&config.staging, config.max_retries)?,
            sessions: Sessions::new(&config.database)?,
            flight: Flight::new(&config.flight)?,
            config,
        }))
    }

    /// The configuration they were built from.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// A connection of its own to the source, made when it is first used.
    pub(crate) fn flight(&self) -> Flight {
        self.flight.reconnected()
    }
}
