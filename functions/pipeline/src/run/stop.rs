//! Stopping: how a host that runs for ever asks a run to come to its end.

use std::time::Instant;

use tokio::sync::watch;

/// A wish that may be uttered at any time, once: begin nothing new, and be done by then. Clones are one wish.
#[derive(Debug, Clone)]
pub struct Stop(watch::Sender<Option<Instant>>);

impl Default for Stop {
    fn default() -> Self {
        Stop(watch::Sender::new(None))
    }
}

impl Stop {
    /// Asks whoever runs to begin no new window, and to give up at `deadline` what is then under way. A second wish changes
    /// nothing.
    pub fn by(&self, deadline: Instant) {
        self.0.send_if_modified(|wish| {
            let first = wish.is_none();
            wish.get_or_insert(deadline);
            first
        });
    }

    /// Whether it has been asked.
    pub fn is_asked(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// Waits until it is asked; answers the deadline.
    pub async fn asked(&self) -> Instant {
        let mut wishes = self.0.subscribe();
        match wishes.wait_for(Option::is_some).await.map(|wish| *wish) {
            Ok(Some(deadline)) => deadline,
            // The sender is ours and lives, and the wish is there: neither happens.
            _ => std::future::pending().await,
        }
    }
}
