//! Values: parses the text of variables.

use std::time::Duration;

use crate::error::{Error, Result};

/// Parses a variable; `expected` completes the message "is not …".
pub(super) fn parse<T: std::str::FromStr>(
    get: &impl Fn(&str) -> Option<String>,
    name: &str,
    expected: &str,
) -> Result<Option<T>> {
    get(name)
        .map(|value| {
            value.trim().parse().map_err(|_| Error::config(name, format!("{value:?} is not {expected}")))
        })
        .transpose()
}

/// Parses a number of at least 1.
pub(super) fn at_least_one<T: std::str::FromStr + PartialOrd + From<u8>>(
    get: &impl Fn(&str) -> Option<String>,
    name: &str,
) -> Result<Option<T>> {
    let value = parse::<T>(get, name, "a whole number of at least 1")?;
    if value.as_ref().is_some_and(|v| *v < T::from(1)) {
        return Err(Error::config(name, "must be at least 1"));
    }
    Ok(value)
}

/// Parses a duration such as `5s`, `1m 30s` or `500ms`; a bare number is seconds.
pub(super) fn duration(get: &impl Fn(&str) -> Option<String>, name: &str) -> Result<Option<Duration>> {
    get(name)
        .map(|value| {
            let parsed = match value.trim().parse::<u32>() {
                Ok(seconds) => Ok(Duration::from_secs(seconds.into())),
                Err(_) => humantime::parse_duration(value.trim()),
            };
            parsed.map_err(|_| {
                Error::config(name, format!("{value:?} is not a duration: write 5s, 1m 30s or 500ms"))
            })
        })
        .transpose()
}

/// Parses `true` and `false` in their usual spellings.
pub(super) fn boolean(get: &impl Fn(&str) -> Option<String>, name: &str) -> Result<bool> {
    match get(name).map(|v| v.trim().to_ascii_lowercase()).as_deref() {
        None | Some("false" | "0" | "no") => Ok(false),
        Some("true" | "1" | "yes") => Ok(true),
        Some(other) => Err(Error::config(name, format!("{other:?} is neither true nor false"))),
    }
}

/// Whether a host is this machine: tokens and passwords may be sent to it unencrypted.
pub(super) fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
