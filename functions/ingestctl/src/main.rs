//! `ingestctl`: the command line of the contract data loader.
#![forbid(unsafe_code)]

mod cli;
mod logging;
mod numbers;
mod output;
mod serve;
mod strip;
mod commands;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let _scenario = pipeline::failpoints();
    commands::execute(cli::Cli::parse())
}
