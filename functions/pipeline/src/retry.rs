//! Trying again: a few times, further and further apart, never in step with others.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use crate::error::{Error, Result};
use crate::observe;

/// The attempts left for one step.
#[derive(Debug)]
pub(crate) struct Retries {
    pauses: ExponentialBackoff,
    used: u32,
}

impl Retries {
    /// `MAX_RETRIES` more attempts: the first after half a second, each pause twice the last, with jitter.
    pub(crate) fn new(max_retries: u32) -> Self {
        let pauses = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(500))
            .with_max_delay(Duration::from_secs(20))
            .with_max_times(max_retries as usize)
            .with_jitter()
            .build();
        Retries { pauses, used: 0 }
    }

    /// Attempts made so far, the first included.
    pub(crate) fn attempts(&self) -> u32 {
        self.used + 1
    }

    /// Pauses before another attempt at `step`, or hands the error back: it will not pass, or enough is enough.
    pub(crate) async fn pause_or(&mut self, step: &'static str, error: Error) -> Result<()> {
        observe::failed();
        if !error.is_transient() {
            return Err(error);
        }
        let Some(pause) = self.pauses.next() else { return Err(error) };
        self.used += 1;
        let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        tracing::warn!(step, attempt = self.used, pause_ms, error = %error.chain(), "trying again");
        tokio::time::sleep(pause).await;
        Ok(())
    }
}
