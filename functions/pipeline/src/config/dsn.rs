//! Connection strings as libpq reads them: a URL, or keywords and values.

use std::iter::Peekable;
use std::str::Chars;

use crate::error::{Error, Result};

/// What a connection string says.
pub(super) struct Dsn {
    /// What tokio-postgres supports.
    pub(super) postgres: tokio_postgres::Config,
    /// What it does not: the values of [`OURS`].
    ours: Vec<(String, String)>,
}

/// Parameters of TLS, of which tokio-postgres supports neither the verifying modes nor the files, and the password file.
const OURS: [&str; 5] = ["sslmode", "sslrootcert", "sslcert", "sslkey", "passfile"];

impl Dsn {
    /// Reads a connection string.
    ///
    /// # Errors
    /// [`Error::Config`], which names `variable` and quotes nothing of the text.
    pub(super) fn parse(variable: &str, text: &str) -> Result<Self> {
        let bad = |cause: &str| Error::config(variable, format!("is not a connection string: {cause}"));
        let mut ours = Vec::new();
        let rest = if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            let (base, query) = text.split_once('?').unwrap_or((text, ""));
            let kept: Vec<&str> = query.split('&').filter(|pair| !take(pair, &mut ours)).collect();
            if kept.is_empty() { base.to_owned() } else { format!("{base}?{}", kept.join("&")) }
        } else {
            let (mine, others) = pairs(text)
                .map_err(bad)?
                .into_iter()
                .partition::<Vec<_>, _>(|(name, _)| OURS.contains(&name.as_str()));
            ours = mine;
            others.iter().map(|(name, value)| format!("{name}={} ", quoted(value))).collect()
        };
        // The parser's message describes the syntax and never quotes the text: no password leaks.
        let postgres = rest.parse().map_err(|e: tokio_postgres::Error| {
            bad(&std::error::Error::source(&e).map_or_else(|| e.to_string(), ToString::to_string))
        })?;
        Ok(Dsn { postgres, ours })
    }

    /// The value of one of [`OURS`]; the last one counts.
    pub(super) fn value(&self, name: &str) -> Option<String> {
        self.ours.iter().rev().find(|(n, _)| n == name).map(|(_, value)| value.clone())
    }
}

/// Takes a parameter of a URL if it is one of [`OURS`]. Unlike in a form, a `+` is a plus.
fn take(pair: &str, ours: &mut Vec<(String, String)>) -> bool {
    let pair = pair.replace('+', "%2B");
    let Some((name, value)) = url::form_urlencoded::parse(pair.as_bytes()).next() else { return true };
    if (&*name, &*value) == ("ssl", "true") {
        ours.push(("sslmode".to_owned(), "require".to_owned())); // JDBC's, which libpq takes too
        return true;
    }
    let is_ours = OURS.contains(&name.as_ref());
    if is_ours && !value.is_empty() {
        ours.push((name.into_owned(), value.into_owned()));
    }
    is_ours
}

/// Keywords and values: `name = value`, blanks around the `=` or not, the value bare or in single quotes, a backslash before
/// any character that is meant literally. An empty value counts as unset.
fn pairs(text: &str) -> Result<Vec<(String, String)>, &'static str> {
    let mut pairs = Vec::new();
    let mut text = text.chars().peekable();
    loop {
        blanks(&mut text);
        let mut name = String::new();
        while let Some(c) = text.next_if(|c| *c != '=' && !c.is_ascii_whitespace()) {
            name.push(c);
        }
        blanks(&mut text);
        match text.next() {
            None if name.is_empty() => return Ok(pairs),
            Some('=') if !name.is_empty() => {}
            _ => return Err("a keyword without a value, or a value without a keyword"),
        }
        blanks(&mut text);
        let is_quoted = text.next_if_eq(&'\'').is_some();
        let mut value = String::new();
        loop {
            match text.next() {
                Some('\'') if is_quoted => break,
                Some(c) if !is_quoted && c.is_ascii_whitespace() => break,
                Some('\\') => value.extend(text.next()),
                Some(c) => value.push(c),
                None if is_quoted => return Err("a quoted value without its end"),
                None => break,
            }
        }
        if !value.is_empty() {
            pairs.push((name, value));
        }
    }
}

fn blanks(text: &mut Peekable<Chars<'_>>) {
    while text.next_if(char::is_ascii_whitespace).is_some() {}
}

/// A value in quotes, for tokio-postgres.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dsn(text: &str) -> Dsn {
        Dsn::parse("DATABASE_URL", text).unwrap()
    }

    fn password(text: &str) -> String {
        String::from_utf8(dsn(text).postgres.get_password().unwrap().to_vec()).unwrap()
    }

    #[test]
    fn keywords_are_read_as_libpq_reads_them() {
        assert_eq!(password("host=h password='two  blanks' user=u"), "two  blanks");
        assert_eq!(password(r"host=h password='it\'s \\ here'"), r"it's \ here");
        assert_eq!(password(r"password=a\ b\'c host=h"), "a b'c");
        assert_eq!(password("password = p\n host\t=\th"), "p");
        assert_eq!(password("password= 'sslmode=disable' host=h"), "sslmode=disable");
        let all = dsn("host = h  port= 77 sslmode = verify-ca  sslrootcert='/a b/ca.pem' dbname='d' user=''");
        assert_eq!((all.postgres.get_ports(), all.postgres.get_dbname()), (&[77][..], Some("d")));
        assert_eq!(all.postgres.get_user(), None, "an empty value is unset");
        assert_eq!(all.value("sslmode").as_deref(), Some("verify-ca"));
        assert_eq!(all.value("sslrootcert").as_deref(), Some("/a b/ca.pem"));
    }

    #[test]
    fn urls_are_decoded_as_libpq_decodes_them() {
        assert_eq!(dsn("postgres://h/d?ssl=true").value("sslmode").as_deref(), Some("require"));
        let url =
            "postgres://u:a%20b+c@[::1]:7/d?sslrootcert=/a+b%20c.pem&connect_timeout=3&sslkey=k&sslmode=";
        let dsn = dsn(url);
        assert_eq!(dsn.value("sslrootcert").as_deref(), Some("/a+b c.pem"));
        assert_eq!((dsn.value("sslkey").as_deref(), dsn.value("sslmode")), (Some("k"), None));
        assert_eq!(dsn.postgres.get_password(), Some(b"a b+c".as_slice()));
        assert_eq!(dsn.postgres.get_hosts(), [tokio_postgres::config::Host::Tcp("::1".to_owned())]);
        assert!(dsn.postgres.get_connect_timeout().is_some());
    }

    #[test]
    fn what_is_no_connection_string_is_refused_and_not_quoted() {
        for text in [
            "canary",
            "host=h canary",
            "=canary",
            "host=h password='canary",
            "canary=1 host=h",
            "postgres://h:canary/d",
        ] {
            let error = Dsn::parse("DATABASE_URL", text).err().unwrap().chain();
            assert!(error.contains("DATABASE_URL: is not a connection string: "), "{error}");
            assert!(!error.contains("canary") || text == "canary=1 host=h", "{error}");
        }
    }
}
