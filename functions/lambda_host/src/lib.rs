//! Shared by the two functions: startup, deadline, logs, metrics, and error answers.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use pipeline::{Clients, Config, Error, Result, Watch};
use serde_json::Value;

mod logs;
mod measures;

use measures::Measures;

/// One invocation: everything that a handler needs besides its event.
pub struct Invocation {
    /// Built at startup, shared by all invocations.
    pub clients: Arc<Clients>,
    /// When the function is killed.
    pub until: Instant,
    /// Passed to the pipeline, so that metrics are written during a run.
    pub watch: Watch,
}

/// Serves invocations until the sandbox ends: passes each event to `handler`, and returns its answer or error.
///
/// If the configuration is invalid, every invocation answers with that error, where the operator sees it, and it is not
/// retried.
pub fn serve<F, A>(handler: F) -> ExitCode
where
    F: Fn(Value, Invocation) -> A,
    A: Future<Output = Result<Value>>,
{
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return end_with(&error),
    };
    let served = runtime.block_on(async {
        let started = Config::from_env().and_then(start);
        let answer = async |event: LambdaEvent<Value>| {
            let outcome = match &started {
                Ok(started) => started.invoke(event, &handler).await,
                Err(error) => Err(diagnostic(error)),
            };
            outcome.inspect_err(|failure| {
                tracing::error!(error = %failure.error_message, kind = %failure.error_type, "failed");
            })
        };
        lambda_runtime::run(service_fn(answer)).await
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => end_with(error.as_ref()),
    }
}

/// Reports on stderr, for the service, that the sandbox cannot be served.
fn end_with(error: &dyn std::error::Error) -> ExitCode {
    #[allow(clippy::print_stderr, reason = "the one place that reports the end of a sandbox")]
    {
        eprintln!("the function cannot continue: {error}");
    }
    ExitCode::FAILURE
}

/// The result of startup.
struct Started {
    clients: Arc<Clients>,
    measures: &'static Measures,
}

/// Sets up logs, metrics and clients, once per cold start. Nothing is sent.
fn start(config: Config) -> Result<Started> {
    logs::start(&config.log)?;
    let measures = Measures::start(&config)?;
    Ok(Started { clients: Clients::open(config)?, measures })
}

impl Started {
    /// Handles one event.
    async fn invoke<F, A>(&self, event: LambdaEvent<Value>, handler: &F) -> Result<Value, Diagnostic>
    where
        F: Fn(Value, Invocation) -> A,
        A: Future<Output = Result<Value>>,
    {
        let (payload, context) = event.into_parts();
        self.measures.begin(&context.request_id);
        let invocation = Invocation {
            clients: Arc::clone(&self.clients),
            until: instant_of(context.deadline()),
            watch: self.measures.watch(),
        };
        let outcome = handler(payload, invocation).await;
        self.measures.flush();
        outcome.map_err(|error| diagnostic(&error))
    }
}

/// Converts a deadline to an instant.
fn instant_of(deadline: SystemTime) -> Instant {
    Instant::now() + deadline.duration_since(SystemTime::now()).unwrap_or(Duration::ZERO)
}

/// The error answer of the function: the chain of causes in one line, and whether a retry may succeed.
fn diagnostic(error: &Error) -> Diagnostic {
    // The object store has been retried several times by now, but may answer later.
    let passes = error.is_transient() || matches!(error, Error::Staging { .. });
    Diagnostic {
        error_type: if passes { "Retryable" } else { "NonRetryable" }.to_owned(),
        error_message: error.chain(),
    }
}
