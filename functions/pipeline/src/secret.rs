//! A secret in AWS Secrets Manager: read on first use, kept in memory, and read again when it is refused.

use std::sync::Arc;

use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
use secrecy::SecretString;
use tokio::sync::Mutex;

use crate::aws::Aws;
use crate::error::{Error, chain};

/// A secret by its name or ARN. Clones share its value, so that a process reads it once.
#[derive(Clone)]
pub(crate) struct StoredSecret(Arc<Inner>);

struct Inner {
    /// The variable that names the secret, for errors.
    variable: &'static str,
    id: String,
    aws: Aws,
    held: Mutex<Option<Reading>>,
}

/// One reading of a secret.
#[derive(Clone)]
pub(crate) struct Reading {
    /// The secret's string.
    pub(crate) value: SecretString,
    /// The number of this reading: distinguishes a refused reading from a newer one.
    number: u64,
}

/// Why a secret could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{variable}: cannot read the secret {id}: {problem}")]
pub(crate) struct Unreadable {
    variable: &'static str,
    id: String,
    problem: String,
    /// True if a retry may succeed: AWS is unreachable or busy.
    pub(crate) transient: bool,
}

impl std::fmt::Debug for StoredSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("StoredSecret").field(&self.0.id).finish()
    }
}

impl StoredSecret {
    /// A secret by name; nothing is read yet.
    pub(crate) fn new(variable: &'static str, id: String, aws: Aws) -> Self {
        StoredSecret(Arc::new(Inner { variable, id, aws, held: Mutex::new(None) }))
    }

    /// Its name or ARN, as configured.
    pub(crate) fn id(&self) -> &str {
        &self.0.id
    }

    /// Its value, from memory if it was read before.
    pub(crate) async fn read(&self) -> Result<Reading, Unreadable> {
        let mut held = self.0.held.lock().await;
        if let Some(reading) = &*held {
            return Ok(reading.clone());
        }
        let reading = Reading { value: Box::pin(self.fetch()).await?, number: 1 };
        Ok(held.insert(reading).clone())
    }

    /// Its value after `refused` was refused: reads it again, unless another task has done so meanwhile.
    pub(crate) async fn read_again(&self, refused: &Reading) -> Result<Reading, Unreadable> {
        let mut held = self.0.held.lock().await;
        if let Some(newer) = held.as_ref().filter(|reading| reading.number > refused.number) {
            return Ok(newer.clone());
        }
        tracing::info!(
            variable = self.0.variable,
            secret = self.0.id,
            "the login was refused: reading the secret again"
        );
        let reading = Reading { value: Box::pin(self.fetch()).await?, number: refused.number + 1 };
        Ok(held.insert(reading).clone())
    }

    /// Asks AWS. Its future is large, so callers box it.
    async fn fetch(&self) -> Result<SecretString, Unreadable> {
        let Inner { variable, id, aws, .. } = &*self.0;
        let unreadable =
            |problem: String, transient| Unreadable { variable, id: id.clone(), problem, transient };
        let sdk = aws.sdk(region_of(id)).await;
        if Aws::region(&sdk).is_none() {
            return Err(unreadable("AWS_REGION is not set".to_owned(), false));
        }
        let client = aws_sdk_secretsmanager::Client::new(&sdk);
        let answer = client.get_secret_value().secret_id(id).send().await;
        let answer = answer.map_err(|e| unreadable(describe(&e), passes(&e)))?;
        match answer.secret_string {
            Some(text) => Ok(text.into()),
            None => Err(unreadable("it is binary, but must be a string".to_owned(), false)),
        }
    }
}

impl Unreadable {
    /// Converts to an error: `transient` builds the step's error if it is transient; otherwise it is a configuration
    /// error.
    pub(crate) fn into_error(self, transient: impl FnOnce(Unreadable) -> Error) -> Error {
        if self.transient {
            return transient(self);
        }
        Error::config(self.variable, format!("cannot read the secret {}: {}", self.id, self.problem))
    }
}

/// The region in an ARN; a plain name has none.
fn region_of(id: &str) -> Option<&str> {
    let mut parts = id.split(':');
    let is_arn = parts.next() == Some("arn");
    parts.nth(2).filter(|region| is_arn && !region.is_empty())
}

/// The service's error code and message, or the fate of the request. Never the answer itself.
fn describe(error: &SdkError<GetSecretValueError>) -> String {
    if let Some(service) = error.as_service_error() {
        let code = service.code().unwrap_or("an error without a code");
        return service.message().map_or_else(|| code.to_owned(), |message| format!("{code}: {message}"));
    }
    chain(error)
}

/// No answer, throttling and service errors are transient; a missing secret or right is not.
fn passes(error: &SdkError<GetSecretValueError>) -> bool {
    match error {
        SdkError::TimeoutError(_) | SdkError::ResponseError(_) => true,
        // Missing credentials and other local errors are permanent.
        SdkError::DispatchFailure(failure) => failure.is_io() || failure.is_timeout(),
        SdkError::ServiceError(answer) => {
            let status = answer.raw().status();
            let throttled = matches!(
                answer.err().code(),
                Some(
                    "ThrottlingException"
                        | "Throttling"
                        | "RequestLimitExceeded"
                        | "TooManyRequestsException"
                )
            );
            throttled || status.is_server_error() || status.as_u16() == 429
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_has_a_region_and_a_name_has_none() {
        let arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:loader-AbCdEf";
        assert_eq!(region_of(arn), Some("eu-west-1"));
        for name in ["loader", "a:b:c:d", "arn:aws:secretsmanager::1:secret:x", ""] {
            assert_eq!(region_of(name), None, "{name}");
        }
    }
}
