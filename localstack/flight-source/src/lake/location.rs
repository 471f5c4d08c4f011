//! The location of a lake: a local directory or a bucket.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, RetryConfig};
use pipeline::BoxError;
use url::Url;

use crate::error::{Error, Result};

/// A lake, and how to access it.
#[derive(Debug, Clone, Default)]
pub struct LakeOptions {
    /// A directory, `file:///path`, or `s3://bucket/prefix`.
    pub url: String,
    /// The region of the bucket; `None` for that of the environment, or else us-east-1.
    pub region: Option<String>,
    /// The URL of the S3 API; `None` for that of the environment, or else AWS.
    pub endpoint: Option<String>,
    /// Whether requests are not signed: the bucket is public. Otherwise the credentials come from the environment.
    pub anonymous: bool,
    /// The passphrase of the network; `None` for that of the manifest, or else the public network.
    pub network_passphrase: Option<String>,
    /// Memory for rows between counting and sending.
    pub cache_bytes: usize,
}

/// An open location.
#[derive(Debug, Clone)]
pub(crate) struct Location {
    /// The address as given.
    pub(crate) url: String,
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) root: Path,
    /// The directory, if the lake is local. Unlike a bucket, it lists its files in no order.
    pub(crate) directory: Option<PathBuf>,
}

impl Location {
    /// Opens the location without reading from it.
    ///
    /// # Errors
    /// [`Error::Lake`] for an address that is neither a directory nor a bucket.
    pub(crate) fn open(options: &LakeOptions) -> Result<Self> {
        let refuse = |source: BoxError| Error::Lake { url: options.url.clone(), source };
        match options.url.split_once("://") {
            None => Self::directory(options, PathBuf::from(&options.url)),
            Some(("file", _)) => {
                let url = Url::parse(&options.url).map_err(|error| refuse(error.into()))?;
                let path = url.to_file_path().map_err(|()| refuse("use file:///path".into()))?;
                Self::directory(options, path)
            }
            Some(("s3", _)) => {
                let url = Url::parse(&options.url).map_err(|error| refuse(error.into()))?;
                let bucket = url.host_str().filter(|host| !host.is_empty());
                let bucket = bucket.ok_or_else(|| refuse("use s3://bucket/prefix".into()))?;
                let store = s3(options, bucket).map_err(|error| refuse(error.into()))?;
                let root = Path::from_url_path(url.path()).map_err(|error| refuse(error.into()))?;
                Ok(Self { url: options.url.clone(), store, root, directory: None })
            }
            Some((scheme, _)) => Err(refuse(
                format!("{scheme}:// is not supported: use a directory, file:///path or s3://bucket/prefix")
                    .into(),
            )),
        }
    }

    fn directory(options: &LakeOptions, path: PathBuf) -> Result<Self> {
        let refuse = |source: BoxError| Error::Lake { url: options.url.clone(), source };
        let path = path.canonicalize().map_err(|error| refuse(error.into()))?;
        let store = LocalFileSystem::new_with_prefix(&path).map_err(|error| refuse(error.into()))?;
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

    fn open(url: &str) -> Result<Location> {
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
            ("gs://bucket/prefix", "gs:// is not supported"),
            ("s3://", "use s3://bucket/prefix"),
            ("nowhere/at/all", "No such file or directory"),
        ] {
            let error = open(url).unwrap_err().chain();
            assert!(error.contains(sentence) && error.contains(url), "{error}");
        }
    }
}
