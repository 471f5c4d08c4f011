//! The location of a lake or an archive: a local directory, a bucket or a web server.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::http::HttpBuilder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ClientConfigKey, ClientOptions, ObjectStore, RetryConfig};
use pipeline::BoxError;
use url::Url;

use crate::error::{Error, Result};

/// What is at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A Galexie lake: its objects are listed, which no web server does.
    Lake,
    /// A history archive: its files are known by name. They may be large: a request may take hours, as long as it moves.
    Archive,
}

impl Kind {
    /// The name in messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Lake => "lake",
            Self::Archive => "archive",
        }
    }

    /// How to write its address.
    fn usage(self) -> &'static str {
        match self {
            Self::Lake => "a directory, file:///path or s3://bucket/prefix",
            Self::Archive => "a directory, file:///path, s3://bucket/prefix or https://host/path",
        }
    }

    fn retry(self) -> RetryConfig {
        let retry_timeout = match self {
            Self::Lake => Duration::from_secs(30),
            Self::Archive => DOWNLOAD,
        };
        RetryConfig { max_retries: 3, retry_timeout, ..RetryConfig::default() }
    }
}

/// Maximum time of one download from an archive, retries included; each wait in it has a much shorter one.
const DOWNLOAD: Duration = Duration::from_secs(6 * 3600);

/// An address, and how to access it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Address<'a> {
    pub(crate) kind: Kind,
    /// As the [kind](Kind) allows.
    pub(crate) url: &'a str,
    /// The region of a bucket; `None` for that of the environment, or else us-east-1.
    pub(crate) region: Option<&'a str>,
    /// The URL of the S3 API; `None` for that of the environment, or else AWS.
    pub(crate) endpoint: Option<&'a str>,
    /// Whether requests to a bucket are not signed.
    pub(crate) anonymous: bool,
}

/// An open location.
#[derive(Debug, Clone)]
pub(crate) struct Location {
    /// The address as given.
    pub(crate) url: String,
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) root: Path,
    /// The directory, if it is local. Unlike a bucket, it lists its files in no order.
    pub(crate) directory: Option<PathBuf>,
}

impl Location {
    /// Opens the location without reading from it.
    ///
    /// # Errors
    /// [`Error::Store`] for an address that its kind does not allow, or that is not there.
    pub(crate) fn open(address: &Address<'_>) -> Result<Self> {
        let (kind, url) = (address.kind, address.url);
        let refuse = |source: BoxError| Error::Store { kind: kind.name(), url: url.to_owned(), source };
        let at = |store, root| Self { url: url.to_owned(), store, root, directory: None };
        let directory = |path: PathBuf| {
            let path = path.canonicalize().map_err(|error| refuse(error.into()))?;
            let store = LocalFileSystem::new_with_prefix(&path).map_err(|error| refuse(error.into()))?;
            Ok(Self { directory: Some(path), ..at(Arc::new(store), Path::default()) })
        };
        match url.split_once("://") {
            None => directory(PathBuf::from(url)),
            Some(("file", _)) => {
                let url = Url::parse(url).map_err(|error| refuse(error.into()))?;
                directory(url.to_file_path().map_err(|()| refuse("use file:///path".into()))?)
            }
            Some(("s3", _)) => {
                let url = Url::parse(url).map_err(|error| refuse(error.into()))?;
                let bucket = url.host_str().filter(|host| !host.is_empty());
                let bucket = bucket.ok_or_else(|| refuse("use s3://bucket/prefix".into()))?;
                let store = s3(address, bucket).map_err(|error| refuse(error.into()))?;
                let root = Path::from_url_path(url.path()).map_err(|error| refuse(error.into()))?;
                Ok(at(store, root))
            }
            Some(("http" | "https", _)) if kind == Kind::Archive => {
                let store = web(address).map_err(|error| refuse(error.into()))?;
                Ok(at(store, Path::default()))
            }
            Some((scheme, _)) => {
                Err(refuse(format!("{scheme}:// is not supported: use {}", kind.usage()).into()))
            }
        }
    }
}

fn s3(address: &Address<'_>, bucket: &str) -> object_store::Result<Arc<dyn ObjectStore>> {
    let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket).with_retry(address.kind.retry());
    if address.kind == Kind::Archive {
        let timeout = AmazonS3ConfigKey::Client(ClientConfigKey::Timeout);
        builder = builder.with_config(timeout, format!("{} seconds", DOWNLOAD.as_secs()));
    }
    if let Some(region) = address.region {
        builder = builder.with_region(region);
    }
    if let Some(endpoint) = address.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    if address.anonymous {
        builder = builder.with_skip_signature(true);
    }
    let endpoint = builder.get_config_value(&AmazonS3ConfigKey::Endpoint);
    if endpoint.is_some_and(|endpoint| endpoint.starts_with("http://")) {
        builder = builder.with_allow_http(true);
    }
    Ok(Arc::new(builder.build()?))
}

fn web(address: &Address<'_>) -> object_store::Result<Arc<dyn ObjectStore>> {
    let client = ClientOptions::new().with_timeout(DOWNLOAD).with_allow_http(true);
    let builder = HttpBuilder::new().with_url(address.url).with_client_options(client);
    Ok(Arc::new(builder.with_retry(address.kind.retry()).build()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(kind: Kind, url: &str) -> Result<Location> {
        Location::open(&Address { kind, url, region: None, endpoint: None, anonymous: true })
    }

    #[test]
    fn addresses_are_directories_and_buckets() {
        for kind in [Kind::Lake, Kind::Archive] {
            let bucket = open(kind, "s3://aws-public-blockchain/v1.1/stellar/ledgers/pubnet").unwrap();
            assert_eq!((bucket.root.as_ref(), bucket.directory), ("v1.1/stellar/ledgers/pubnet", None));
            let here = tempfile::tempdir().unwrap();
            let path = here.path().canonicalize().unwrap();
            for url in [path.display().to_string(), format!("file://{}", path.display())] {
                assert_eq!(open(kind, &url).unwrap().directory, Some(path.clone()));
            }
            for (url, sentence) in [
                ("gs://bucket/prefix", "gs:// is not supported"),
                ("s3://", "use s3://bucket/prefix"),
                ("nowhere/at/all", "No such file or directory"),
            ] {
                let error = open(kind, url).unwrap_err().chain();
                assert!(error.contains(sentence) && error.contains(url), "{error}");
                assert!(error.starts_with(&format!("cannot open the {} ", kind.name())), "{error}");
            }
        }
    }

    #[test]
    fn only_an_archive_may_be_on_the_web() {
        let url = "https://history.stellar.org/prd/core-live/core_live_001";
        assert_eq!(open(Kind::Archive, url).unwrap().directory, None);
        let refused = open(Kind::Lake, url).unwrap_err().chain();
        assert!(
            refused.contains("https:// is not supported: use a directory, file:///path or s3://"),
            "{refused}"
        );
    }
}
