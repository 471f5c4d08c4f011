//! Measures: the loader's metrics as lines on stdout in CloudWatch's embedded metric format.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use metrics_cloudwatch_embedded::{Builder, Collector};
use pipeline::{Config, Error, Event, Result, Watch};

/// Windows between two lines of metrics. The format allows a hundred values per metric and line.
const WINDOWS_PER_LINE: u32 = 50;

/// Collects the metrics of the process.
pub(crate) struct Measures {
    collector: &'static Collector,
}

impl Measures {
    /// Installs the collector, for the life of the process.
    ///
    /// # Errors
    /// [`Error::Unexpected`] when one is already installed.
    pub(crate) fn start(config: &Config) -> Result<&'static Self> {
        let collector = Builder::new()
            .cloudwatch_namespace(config.metrics_namespace.clone())
            .with_dimension("Network", config.network.name.clone())
            .init()
            .map_err(|e| Error::Unexpected(format!("cannot install the metrics recorder: {e}")))?;
        pipeline::describe_metrics();
        Ok(Box::leak(Box::new(Measures { collector })))
    }

    /// From now on, lines contain the id of this invocation.
    pub(crate) fn begin(&self, request_id: &str) {
        self.collector.set_property("requestId", request_id);
    }

    /// Writes what was measured since the last line.
    pub(crate) fn flush(&self) {
        if let Err(error) = self.collector.flush(std::io::stdout()) {
            tracing::warn!(%error, "cannot write the metrics; they are lost");
        }
    }

    /// Writes lines of metrics during a run.
    pub(crate) fn watch(&'static self) -> Watch {
        let windows = AtomicU32::new(0);
        Arc::new(move |event| {
            if matches!(event, Event::Window(_))
                && (windows.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(WINDOWS_PER_LINE)
            {
                self.flush();
            }
        })
    }
}
