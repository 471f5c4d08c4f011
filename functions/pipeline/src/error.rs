//! The one error of the library: its variants are the steps.

/// What a step of the pipeline may fail with.
///
/// Display is one sentence in lower case without its cause; the cause is the [`source`](std::error::Error::source), so that
/// a printed chain says everything once. No variant ever holds a secret.
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
    /// A request that cannot be meant: a reversed range, a ledger that is none.
    #[error("{0}")]
    Usage(String),
    /// The Flight source: unreachable, silent, cut, or in contradiction with itself.
    #[error("source: {problem}")]
    Source {
        /// What the source did, and where.
        problem: String,
        /// True where another attempt may go better.
        transient: bool,
        /// The gRPC status, if that is how it failed.
        status: Option<tonic::Code>,
        /// The error of the transport or of the decoder, if there is one.
        #[source]
        source: Option<BoxError>,
    },
    /// The object store failed.
    #[error("staging: cannot {action} {object}")]
    Staging {
        /// What was tried, such as `write`.
        action: &'static str,
        /// The object, relative to the staging URL, or the URL itself.
        object: String,
        /// What the object store says.
        #[source]
        source: BoxError,
    },
    /// An object whose bytes are not what its footer, its name or the progress row say.
    #[error("staging: {object} cannot be trusted: {problem}")]
    Corrupt {
        /// The object, relative to the staging URL.
        object: String,
        /// What contradicts what.
        problem: String,
    },
    /// PostgreSQL failed, or is out of reach.
    #[error("database: cannot {action}")]
    Database {
        /// What was tried, such as `claim the window`.
        action: &'static str,
        /// What PostgreSQL or the connection says.
        #[source]
        source: BoxError,
        /// True where another attempt, on a new connection, may go better.
        transient: bool,
    },
    /// The database is not one that this loader may write to: schema missing, too old, too new, or of another network.
    #[error("database: {0}")]
    Schema(String),
    /// A value that must not be loaded. The window stays unloaded until the source is mended.
    #[error("bad data in ledger {ledger}, column {column}: {cause}")]
    BadData {
        /// Ledger of the row, 0 when the row does not say.
        ledger: u32,
        /// Column of the value.
        column: &'static str,
        /// What is wrong with the value.
        cause: String,
    },
    /// The host ends before a window was finished. Another attempt takes a smaller one.
    #[error(
        "out of time: no window was finished in {seconds} s; the next attempt takes a smaller one, which helps unless source, \
         staging or database do not answer"
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

    /// A fault of the source that another attempt may not meet.
    pub(crate) fn source_transient(problem: impl Into<String>) -> Self {
        Error::Source { problem: problem.into(), transient: true, status: None, source: None }
    }

    /// A fault of the source that stays until somebody mends it.
    pub(crate) fn source_permanent(problem: impl Into<String>) -> Self {
        Error::Source { problem: problem.into(), transient: false, status: None, source: None }
    }

    /// An object that contradicts itself.
    pub(crate) fn corrupt(object: impl Into<String>, problem: impl Into<String>) -> Self {
        Error::Corrupt { object: object.into(), problem: problem.into() }
    }

    /// Whether another attempt may succeed without anybody's help.
    pub fn is_transient(&self) -> bool {
        match self {
            Error::Source { transient, .. } | Error::Database { transient, .. } => *transient,
            Error::OutOfTime { .. } => true,
            _ => false,
        }
    }

    /// The whole chain of causes in one line, each said once.
    pub fn chain(&self) -> String {
        chain(self)
    }
}

/// An error with the whole chain of its causes in one line, each said once.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
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
    // Some services answer with pages: one failure stays one line.
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Gives errors of the object store and of Parquet the step and the object they belong to.
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

/// Gives errors of PostgreSQL the action they belong to.
pub(crate) trait DatabaseContext<T> {
    /// Wraps the error as [`Error::Database`].
    fn database(self, action: &'static str) -> Result<T>;
}

impl<T> DatabaseContext<T> for std::result::Result<T, tokio_postgres::Error> {
    fn database(self, action: &'static str) -> Result<T> {
        self.map_err(|e| Error::Database { action, transient: is_transient(&e), source: e.into() })
    }
}

/// Connection trouble, shutdowns, read-only failovers, lock waits, deadlocks and full servers pass; a wrong statement, a
/// missing right or a wrong password stays.
fn is_transient(error: &tokio_postgres::Error) -> bool {
    let Some(code) = error.code() else {
        // Not an answer of the server: the connection broke or was never made.
        return !is_distrust(error);
    };
    let code = code.code();
    code.starts_with("08")
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

/// Whether a TLS handshake failed because this side does not trust the other's certificate: that does not pass.
pub(crate) fn is_distrust(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        // io::Error gives its own cause's cause for a source, and leaves out the cause.
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let tls = error.downcast_ref().or_else(|| inner.and_then(|inner| inner.downcast_ref()));
        if matches!(tls, Some(rustls::Error::InvalidCertificate(_))) {
            return true;
        }
        next = error.source();
    }
    false
}
