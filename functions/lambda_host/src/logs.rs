//! Logs: lines of JSON on stdout, each with the id of its invocation.

use pipeline::{Error, LogConfig, LogFormat, Result};
use tracing_subscriber::EnvFilter;

/// Starts logging. The span of the invocation, with its `requestId`, is in every line.
///
/// # Errors
/// [`Error::Config`] when LOG_LEVEL does not parse.
pub(crate) fn start(config: &LogConfig) -> Result<()> {
    let filter = EnvFilter::try_new(&config.level).map_err(|e| Error::Config {
        variable: "LOG_LEVEL".to_owned(),
        problem: format!("{:?}: {e}", config.level),
    })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_target(false).with_ansi(false);
    match config.format {
        Some(LogFormat::Text) => builder.init(),
        // the service adds its own time, but the lines may be forwarded elsewhere
        _ => builder.json().flatten_event(true).with_span_list(false).init(),
    }
    Ok(())
}
