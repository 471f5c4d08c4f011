//! Settings of the AWS clients: region, endpoint, credentials.

use std::fmt;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use secrecy::{ExposeSecret, SecretString};

/// The longest wait for a connection, for the answer to one attempt, and for all attempts.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(30);

/// The variables with region, endpoint and credentials. For unset ones, the SDK uses its default chain: profiles, the
/// container's role, the machine's role.
#[derive(Clone, Default)]
pub(crate) struct Aws {
    /// `AWS_REGION`, else `AWS_DEFAULT_REGION`.
    region: Option<String>,
    /// `AWS_ENDPOINT_URL_SECRETS_MANAGER`, else `AWS_ENDPOINT_URL`.
    endpoint: Option<String>,
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, and `AWS_SESSION_TOKEN` if there is one.
    key: Option<(String, SecretString, Option<SecretString>)>,
}

impl fmt::Debug for Aws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Aws { region, endpoint, key: _ } = self;
        f.debug_struct("Aws").field("region", region).field("endpoint", endpoint).finish_non_exhaustive()
    }
}

impl Aws {
    /// Reads the variables. None is required before AWS is used.
    pub(crate) fn from_lookup(get: &impl Fn(&str) -> Option<String>) -> Self {
        let key = get("AWS_ACCESS_KEY_ID").zip(get("AWS_SECRET_ACCESS_KEY"));
        Aws {
            region: get("AWS_REGION").or_else(|| get("AWS_DEFAULT_REGION")),
            endpoint: get("AWS_ENDPOINT_URL_SECRETS_MANAGER").or_else(|| get("AWS_ENDPOINT_URL")),
            key: key
                .map(|(id, secret)| (id, secret.into(), get("AWS_SESSION_TOKEN").map(SecretString::from))),
        }
    }

    /// The region of a configuration; an empty one counts as unset.
    pub(crate) fn region(sdk: &SdkConfig) -> Option<&str> {
        sdk.region().map(Region::as_ref).filter(|region| !region.is_empty())
    }

    /// The SDK's configuration. `region` is the region in the requested resource's name, if it has one.
    pub(crate) async fn sdk(&self, region: Option<&str>) -> SdkConfig {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .operation_timeout(TIMEOUT);
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .retry_config(RetryConfig::standard().with_max_attempts(3))
            .timeout_config(timeouts.build());
        if let Some(region) = region.or(self.region.as_deref()) {
            loader = loader.region(Region::new(region.to_owned()));
        }
        if let Some(endpoint) = &self.endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        if let Some((id, secret, session)) = &self.key {
            let session = session.as_ref().map(|token| token.expose_secret().to_owned());
            let credentials = Credentials::new(id, secret.expose_secret(), session, None, "environment");
            loader = loader.credentials_provider(credentials);
        }
        loader.load().await
    }
}
