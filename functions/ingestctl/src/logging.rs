//! Logs on stderr, above the progress bar if there is one.

use std::io::{IsTerminal, Write};

use indicatif::ProgressBar;
use pipeline::{LogConfig, LogFormat};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Writes whole lines to stderr, above the progress bar.
#[derive(Clone)]
struct AboveTheBar(ProgressBar);

impl Write for AboveTheBar {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.suspend(|| std::io::stderr().write(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}

impl<'a> MakeWriter<'a> for AboveTheBar {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Starts logging as configured: by default text on a terminal and JSON elsewhere. The error explains why LOG_LEVEL
/// does not parse.
pub(crate) fn start(config: &LogConfig, bar: &ProgressBar) -> Result<(), String> {
    let filter = EnvFilter::try_new(&config.level).map_err(|e| format!("{:?}: {e}", config.level))?;
    // A closed log must not stop a load: the subscriber's own error message about it would panic.
    let builder = tracing_subscriber::fmt().with_env_filter(filter).log_internal_errors(false);
    let builder = builder.with_writer(AboveTheBar(bar.clone()));
    let terminal = std::io::stderr().is_terminal();
    let format = config.format.unwrap_or(if terminal { LogFormat::Text } else { LogFormat::Json });
    match format {
        LogFormat::Text => builder.with_ansi(terminal).with_target(false).init(),
        LogFormat::Json => builder.json().flatten_event(true).with_target(false).init(),
    }
    Ok(())
}
