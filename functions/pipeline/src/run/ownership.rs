//! Ownership: an archive belongs to one database.

use super::context::Context;
use crate::database::{Client, progress};
use crate::error::{Error, Result};
use crate::store::mark::{Mark, first_writer, leave_mark, read_mark};

/// Checks that the archive belongs to this database, before anything is written; marks an archive that has no mark. Returns
/// the mark.
///
/// # Errors
/// [`Error::ForeignArchive`] when it belongs to another database; [`Error::Staging`], [`Error::Database`].
pub(super) async fn own_archive(context: &Context, client: &Client) -> Result<Mark> {
    let (store, network) = (context.store(), context.network());
    let database_id = context.settings.database_id;
    let mark = match read_mark(store, network).await? {
        Some(mark) => mark,
        None => {
            // Releases before the mark have left objects without one.
            if let Some((writer, object)) = first_writer(store, network).await?
                && writer != database_id
                && !progress::refers_to(client, &object, "completed").await?
            {
                return Err(refused(context, &format!("has objects of database {writer}, such as {object}")));
            }
            leave_mark(store, network, Mark::of(database_id)).await?
        }
    };
    if mark.database_id == database_id {
        return Ok(mark);
    }
    let since = mark.since.format("%Y-%m-%d");
    Err(refused(context, &format!("belongs to database {} since {since}", mark.database_id)))
}

/// Whether the archive has this database's mark.
///
/// # Errors
/// [`Error::Staging`].
pub(super) async fn is_own_archive(context: &Context) -> Result<bool> {
    let mark = read_mark(context.store(), context.network()).await?;
    Ok(mark.is_some_and(|mark| mark.database_id == context.settings.database_id))
}

/// The error for an archive that this database must not write to.
pub(super) fn refused(context: &Context, why: &str) -> Error {
    Error::ForeignArchive(format!(
        "the archive under {} {why}, and this is database {}: use another STAGING_URL or, if the other database is gone, take \
         the archive over with `ingestctl archive adopt`",
        context.store().url_of("archive"),
        context.settings.database_id
    ))
}
