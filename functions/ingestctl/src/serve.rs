//! `serve`: runs continuously, and reports its state over HTTP.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pipeline::{Clients, Config, Error, Observer, Result, Stop};
use tokio::signal::unix::{Signal, SignalKind, signal};

mod chart;
mod endpoints;
mod http;
mod loading;
mod observing;
mod page;
mod prometheus;
mod standing;
mod stylesheet;
mod verdict;

use standing::Standing;

/// The time to finish the current window after the signal. Including a cancellation, `serve` ends within 25 seconds.
const GRACE: Duration = Duration::from_secs(20);

/// The signals that stop the process.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// Loads until SIGTERM or SIGINT, then finishes the current window, or cancels it and rolls it back after 20 seconds. A
/// second signal stops the process at once.
///
/// # Errors
/// Permanent errors before anything was planned: configuration, schema, another network, a refused login. Later errors
/// are logged, counted and retried with growing pauses.
pub(crate) async fn serve(config: Config) -> Result<()> {
    let mut signals = Signals::heeded()?;
    let listener = http::listen(config.metrics_port)?;
    let metrics = prometheus::start()?;
    let clients = Clients::open(config)?;
    let standing = Arc::new(Standing::new(clients.config(), Stop::default()));
    observing::start(&standing, Observer::new(clients.config())?, Observer::new(clients.config())?);
    http::serve(listener, endpoints::router(Arc::clone(&standing), metrics));
    let stop = standing.stop.clone();
    tokio::spawn(async move {
        let (name, _) = signals.next().await;
        tracing::info!(
            signal = name,
            "stopping: no new window starts, the current one has 20 seconds to finish"
        );
        stop.by(Instant::now() + GRACE);
        let (name, number) = signals.next().await;
        tracing::warn!(signal = name, "second signal: stopping at once");
        std::process::exit(128 + number);
    });
    loading::load_for_ever(&clients, &standing).await?;
    tracing::info!("ended");
    Ok(())
}

impl Signals {
    /// Installs the handlers: from now on the signals do not stop the process by themselves.
    fn heeded() -> Result<Self> {
        let heed = |kind| signal(kind).map_err(|e| Error::Unexpected(format!("cannot handle signals: {e}")));
        Ok(Signals { terminate: heed(SignalKind::terminate())?, interrupt: heed(SignalKind::interrupt())? })
    }

    /// The name and number of the next signal.
    async fn next(&mut self) -> (&'static str, i32) {
        tokio::select! {
            _ = self.terminate.recv() => ("SIGTERM", SignalKind::terminate().as_raw_value()),
            _ = self.interrupt.recv() => ("SIGINT", SignalKind::interrupt().as_raw_value()),
        }
    }
}
