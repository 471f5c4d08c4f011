//! What the AWS clients are told: region, endpoint, credentials.

use std::fmt;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use secrecy::{ExposeSecret, SecretString};

/// The longest wait for a connection, for the answer to one attempt, and for the answer to all of them.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(30);

/// The variables that say where AWS is and who asks. What none of them says, the SDK finds as it always does: profiles,
/// the container's role, the machine's role.
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
    /// Reads the variables. None of them is needed before AWS is.
    pub(crate) fn from_lookup(get: &impl Fn(&str) -> Option<String>) -> Self {
        let key = get("AWS_ACCESS_KEY_ID").zip(get("AWS_SECRET_ACCESS_KEY"));
        Aws {
            region: get("AWS_REGION").or_else(|| get("AWS_DEFAULT_REGION")),
            endpoint: get("AWS_ENDPOINT_URL_SECRETS_MANAGER").or_else(|| get("AWS_ENDPOINT_URL")),
            key: key
                .map(|(id, secret)| (id, secret.into(), get("AWS_SESSION_TOKEN").map(SecretString::from))),
        }
    }

    /// The region of a configuration; one that is empty counts as not set.
    pub(crate) fn region(sdk: &SdkConfig) -> Option<&str> {
        sdk.region().map(Region::as_ref).filter(|region| !region.is_empty())
    }

    /// The SDK's configuration. `region` is that of the thing that is asked for, where its name says so.
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
