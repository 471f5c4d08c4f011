//! The mark of an archive: the database that it belongs to. Two databases that write to one archive would overwrite each
//! other's objects, and readers would see ledgers twice.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::names::{archive_folder, mark_path, parse_archive_path};
use super::object;
use super::store::Store;
use crate::error::{Error, Result};

/// The mark, as JSON in the archive of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// `settings.database_id` of the database that writes to the archive.
    pub(crate) database_id: Uuid,
    /// Since when.
    pub(crate) since: DateTime<Utc>,
    /// The databases that it belonged to before; their objects are part of it.
    #[serde(default)]
    pub(crate) before: Vec<Uuid>,
}

impl Mark {
    /// The mark of a database, from now on.
    pub(crate) fn of(database_id: Uuid) -> Self {
        Mark { database_id, since: Utc::now(), before: Vec::new() }
    }

    /// Whether objects of this database are part of the archive.
    pub(crate) fn knows(&self, database_id: Uuid) -> bool {
        self.database_id == database_id || self.before.contains(&database_id)
    }

    /// This archive after its takeover by another database.
    pub(crate) fn adopted_by(self, database_id: Uuid) -> Self {
        let mut before = self.before;
        before.push(self.database_id);
        before.retain(|earlier| *earlier != database_id);
        Mark { before, ..Mark::of(database_id) }
    }
}

/// Reads the mark of the archive of a network; `None` if there is none yet.
///
/// # Errors
/// [`Error::Staging`]; [`Error::Corrupt`] when it is no mark.
pub(crate) async fn read_mark(store: &Store, network: &str) -> Result<Option<Mark>> {
    let path = mark_path(network);
    let Some(bytes) = store.read(&path).await? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| {
        Error::corrupt(path.to_string(), format!("it is not the mark of an archive: {error}"))
    })
}

/// Marks an archive without a mark. Returns the mark that it has then: that of another database, if that was first.
///
/// # Errors
/// [`Error::Staging`], and those of [`read_mark`].
pub(crate) async fn leave_mark(store: &Store, network: &str, mark: Mark) -> Result<Mark> {
    if store.create(&mark_path(network), encode(&mark)?).await? {
        return Ok(mark);
    }
    read_mark(store, network)
        .await?
        .ok_or_else(|| Error::corrupt(mark_path(network).to_string(), "it is gone"))
}

/// Replaces the mark of an archive.
///
/// # Errors
/// [`Error::Staging`].
pub(crate) async fn replace_mark(store: &Store, network: &str, mark: &Mark) -> Result<()> {
    store.write(&mark_path(network), encode(mark)?).await
}

/// The database that wrote the first object of an archive, and the object's name; `None` if the archive is empty. The
/// database is nil if the object is unreadable.
///
/// # Errors
/// [`Error::Staging`].
pub(crate) async fn first_writer(store: &Store, network: &str) -> Result<Option<(Uuid, String)>> {
    let is_object = |path: &_| parse_archive_path(path).is_some();
    let Some(meta) = store.first(&archive_folder(network), is_object).await? else { return Ok(None) };
    let writer = match object::open(store, &meta.location, meta.size).await {
        Ok(opened) => opened.footer().database_id,
        Err(Error::Corrupt { .. }) => Uuid::nil(),
        Err(error) => return Err(error),
    };
    Ok(Some((writer, meta.location.to_string())))
}

fn encode(mark: &Mark) -> Result<Vec<u8>> {
    serde_json::to_vec(mark).map_err(|error| Error::Unexpected(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_adopted_archive_keeps_the_objects_of_its_earlier_databases() {
        let [a, b, c] = [1, 2, 3].map(Uuid::from_u128);
        let mark = Mark::of(a).adopted_by(b).adopted_by(c);
        assert_eq!((mark.database_id, mark.before.clone()), (c, vec![a, b]));
        assert!([a, b, c].iter().all(|id| mark.knows(*id)) && !mark.knows(Uuid::from_u128(4)));
        assert_eq!(mark.adopted_by(a).before, [b, c]);
    }
}
