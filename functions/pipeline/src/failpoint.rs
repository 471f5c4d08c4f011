//! Named places where tests stop the process. They compile to nothing without the feature `failpoints`, which no
//! release has.

/// A named failpoint. `FAILPOINTS=name=return` kills the process there, like kill -9; `name=sleep(100)` delays it.
macro_rules! failpoint {
    ($name:literal) => {
        fail::fail_point!($name, |_| crate::failpoint::kill())
    };
}

/// Kills this process without any cleanup.
#[cfg(feature = "failpoints")]
pub(crate) fn kill<T>() -> T {
    let killed = std::process::Command::new("kill").args(["-9", &std::process::id().to_string()]).status();
    tracing::error!(?killed, "the process survived its failpoint");
    std::process::abort()
}
