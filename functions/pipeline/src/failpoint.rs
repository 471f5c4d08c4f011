//! Named places where tests stop the process. Without the feature `failpoints`, which no release has, they are nothing.

/// A place with a name. `FAILPOINTS=name=return` kills the process there, as kill -9 does; `name=sleep(100)` slows it down.
macro_rules! failpoint {
    ($name:literal) => {
        fail::fail_point!($name, |_| crate::failpoint::kill())
    };
}

/// Kills this process without any chance to tidy up.
#[cfg(feature = "failpoints")]
pub(crate) fn kill<T>() -> T {
    let killed = std::process::Command::new("kill").args(["-9", &std::process::id().to_string()]).status();
    tracing::error!(?killed, "the failpoint outlived its kill");
    std::process::abort()
}
