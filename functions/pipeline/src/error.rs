//! The library's error type: one variant per step.

/// An error of a pipeline step.
///
/// Display is one lower-case sentence without the cause; the cause is the [`source`](std::error::Error::source), so a
/// printed chain repeats nothing. No variant contains a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A configuration value that is missing, does not parse, or contradicts another.
    #[error("configuration: {variable}: {problem}")]
    Config {
        /// The environment variable at fault.
        variable: String,
        /// What is wrong with it, and what it may be.
        problem: String,
    },
    /// An invalid request, such as a reversed range.
    #[error("{0}")]
    Usage(String),
    /// The Flight source: unreachable, silent, cut off, or inconsistent.
    #[error("source: {problem}")]
    Source {
        /// What the source did, and where.
        problem: String,
        /// True if a retry may succeed.
        transient: bool,
        /// The gRPC status, if the failure has one.
        status: Option<tonic::Code>,
        /// The error of the transport or the decoder, if any.
        #[source]
        source: Option<BoxError>,
    },
    /// The object store failed.
    #[error("staging: cannot {action} {object}")]
    Staging {
        /// The action that failed, such as `write`.
        action: &'static str,
        /// The object, relative to the staging URL, or the URL itself.
        object: String,
        /// The object store's error.
        #[source]
        source: BoxError,
    },
    /// An object whose bytes contradict its footer, its name or the progress row.
    #[error("staging: {object} cannot be trusted: {problem}")]
    Corrupt {
        /// The object, relative to the staging URL.
        object: String,
        /// The contradiction.
        problem: String,
    },
    /// The archive belongs to another database.
    #[error("staging: {0}")]
    ForeignArchive(String),
    /// PostgreSQL failed, or is unreachable.
    #[error("database: cannot {action}")]
    Database {
        /// The action that failed, such as `claim the window`.
        action: &'static str,
        /// The error of PostgreSQL or of the connection.
        #[source]
        source: BoxError,
        /// True if a retry on a new connection may succeed.
        transient: bool,
    },
    /// This loader must not write to the database: its schema is missing, too old or too new, or it holds another
    /// network.
    #[error("database: {0}")]
    Schema(String),
    /// A value that must not be loaded. The window stays unloaded until the source is fixed.
    #[error("bad data in ledger {ledger}, column {column}: {cause}")]
    BadData {
        /// Ledger of the row, 0 if unknown.
        ledger: u32,
        /// Column of the value.
        column: &'static str,
        /// What is wrong with the value.
        cause: String,
    },
    /// The host's time ended before a window was finished. The next attempt loads a smaller window.
    #[error(
        "out of time: no window was finished in {seconds} s; the next attempt loads a smaller one, which helps unless source, \
         staging or database does not answer"
    )]
    OutOfTime {
        /// How long this attempt took.
        seconds: u64,
    },
    /// A defect of the loader itself: please report it.
    #[error("unexpected: {0}")]
    Unexpected(String),
}

/// Any error, as a cause.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// The result of a step.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A configuration error of one variable.
    pub(crate) fn config(variable: impl Into<String>, problem: impl Into<String>) -> Self {
        Error::Config { variable: variable.into(), problem: problem.into() }
    }

    /// An error of the source that a retry may cure.
    pub(crate) fn source_transient(problem: impl Into<String>) -> Self {
        Error::Source { problem: problem.into(), transient: true, status: None, source: None }
    }

    /// An error of the source that stays until somebody fixes it.
    pub(crate) fn source_permanent(problem: impl Into<String>) -> Self {
        Error::Source { problem: problem.into(), transient: false, status: None, source: None }
    }

    /// An object that contradicts itself.
    pub(crate) fn corrupt(object: impl Into<String>, problem: impl Into<String>) -> Self {
        Error::Corrupt { object: object.into(), problem: problem.into() }
    }

    /// Whether a retry may succeed without intervention.
    pub fn is_transient(&self) -> bool {
        match self {
            Error::Source { transient, .. } | Error::Database { transient, .. } => *transient,
            Error::OutOfTime { .. } => true,
            _ => false,
        }
    }

    /// The chain of causes in one line, without repetition.
    pub fn chain(&self) -> String {
        chain(self)
    }
}

/// An error and the chain of its causes in one line, without repetition.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    // Some services answer with whole pages; this keeps an error on one line.
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Adds action and object to errors of the object store and of Parquet.
pub(crate) trait StagingContext<T> {
    /// Wraps the error as [`Error::Staging`].
    fn staging(self, action: &'static str, object: impl std::fmt::Display) -> Result<T>;
}

impl<T, E: Into<BoxError>> StagingContext<T> for std::result::Result<T, E> {
    fn staging(self, action: &'static str, object: impl std::fmt::Display) -> Result<T> {
        self.map_err(|e| Error::Staging { action, object: object.to_string(), source: e.into() })
    }
}

/// An error of the store, as Parquet carries it.
pub(crate) fn as_parquet(error: impl Into<BoxError>) -> parquet::errors::ParquetError {
    parquet::errors::ParquetError::External(error.into())
}

/// Adds the action to errors of PostgreSQL.
pub(crate) trait DatabaseContext<T> {
    /// Wraps the error as [`Error::Database`].
    fn database(self, action: &'static str) -> Result<T>;
}

impl<T> DatabaseContext<T> for std::result::Result<T, tokio_postgres::Error> {
    fn database(self, action: &'static str) -> Result<T> {
        self.map_err(|e| Error::Database { action, transient: is_transient(&e), source: e.into() })
    }
}

/// Connection errors, shutdowns, read-only failovers, lock timeouts, deadlocks and full servers are transient; a wrong
/// statement, a missing right or a wrong password is not.
fn is_transient(error: &tokio_postgres::Error) -> bool {
    let Some(code) = error.code() else {
        // Not an answer of the server: the connection broke or was never established.
        return !is_distrust(error);
    };
    let code = code.code();
    code.starts_with("08")
        || is_outdated_catalogue(error)
        || matches!(
            code,
            "25006"
                | "40001"
                | "40P01"
                | "53300"
                | "55006"
                | "55P03"
                | "57014"
                | "57P01"
                | "57P02"
                | "57P03"
                | "57P05"
        )
}

/// Whether the session does not know a new partition: none was found for a row (23514 without a constraint), or one is created
/// that exists (42P07). It may stay so; another session knows it.
pub(crate) fn is_outdated_catalogue(error: &tokio_postgres::Error) -> bool {
    let Some(error) = error.as_db_error() else { return false };
    match error.code().code() {
        "23514" => error.constraint().is_none(),
        code => code == "42P07",
    }
}

/// Whether a TLS handshake failed because this side does not trust the server's certificate; this is not transient.
pub(crate) fn is_distrust(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        // io::Error returns its cause's cause as source, and skips the cause itself.
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let tls = error.downcast_ref().or_else(|| inner.and_then(|inner| inner.downcast_ref()));
        if matches!(tls, Some(rustls::Error::InvalidCertificate(_))) {
            return true;
        }
        next = error.source();
    }
    false
}
