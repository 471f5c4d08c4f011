//! Stopping: how a long-running host asks a run to end.

use std::time::Instant;

use tokio::sync::watch;

/// A one-time request, possible at any time: start nothing new, and end by a deadline. Clones share the request.
#[derive(Debug, Clone)]
pub struct Stop(watch::Sender<Option<Instant>>);

impl Default for Stop {
    fn default() -> Self {
        Stop(watch::Sender::new(None))
    }
}

impl Stop {
    /// Asks the run to start no new window, and to cancel what is still under way at `deadline`. A second request
    /// changes nothing.
    pub fn by(&self, deadline: Instant) {
        self.0.send_if_modified(|wish| {
            let first = wish.is_none();
            wish.get_or_insert(deadline);
            first
        });
    }

    /// Whether a stop was requested.
    pub fn is_asked(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// Waits for a stop request; returns its deadline.
    pub async fn asked(&self) -> Instant {
        let mut wishes = self.0.subscribe();
        match wishes.wait_for(Option::is_some).await.map(|wish| *wish) {
            Ok(Some(deadline)) => deadline,
            // self owns the sender, and wait_for returns only with a request: neither happens.
            _ => std::future::pending().await,
        }
    }
}
