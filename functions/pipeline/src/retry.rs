//! Retries: a limited number, with growing pauses and jitter.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use crate::error::{Error, Result};
use crate::metrics;

/// Repeats `attempt` at `step` until it succeeds, fails permanently, or has used `MAX_RETRIES` retries: the first after
/// half a second, each pause twice the previous one, with jitter. `attempt` gets its number, from 1.
///
/// # Errors
/// That of the last attempt.
pub(crate) async fn retry<T, F: Future<Output = Result<T>>>(
    max_retries: u32,
    step: &'static str,
    mut attempt: impl FnMut(u32) -> F,
) -> Result<T> {
    let mut retries = Retries::new(max_retries);
    loop {
        match attempt(retries.attempts()).await {
            Ok(done) => return Ok(done),
            Err(error) => retries.pause_or(step, error).await?,
        }
    }
}

/// The remaining retries of one step.
#[derive(Debug)]
struct Retries {
    pauses: ExponentialBackoff,
    used: u32,
}

impl Retries {
    /// `MAX_RETRIES` retries: the first after half a second, each pause twice the previous one, with jitter.
    fn new(max_retries: u32) -> Self {
        let pauses = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(500))
            .with_max_delay(Duration::from_secs(20))
            .with_max_times(max_retries as usize)
            .with_jitter()
            .build();
        Retries { pauses, used: 0 }
    }

    /// Attempts so far, including the first.
    fn attempts(&self) -> u32 {
        self.used + 1
    }

    /// Pauses before the next attempt at `step`. Returns the error if it is permanent or no retries are left.
    async fn pause_or(&mut self, step: &'static str, error: Error) -> Result<()> {
        metrics::failed();
        if !error.is_transient() {
            return Err(error);
        }
        let Some(pause) = self.pauses.next() else { return Err(error) };
        self.used += 1;
        let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        tracing::warn!(step, attempt = self.used, pause_ms, error = %error.chain(), "retrying");
        tokio::time::sleep(pause).await;
        Ok(())
    }
}
