//! The configuration of the object store.

use url::Url;

use crate::aws::{Aws, AwsCredentials};
use crate::error::{Error, Result};

/// The object store.
#[derive(Debug, Clone)]
pub struct StagingConfig {
    /// `STAGING_URL`: `file:///path` or `s3://bucket/prefix`.
    pub url: Url,
    /// The `AWS_*` variables of S3 that are set, by lower-case name.
    pub(crate) aws: Vec<(String, String)>,
    /// The credentials for S3.
    pub(crate) credentials: AwsCredentials,
}

/// The `AWS_*` variables handed to the object store. Those of encryption are the object store's own: an SDK has none.
const AWS_VARIABLES: [&str; 9] = [
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ALLOW_HTTP",
    "AWS_VIRTUAL_HOSTED_STYLE_REQUEST",
    "AWS_SERVER_SIDE_ENCRYPTION",
    "AWS_SSE_KMS_KEY_ID",
    "AWS_SSE_BUCKET_KEY_ENABLED",
];

/// `STAGING_URL` and `AWS_*`.
pub(super) fn from_lookup(get: &impl Fn(&str) -> Option<String>, aws: &Aws) -> Result<StagingConfig> {
    const NAME: &str = "STAGING_URL";
    let given = get(NAME).unwrap_or_else(|| "file://./staging".to_owned());
    let url = match given.split_once("://") {
        Some(("file", path)) => {
            // file://./staging is relative to the working directory, which URLs do not support
            let path = std::path::absolute(path)
                .map_err(|e| Error::config(NAME, format!("{given:?} is not a path: {e}")))?;
            Url::from_directory_path(path)
                .map_err(|()| Error::config(NAME, format!("{given:?} is not a path")))?
        }
        Some(("s3", _)) => Url::parse(&given)
            .ok()
            .filter(|u| u.host_str().is_some_and(|bucket| !bucket.is_empty()))
            .ok_or_else(|| {
                Error::config(NAME, format!("{given:?} names no bucket: write s3://bucket/prefix"))
            })?,
        _ => {
            return Err(Error::config(
                NAME,
                format!("{given:?} is neither file:///path nor s3://bucket/prefix"),
            ));
        }
    };
    let credentials = aws.credentials().clone();
    let aws = AWS_VARIABLES
        .iter()
        .filter_map(|name| get(name).map(|value| (name.to_ascii_lowercase(), value)))
        .collect();
    Ok(StagingConfig { url, aws, credentials })
}
