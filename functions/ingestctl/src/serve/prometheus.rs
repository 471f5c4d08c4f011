//! The metrics in Prometheus' text format.

use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use pipeline::{Error, Result};

/// Upper bounds of durations: a millisecond to a minute.
const SECONDS: [f64; 15] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// Upper bounds of rows in a window: one to a million.
const ROWS: [f64; 13] = [
    1.0,
    10.0,
    100.0,
    500.0,
    1_000.0,
    2_500.0,
    5_000.0,
    10_000.0,
    25_000.0,
    50_000.0,
    100_000.0,
    250_000.0,
    1_000_000.0,
];

/// How often observations are moved into the buckets, so that memory does not grow if nothing scrapes them.
const UPKEEP: Duration = Duration::from_secs(5);

/// Renders the metrics.
#[derive(Clone)]
pub(super) struct Metrics {
    recorder: PrometheusHandle,
    process: metrics_process::Collector,
}

/// Installs the recorder, for the life of the process.
///
/// # Errors
/// [`Error::Unexpected`] when one is already installed.
pub(super) fn start() -> Result<Metrics> {
    let unexpected =
        |e: &dyn std::fmt::Display| Error::Unexpected(format!("cannot install the metrics recorder: {e}"));
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_duration_seconds".to_owned()), &SECONDS)
        .and_then(|builder| {
            builder.set_buckets_for_metric(Matcher::Full("postgresql_consumer_batch_size".to_owned()), &ROWS)
        })
        .map_err(|e| unexpected(&e))?
        .build_recorder();
    let metrics = Metrics { recorder: recorder.handle(), process: metrics_process::Collector::default() };
    metrics::set_global_recorder(recorder).map_err(|e| unexpected(&e))?;
    metrics.process.describe();
    pipeline::describe_metrics();
    pipeline::begin_metrics(env!("CARGO_PKG_VERSION"));
    let upkept = metrics.recorder.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP).await;
            upkept.run_upkeep();
        }
    });
    Ok(metrics)
}

impl Metrics {
    /// The current values of all metrics, including those of the process.
    pub(super) fn render(&self) -> String {
        self.process.collect();
        self.recorder.render()
    }
}
