//! When a synthetic chain first started, kept in a file: a restart goes on with the same chain.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use chrono::{DateTime, SecondsFormat, Utc};

use crate::error::{Error, Result};

/// The time in the file; at the first start there is no file, and it is written with the time now.
///
/// The file is whole or absent, and two first starts at once agree on one time.
///
/// # Errors
/// [`Error::Read`] if the file cannot be read or written, [`Error::File`] if it contains no time.
pub(crate) fn started_at(file: &Path) -> Result<DateTime<Utc>> {
    let failed = |source: io::Error| Error::Read { path: file.to_owned(), source: source.into() };
    let text = match fs::read_to_string(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            first(file).map_err(failed)?;
            fs::read_to_string(file)
        }
        read => read,
    };
    let text = text.map_err(failed)?;
    DateTime::parse_from_rfc3339(text.trim()).map(Into::into).map_err(|error| Error::File {
        path: file.to_owned(),
        problem: format!("is not the time at which a chain started: {error}"),
    })
}

/// Writes the file beside its place and links it there: a link, unlike a rename, replaces no file of another start.
fn first(file: &Path) -> io::Result<()> {
    let mut unfinished = file.as_os_str().to_owned();
    unfinished.push(format!(".{}", std::process::id()));
    let written = || {
        fs::write(&unfinished, Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true) + "\n")?;
        fs::File::open(&unfinished)?.sync_all()?;
        match fs::hard_link(&unfinished, file) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    };
    let outcome = written();
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != ErrorKind::NotFound => outcome.and(Err(error)),
        _ => outcome,
    }
}
