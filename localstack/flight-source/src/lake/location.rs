//! Where a lake is: a directory of this machine, or a bucket.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, RetryConfig};
use url::Url;

use crate::error::Error;

/// A lake, and how to reach it.
#[derive(Debug, Clone, Default)]
pub struct LakeOptions {
    /// A directory, `file:///path`, or `s3://bucket/prefix`.
    pub url: String,
    /// The region of the bucket; none: as the environment says, or us-east-1.
    pub region: Option<String>,
    /// Where the S3 API is; none: as the environment says, or that of AWS.
    pub endpoint: Option<String>,
    /// Sign no request: the bucket is public. Else the login is that of the environment.
    pub anonymous: bool,
    /// The network; none: the one of the lake's manifest, or else the public one.
    pub network_passphrase: Option<String>,
    /// What the rows that are kept between counting and sending may take in memory.
    pub cache_bytes: usize,
}

/// A place that is open.
#[derive(Debug, Clone)]
pub(crate) struct Location {
    /// As the user wrote it: it names the lake.
    pub(crate) url: String,
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) root: Path,
    /// The directory, where it is one of this machine: what it lists is in no order.
    pub(crate) directory: Option<PathBuf>,
}

impl Location {
    /// Opens it, without a look at what is there.
    ///
    /// # Errors
    /// [`Error::Options`] for an address that is none of a directory or a bucket.
    pub(crate) fn open(options: &LakeOptions) -> Result<Self, Error> {
        let refuse = |reason: String| Error::Options(format!("--ledgers {}: {reason}", options.url));
        match options.url.split_once("://") {
            None => Self::directory(options, PathBuf::from(&options.url)),
            Some(("file", _)) => {
                let url = Url::parse(&options.url).map_err(|error| refuse(error.to_string()))?;
                let path = url.to_file_path().map_err(|()| refuse("write file:///path".to_owned()))?;
                Self::directory(options, path)
            }
            Some(("s3", _)) => {
                let url = Url::parse(&options.url).map_err(|error| refuse(error.to_string()))?;
                let bucket = url.host_str().filter(|host| !host.is_empty());
                let bucket = bucket.ok_or_else(|| refuse("write s3://bucket/prefix".to_owned()))?;
                let store = s3(options, bucket).map_err(|error| refuse(error.to_string()))?;
                let root = Path::from_url_path(url.path()).map_err(|error| refuse(error.to_string()))?;
                Ok(Self { url: options.url.clone(), store, root, directory: None })
            }
            Some((scheme, _)) => Err(refuse(format!(
                "{scheme}:// is not served: a directory, file:///path or s3://bucket/prefix is"
            ))),
        }
    }

    fn directory(options: &LakeOptions, path: PathBuf) -> Result<Self, Error> {
        let refuse = |reason: String| Error::Options(format!("--ledgers {}: {reason}", options.url));
        let path = path.canonicalize().map_err(|error| refuse(error.to_string()))?;
        let store = LocalFileSystem::new_with_prefix(&path).map_err(|error| refuse(error.to_string()))?;
        Ok(Self {
            url: options.url.clone(),
            store: Arc::new(store),
            root: Path::default(),
            directory: Some(path),
        })
    }
}

fn s3(options: &LakeOptions, bucket: &str) -> object_store::Result<Arc<dyn ObjectStore>> {
    let retry =
        RetryConfig { max_retries: 3, retry_timeout: Duration::from_secs(30), ..RetryConfig::default() };
    let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket).with_retry(retry);
    if let Some(region) = &options.region {
        builder = builder.with_region(region);
    }
    if let Some(endpoint) = &options.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    if options.anonymous {
        builder = builder.with_skip_signature(true);
    }
    let endpoint = builder.get_config_value(&AmazonS3ConfigKey::Endpoint);
    if endpoint.is_some_and(|endpoint| endpoint.starts_with("http://")) {
        builder = builder.with_allow_http(true);
    }
    Ok(Arc::new(builder.build()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(url: &str) -> Result<Location, Error> {
        Location::open(&LakeOptions { url: url.to_owned(), anonymous: true, ..LakeOptions::default() })
    }

    #[test]
    fn addresses_are_directories_and_buckets() {
        let bucket = open("s3://aws-public-blockchain/v1.1/stellar/ledgers/pubnet").unwrap();
        assert_eq!((bucket.root.as_ref(), bucket.directory), ("v1.1/stellar/ledgers/pubnet", None));
        let here = tempfile::tempdir().unwrap();
        let path = here.path().canonicalize().unwrap();
        for url in [path.display().to_string(), format!("file://{}", path.display())] {
            assert_eq!(open(&url).unwrap().directory, Some(path.clone()));
        }
        for (url, sentence) in [
            ("gs://bucket/prefix", "gs:// is not served"),
            ("s3://", "write s3://bucket/prefix"),
            ("nowhere/at/all", "No such file or directory"),
        ] {
            let error = open(url).unwrap_err().to_string();
            assert!(error.contains(sentence) && error.contains(url), "{error}");
        }
    }
}
