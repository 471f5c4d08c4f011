//! The S3 client.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, AwsCredential};
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, CredentialProvider, RetryConfig};

use super::silence::Impatient;
use crate::aws::AwsCredentials;
use crate::config::StagingConfig;
use crate::error::{BoxError, Error, Result, chain};

/// No request is repeated later than this after its first attempt: a silent S3 is asked twice.
const LAST_ATTEMPT: Duration = Duration::from_secs(20);

/// The client of the bucket in `STAGING_URL`, with few and short retries, so that an error surfaces within the time of a
/// run.
///
/// # Errors
/// [`Error::Config`] for an invalid `AWS_*` variable.
pub(super) fn open(config: &StagingConfig, max_retries: u32) -> Result<PrefixStore<AmazonS3>> {
    let bucket = config.url.host_str().unwrap_or_default();
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_http_connector(Impatient)
        .with_credentials(Arc::new(OfProcess(config.credentials.clone())))
        .with_retry(RetryConfig {
            backoff: BackoffConfig::default(),
            max_retries: max_retries as usize,
            retry_timeout: LAST_ATTEMPT,
        });
    for (name, value) in &config.aws {
        // as in the SDKs, the variable for one service overrides the one for all
        let key = if name == "aws_endpoint_url_s3" { "aws_endpoint_url" } else { name };
        let key: AmazonS3ConfigKey = key
            .parse()
            .map_err(|e: object_store::Error| Error::config(name.to_ascii_uppercase(), e.to_string()))?;
        if name.starts_with("aws_endpoint_url") && value.starts_with("http://") {
            builder = builder.with_allow_http(true);
        }
        builder = builder.with_config(key, value);
    }
    let store = builder.build().map_err(|e| Error::config("STAGING_URL", BoxError::from(e).to_string()))?;
    Ok(PrefixStore::new(store, config.url.path()))
}

/// The credentials of this process, as the store asks for them.
#[derive(Debug)]
struct OfProcess(AwsCredentials);

#[tonic::async_trait]
impl CredentialProvider for OfProcess {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let credentials = self.0.get().await.map_err(|error| object_store::Error::Generic {
            store: "S3",
            source: format!("found no AWS credentials: {}", chain(&error)).into(),
        })?;
        Ok(Arc::new(AwsCredential {
            key_id: credentials.access_key_id().to_owned(),
            secret_key: credentials.secret_access_key().to_owned(),
            token: credentials.session_token().map(str::to_owned),
        }))
    }
}
