//! `flight-source`: serves contract data over Arrow Flight until it receives SIGINT or SIGTERM.
#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Parser;
use flight_source::{Cli, Error, Result, Server};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let cli = Cli::parse();
    tracing_subscriber::fmt().with_max_level(cli.log_level()).with_writer(std::io::stderr).init();
    let ended = Runtime::new().map_err(cannot("start its threads")).and_then(|runtime| {
        let ended = runtime.block_on(run(&cli));
        runtime.shutdown_background();
        ended
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{}", error.chain());
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: &Cli) -> Result<()> {
    let handler = |kind| signal(kind).map_err(cannot("handle signals"));
    let (mut interrupt, mut terminate) =
        (handler(SignalKind::interrupt())?, handler(SignalKind::terminate())?);
    let server = Server::bind(cli.sources().await?, cli.server_options()).await?;
    announce(server.local_addr()?).map_err(cannot("write to standard output"))?;
    server
        .serve(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            tracing::info!("shutting down");
        })
        .await
}

/// Prints the address: the only line on standard output.
fn announce(address: SocketAddr) -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "listening on {address}")?;
    out.flush()
}

fn cannot(action: &'static str) -> impl Fn(io::Error) -> Error {
    move |source| Error::Process { action, source }
}
