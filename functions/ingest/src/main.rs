//! `ingest`: the function that loads windows, invoked by its schedule, an operator or a backfill.
#![forbid(unsafe_code)]

mod event;
mod handler;

use std::process::ExitCode;

fn main() -> ExitCode {
    let _scenario = pipeline::failpoints();
    lambda_host::serve(handler::handle)
}
