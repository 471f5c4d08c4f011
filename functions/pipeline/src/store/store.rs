//! The object store under `STAGING_URL`: staging/ and archive/.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutMode};

use super::s3;
use crate::config::StagingConfig;
use crate::error::{Error, Result, StagingContext};

/// The object store, rooted at the staging URL: every path in this crate is relative to it.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    store: Arc<dyn ObjectStore>,
    url: String,
    /// The folder, if objects are files.
    folder: Option<PathBuf>,
}

/// The file of an incomplete upload.
#[derive(Debug)]
pub(crate) struct AbandonedUpload {
    /// Its name, relative to the staging URL.
    pub(crate) name: String,
    /// Bytes written.
    pub(crate) bytes: u64,
    /// When it was last written.
    pub(crate) modified: DateTime<Utc>,
}

impl Store {
    /// Opens the store. A missing `file://` folder is created; nothing is sent to `s3://` yet.
    ///
    /// # Errors
    /// [`Error::Config`] for an invalid URL or `AWS_*` variable, [`Error::Staging`] when the folder cannot be created.
    pub(crate) fn open(config: &StagingConfig, max_retries: u32) -> Result<Self> {
        let url = config.url.to_string();
        let mut folder = None;
        let store: Arc<dyn ObjectStore> = match config.url.scheme() {
            "file" => {
                let path = config
                    .url
                    .to_file_path()
                    .map_err(|()| Error::config("STAGING_URL", "is not a path on this machine"))?;
                std::fs::create_dir_all(&path).staging("create", &url)?;
                folder = Some(path.clone());
                Arc::new(LocalFileSystem::new_with_prefix(path).staging("open", &url)?)
            }
            _ => Arc::new(s3::open(config, max_retries)?),
        };
        Ok(Store { store, url, folder })
    }

    /// The store itself, for readers and writers of Parquet.
    pub(crate) fn inner(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// The URL of an object, for messages.
    pub(crate) fn url_of(&self, object: &str) -> String {
        format!("{}/{object}", self.url.trim_end_matches('/'))
    }

    /// The objects in a folder, by name.
    pub(crate) async fn list(&self, folder: &Path) -> Result<Vec<ObjectMeta>> {
        let mut objects: Vec<ObjectMeta> =
            self.store.list(Some(folder)).try_collect().await.staging("list", folder)?;
        objects.sort_by(|a, b| a.location.cmp(&b.location));
        Ok(objects)
    }

    /// The folders in a folder.
    pub(crate) async fn folders(&self, folder: &Path) -> Result<Vec<Path>> {
        let listed = self.store.list_with_delimiter(Some(folder)).await.staging("list", folder)?;
        Ok(listed.common_prefixes)
    }

    /// The first listed object of a folder whose name passes.
    pub(crate) async fn first(
        &self,
        folder: &Path,
        passes: impl Fn(&Path) -> bool,
    ) -> Result<Option<ObjectMeta>> {
        let mut objects = self.store.list(Some(folder));
        while let Some(meta) = objects.try_next().await.staging("list", folder)? {
            if passes(&meta.location) {
                return Ok(Some(meta));
            }
        }
        Ok(None)
    }

    /// The bytes of a small object; `None` if it does not exist.
    pub(crate) async fn read(&self, object: &Path) -> Result<Option<Bytes>> {
        match self.store.get(object).await {
            Ok(got) => got.bytes().await.staging("read", object).map(Some),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(e).staging("read", object),
        }
    }

    /// Writes a small object, and replaces it.
    pub(crate) async fn write(&self, object: &Path, bytes: Vec<u8>) -> Result<()> {
        self.store.put(object, bytes.into()).await.staging("write", object).map(drop)
    }

    /// Writes a small object; false if it exists already. An S3 without conditional writes gets an unconditional one after
    /// a look.
    pub(crate) async fn create(&self, object: &Path, bytes: Vec<u8>) -> Result<bool> {
        match self.store.put_opts(object, bytes.clone().into(), PutMode::Create.into()).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(object_store::Error::NotImplemented { .. }) => {
                if self.size(object).await?.is_some() {
                    return Ok(false);
                }
                self.write(object, bytes).await.map(|()| true)
            }
            // The answer may be lost, and the object there.
            Err(_) if self.size(object).await?.is_some() => Ok(false),
            Err(e) => Err(e).staging("write", object),
        }
    }

    /// The files of incomplete uploads in a folder, if objects are files: the store writes to the object's name with
    /// `#` and a number, and does not list such names. On S3 incomplete uploads are invisible.
    pub(crate) fn abandoned_uploads(&self, folder: &Path) -> Result<Vec<AbandonedUpload>> {
        let Some(root) = &self.folder else { return Ok(Vec::new()) };
        let files = match std::fs::read_dir(root.join(folder.as_ref())) {
            Ok(files) => files,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).staging("list", folder),
        };
        let mut uploads = Vec::new();
        for file in files {
            let file = file.staging("list", folder)?;
            let name = file.file_name().to_string_lossy().into_owned();
            let Some((_, number)) = name.rsplit_once(".parquet#") else { continue };
            if number.parse::<u64>().is_err() {
                continue;
            }
            // a file that has disappeared was completed
            let Ok(metadata) = file.metadata() else { continue };
            let modified = metadata.modified().staging("look up", &name)?.into();
            uploads.push(AbandonedUpload {
                name: format!("{folder}/{name}"),
                bytes: metadata.len(),
                modified,
            });
        }
        uploads.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(uploads)
    }

    /// Removes the file of an incomplete upload.
    pub(crate) fn remove_upload(&self, upload: &AbandonedUpload) -> Result<()> {
        let Some(root) = &self.folder else { return Ok(()) };
        match std::fs::remove_file(root.join(&upload.name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).staging("remove", &upload.name)
            }
            _ => Ok(()),
        }
    }

    /// Size of an object; `None` if it does not exist.
    pub(crate) async fn size(&self, object: &Path) -> Result<Option<u64>> {
        match self.store.head(object).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(e).staging("look up", object),
        }
    }

    /// Moves an object, and replaces the target; false if the object does not exist.
    ///
    /// On local disk this is one rename, on S3 a copy and a removal. It does not copy on local disk, because the store
    /// would make a hard link, and doing so twice leaves the link's temporary name behind.
    pub(crate) async fn rename(&self, from: &Path, to: &Path) -> Result<bool> {
        match self.store.rename(from, to).await {
            Ok(()) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(e) => Err(e).staging("move", from),
        }
    }

    /// Removes an object; succeeds if it does not exist.
    pub(crate) async fn remove(&self, object: &Path) -> Result<()> {
        match self.store.delete(object).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(e) => Err(e).staging("remove", object),
        }
    }
}
