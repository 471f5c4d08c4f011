//! `serve`: loads for ever, and tells over HTTP how it goes.

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

/// How long a window under way may take to be finished after the signal to end. With what giving up takes, `serve` ends
/// within 25 seconds.
const GRACE: Duration = Duration::from_secs(20);

/// The signals that end the process.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// Loads until SIGTERM or SIGINT, then finishes the window under way, or gives it up and rolls it back when that takes longer
/// than 20 seconds. A second signal ends the process at once.
///
/// # Errors
/// What no retry cures before anything was planned: configuration, schema, another network, a login that is refused. Later
/// errors are told, counted and tried again, further and further apart.
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
            "ends: no window is begun, the one under way is finished if that is soon"
        );
        stop.by(Instant::now() + GRACE);
        let (name, number) = signals.next().await;
        tracing::warn!(signal = name, "ends at once");
        std::process::exit(128 + number);
    });
    loading::load_for_ever(&clients, &standing).await?;
    tracing::info!("ended");
    Ok(())
}

impl Signals {
    /// From now on the signals do not end the process by themselves.
    fn heeded() -> Result<Self> {
        let heed = |kind| signal(kind).map_err(|e| Error::Unexpected(format!("cannot heed signals: {e}")));
        Ok(Signals { terminate: heed(SignalKind::terminate())?, interrupt: heed(SignalKind::interrupt())? })
    }

    /// The name and number of the next one.
    async fn next(&mut self) -> (&'static str, i32) {
        tokio::select! {
            _ = self.terminate.recv() => ("SIGTERM", SignalKind::terminate().as_raw_value()),
            _ = self.interrupt.recv() => ("SIGINT", SignalKind::interrupt().as_raw_value()),
        }
    }
}
