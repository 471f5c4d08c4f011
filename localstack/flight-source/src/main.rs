//! `flight-source`: serves contract data over Arrow Flight until it is told to end.
#![forbid(unsafe_code)]

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use flight_source::{Cli, Error, Server};
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let cli = Cli::parse();
    tracing_subscriber::fmt().with_max_level(cli.log_level()).with_writer(std::io::stderr).init();
    let ended = tokio::runtime::Runtime::new().map_err(Error::from).and_then(|runtime| {
        let ended = runtime.block_on(run(&cli));
        runtime.shutdown_background();
        ended
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: &Cli) -> Result<(), Error> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let server = Server::bind(cli.dataset().await?, cli.server_options()).await?;
    let mut out = std::io::stdout();
    writeln!(out, "listening on {}", server.local_addr()?)?;
    out.flush()?;
    server
        .serve(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            tracing::info!("ending");
        })
        .await
}
