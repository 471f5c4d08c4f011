//! The password file of libpq: a line `host:port:database:user:password` for each login.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::config::Host;

use crate::config::DatabaseConfig;
use crate::error::{Error, Result};

/// The directories of sockets that libpq takes as localhost.
const DEFAULT_SOCKETS: [&str; 2] = ["/var/run/postgresql", "/tmp"];

/// The password for a connection; `None` without a file, or without a line for this connection.
///
/// As libpq does, it passes over a file that others may read, and says so.
///
/// # Errors
/// [`Error::Config`] when several hosts have different passwords, because a connection takes one.
pub(super) fn find(config: &DatabaseConfig) -> Result<Option<SecretString>> {
    let Some(path) = config.password_file() else { return Ok(None) };
    let Some(text) = read(&path) else { return Ok(None) };
    let postgres = &config.postgres;
    let database = postgres.get_dbname().unwrap_or_default();
    let user = postgres.get_user().unwrap_or_default();
    let mut found: Option<SecretString> = None;
    for (number, host) in postgres.get_hosts().iter().enumerate() {
        let host = match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(path) if DEFAULT_SOCKETS.iter().any(|known| path == Path::new(known)) => {
                "localhost".to_owned()
            }
            Host::Unix(path) => path.display().to_string(),
        };
        let ports = postgres.get_ports();
        let port = ports.get(number).or(ports.first()).copied().unwrap_or(5432).to_string();
        let Some(password) = search(text.expose_secret(), [&host, &port, database, user]) else { continue };
        if found.as_ref().is_some_and(|other| other.expose_secret() != password) {
            let problem = format!("{} has different passwords for these hosts", path.display());
            return Err(Error::config("PGPASSFILE", problem));
        }
        found = Some(password.into());
    }
    Ok(found)
}

/// The text of the file; `None` if there is none, or if it must not be used.
fn read(path: &Path) -> Option<SecretString> {
    let skip = |problem: &str| {
        tracing::warn!(file = %path.display(), "the password file is not used: {problem}");
        None
    };
    let file = match fs::metadata(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        Err(error) => return skip(&error.to_string()),
    };
    if !file.is_file() {
        return skip("it is not a plain file");
    }
    if file.permissions().mode() & 0o077 != 0 {
        return skip("others may access it; its permissions must be 600 or less");
    }
    match fs::read_to_string(path) {
        Ok(text) => Some(text.into()),
        Err(error) => skip(&error.to_string()),
    }
}

/// The password of the first line that matches: each field is the value, or `*`.
fn search(text: &str, login: [&str; 4]) -> Option<String> {
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let mut fields = fields(line).into_iter();
        let matches =
            login.iter().all(|value| fields.next().is_some_and(|field| field == "*" || field == *value));
        matches.then(|| fields.next()).flatten().filter(|password| !password.is_empty())
    })
}

/// The fields of a line, the password the fifth; a backslash comes before a colon or a backslash that is meant literally.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut text = line.chars();
    while let Some(c) = text.next() {
        match (c, fields.last_mut()) {
            (':', _) => fields.push(String::new()),
            ('\\', Some(field)) => field.extend(text.next()),
            (c, Some(field)) => field.push(c),
            (_, None) => {}
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_matches_has_the_password() {
        let file = "#h:5432:d:u:comment\nother:5432:d:u:no\n::1:5432:d:u:no\n\\:\\:1:5432:d:u:six\nh:5432:d:v:a\\:b\\\\c\n\
                    h:*:*:u:first:rest\nh:5432:d:u:second\nbroken\nlocalhost:5432:d:u:\n*:*:*:w:any\n";
        let password = |host, user| search(file, [host, "5432", "d", user]);
        assert_eq!(password("h", "u").as_deref(), Some("first"));
        assert_eq!(password("h", "v").as_deref(), Some("a:b\\c"));
        assert_eq!(password("::1", "u").as_deref(), Some("six"));
        assert_eq!(password("anything", "w").as_deref(), Some("any"));
        assert_eq!(password("localhost", "u"), None, "an empty password is none");
        assert_eq!(password("h", "x"), None);
        assert_eq!(search("h:5432:d:u", ["h", "5432", "d", "u"]), None);
    }
}
