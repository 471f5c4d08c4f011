//! What the two functions share: how they start, how much time they have, what they log and measure, and how an error
//! leaves them.
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

/// One invocation: what a handler needs besides its event.
pub struct Invocation {
    /// Built when the function started, the same for all of its invocations.
    pub clients: Arc<Clients>,
    /// When the function is killed.
    pub until: Instant,
    /// To be handed to the pipeline, so that metrics leave while a run goes on.
    pub watch: Watch,
}

/// Serves invocations until the sandbox ends: each event to `handler`, its answer or its error back.
///
/// A configuration that does not read is the answer to every invocation: said where the operator looks, and not retried.
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

/// The sandbox cannot be served: said on stderr, where the service looks for it.
fn end_with(error: &dyn std::error::Error) -> ExitCode {
    #[allow(clippy::print_stderr, reason = "the one place where the end of a sandbox is told")]
    {
        eprintln!("the function ends: {error}");
    }
    ExitCode::FAILURE
}

/// What a start comes to.
struct Started {
    clients: Arc<Clients>,
    measures: &'static Measures,
}

/// Logs, metrics and clients, once per cold start. Nothing is sent to anybody.
fn start(config: Config) -> Result<Started> {
    logs::start(&config.log)?;
    let measures = Measures::start(&config)?;
    Ok(Started { clients: Clients::open(config)?, measures })
}

impl Started {
    /// One event, to its answer.
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

/// The moment of a deadline that is given by the clock.
fn instant_of(deadline: SystemTime) -> Instant {
    Instant::now() + deadline.duration_since(SystemTime::now()).unwrap_or(Duration::ZERO)
}

/// How an error leaves the function: with its chain of causes in one line, and whether another attempt may go better.
fn diagnostic(error: &Error) -> Diagnostic {
    // The object store has been asked several times by then; an hour later it may answer.
    let passes = error.is_transient() || matches!(error, Error::Staging { .. });
    Diagnostic {
        error_type: if passes { "Retryable" } else { "NonRetryable" }.to_owned(),
        error_message: error.chain(),
    }
}
