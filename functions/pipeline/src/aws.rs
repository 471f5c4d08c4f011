//! Settings of the AWS clients: region, endpoint, and the one chain of credentials.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::future::ProvideCredentials as Provided;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use tokio::sync::Mutex;

/// The longest wait for a connection, for the answer to one attempt, and for all attempts: no longer than for a connection to
/// PostgreSQL, since what needs an answer is retried as a whole.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(4);
const TIMEOUT: Duration = Duration::from_secs(10);

/// Credentials are fetched anew this long before they end, and after this long where they do not say when that is.
const EARLY: Duration = Duration::from_secs(5 * 60);
const KEPT: Duration = Duration::from_secs(15 * 60);

/// The variables with region and endpoint, and the credentials. Clones share the credentials.
#[derive(Clone)]
pub(crate) struct Aws {
    /// `AWS_REGION`, else `AWS_DEFAULT_REGION`.
    region: Option<String>,
    /// `AWS_ENDPOINT_URL_SECRETS_MANAGER`, else `AWS_ENDPOINT_URL`.
    endpoint: Option<String>,
    credentials: AwsCredentials,
}

/// The credentials of this process, for S3, Secrets Manager and RDS alike: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and
/// `AWS_SESSION_TOKEN`, else what the SDK finds: a profile, the web identity of a Kubernetes service account, the role of the
/// container (also EKS Pod Identity), the role of the machine. They are kept until shortly before they end.
#[derive(Clone)]
pub(crate) struct AwsCredentials(Arc<Chain>);

struct Chain {
    /// From the variables.
    key: Option<Credentials>,
    region: Option<String>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    /// The SDK's chain, once it was needed.
    provider: Option<SharedCredentialsProvider>,
    /// What it gave, and until when that is used.
    credentials: Option<(Credentials, SystemTime)>,
}

impl fmt::Debug for Aws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Aws { region, endpoint, credentials: _ } = self;
        f.debug_struct("Aws").field("region", region).field("endpoint", endpoint).finish_non_exhaustive()
    }
}

impl fmt::Debug for AwsCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsCredentials").finish_non_exhaustive()
    }
}

impl Aws {
    /// Reads the variables. None is required before AWS is used.
    pub(crate) fn from_lookup(get: &impl Fn(&str) -> Option<String>) -> Self {
        let key = get("AWS_ACCESS_KEY_ID")
            .zip(get("AWS_SECRET_ACCESS_KEY"))
            .map(|(id, secret)| Credentials::new(id, secret, get("AWS_SESSION_TOKEN"), None, "environment"));
        let region = get("AWS_REGION").or_else(|| get("AWS_DEFAULT_REGION"));
        Aws {
            endpoint: get("AWS_ENDPOINT_URL_SECRETS_MANAGER").or_else(|| get("AWS_ENDPOINT_URL")),
            credentials: AwsCredentials(Arc::new(Chain {
                key,
                region: region.clone(),
                held: Mutex::default(),
            })),
            region,
        }
    }

    /// The credentials of this process.
    pub(crate) fn credentials(&self) -> &AwsCredentials {
        &self.credentials
    }

    /// The region of a configuration; an empty one counts as unset.
    pub(crate) fn region(sdk: &SdkConfig) -> Option<&str> {
        sdk.region().map(Region::as_ref).filter(|region| !region.is_empty())
    }

    /// The SDK's configuration. `region` is the region in the requested resource's name, if it has one.
    pub(crate) async fn sdk(&self, region: Option<&str>) -> SdkConfig {
        let mut loader =
            loader(region.or(self.region.as_deref())).credentials_provider(self.credentials.clone());
        if let Some(endpoint) = &self.endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        loader.load().await
    }
}

impl AwsCredentials {
    /// The credentials to use now.
    pub(crate) async fn get(&self) -> Result<Credentials, CredentialsError> {
        match &self.0.key {
            Some(key) => Ok(key.clone()),
            None => Box::pin(tokio::time::timeout(TIMEOUT, self.0.found()))
                .await
                .unwrap_or_else(|_| Err(CredentialsError::provider_timed_out(TIMEOUT))),
        }
    }
}

impl Chain {
    /// The credentials that the SDK finds, kept until shortly before their end.
    async fn found(&self) -> Result<Credentials, CredentialsError> {
        let mut held = self.held.lock().await;
        let now = SystemTime::now();
        if let Some((credentials, _)) = held.credentials.as_ref().filter(|(_, until)| *until > now) {
            return Ok(credentials.clone());
        }
        match held.fetch(self.region.as_deref()).await {
            Ok(credentials) => {
                let until = credentials.expiry().map_or(now + KEPT, |end| end - EARLY);
                Ok(held.credentials.insert((credentials, until)).0.clone())
            }
            // Those at hand are still good for a while: the next request tries again.
            Err(error) => match &held.credentials {
                Some((credentials, _)) if credentials.expiry().is_none_or(|end| end > now) => {
                    Ok(credentials.clone())
                }
                _ => Err(error),
            },
        }
    }
}

impl Held {
    async fn fetch(&mut self, region: Option<&str>) -> Result<Credentials, CredentialsError> {
        let provider = match &self.provider {
            Some(provider) => provider,
            None => {
                let found = loader(region).load().await.credentials_provider();
                let found = found.ok_or_else(|| CredentialsError::not_loaded("the SDK has no chain"))?;
                self.provider.insert(found)
            }
        };
        provider.provide_credentials().await
    }
}

impl ProvideCredentials for AwsCredentials {
    fn provide_credentials<'a>(&'a self) -> Provided<'a>
    where
        Self: 'a,
    {
        Provided::new(self.get())
    }
}

fn loader(region: Option<&str>) -> ConfigLoader {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(TIMEOUT);
    let loader = aws_config::defaults(BehaviorVersion::latest())
        .retry_config(RetryConfig::standard().with_max_attempts(3))
        .timeout_config(timeouts.build());
    match region {
        Some(region) => loader.region(Region::new(region.to_owned())),
        None => loader,
    }
}
