//! The Flight connection: requests, answers, and the classification of failures.

use std::time::Duration;

use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{FlightClient, FlightData, FlightDescriptor, FlightEndpoint, FlightInfo, Ticket};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use secrecy::{ExposeSecret, SecretString};
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

use super::connect::Connector;
use super::offer::{Offer, OfferedWindow, Trust};
use super::tls;
use crate::config::FlightConfig;
use crate::contract::checkpoint::{Checkpoint, Checkpoints, state_path};
use crate::contract::tables::Table;
use crate::contract::window::LedgerWindow;
use crate::contract::wire::{SourceRange, path};
use crate::error::{Error, Result, is_distrust};
use crate::secret::{Reading, StoredSecret};

/// The largest accepted gRPC message: 64 MiB, as in the contract of a source.
const MESSAGE_BYTES: usize = 64 << 20;

/// Bytes that a stream may send ahead of its reader. The windows are fixed, because an adaptive one measures with pings.
const STREAM_WINDOW: u32 = 4 << 20;
/// Bytes that all streams of a connection may send ahead: no bound of its own, so that a stream that waits to be read does not
/// hold up the others.
const CONNECTION_WINDOW: u32 = 1 << 30;

/// The longest wait for a source that proves and counts the state at a checkpoint before it answers.
const PREPARING: Duration = Duration::from_secs(60 * 60);

/// The messages of a stream.
pub(super) type Messages = BoxStream<'static, Result<FlightData, FlightError>>;

/// A connection to the source. It connects on first use, and reconnects by itself.
pub(crate) struct Flight {
    prepared: Endpoint,
    channel: Channel,
    token: Token,
    timeout: Duration,
    endpoint: String,
}

/// The client's credentials.
#[derive(Clone)]
enum Token {
    None,
    Given(SecretString),
    Stored(StoredSecret),
}

/// A token as sent, and the secret's reading if it comes from a secret.
#[derive(Clone)]
struct Bearer {
    token: Option<SecretString>,
    reading: Option<Reading>,
}

impl std::fmt::Debug for Flight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flight").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl Flight {
    /// Prepares the connection; nothing is sent before the first request.
    ///
    /// # Errors
    /// [`Error::Config`] when the endpoint or a PEM file cannot be used.
    pub(crate) fn new(config: &FlightConfig) -> Result<Self> {
        let bad = |problem: String| Error::config("FLIGHT_ENDPOINT", problem);
        let mut endpoint = Endpoint::from_shared(config.endpoint.to_string())
            .and_then(|e| e.user_agent(concat!("contract-data-loader/", env!("CARGO_PKG_VERSION"))))
            .map_err(|e| bad(e.to_string()))?
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW);
        if config.endpoint.scheme() == "https" {
            endpoint = endpoint.tls_config(tls::of(config)?).map_err(tls::unusable)?;
        }
        Ok(Flight {
            channel: endpoint.connect_with_connector_lazy(Connector::new(config.timeout)),
            prepared: endpoint,
            token: match (&config.token, &config.token_secret) {
                (Some(token), _) => Token::Given(token.clone()),
                (None, Some(secret)) => Token::Stored(secret.clone()),
                (None, None) => Token::None,
            },
            timeout: config.timeout,
            endpoint: config.endpoint.to_string(),
        })
    }

    /// The same source on a new connection: an old connection may have died unnoticed while the host was paused.
    pub(crate) fn reconnected(&self) -> Self {
        Flight {
            channel: self.prepared.connect_with_connector_lazy(Connector::new(self.timeout)),
            prepared: self.prepared.clone(),
            token: self.token.clone(),
            timeout: self.timeout,
            endpoint: self.endpoint.clone(),
        }
    }

    /// The longest wait for an answer or the next message.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// A client on this connection, with the token. Clients are cheap: they share the channel.
    fn client(&self, bearer: &Bearer) -> Result<FlightClient> {
        let inner = FlightServiceClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_BYTES);
        let mut client = FlightClient::new_from_inner(inner);
        if let Some(token) = &bearer.token {
            let variable = if bearer.reading.is_some() { "FLIGHT_TOKEN_SECRET_ARN" } else { "FLIGHT_TOKEN" };
            client
                .add_header("authorization", &format!("Bearer {}", token.expose_secret()))
                .map_err(|_| Error::config(variable, "contains characters that a header must not contain"))?;
        }
        Ok(client)
    }

    /// The token to send. A secret is read once and cached.
    async fn bearer(&self) -> Result<Bearer> {
        match &self.token {
            Token::None => Ok(Bearer { token: None, reading: None }),
            Token::Given(token) => Ok(Bearer { token: Some(token.clone()), reading: None }),
            Token::Stored(secret) => Ok(Bearer::of(secret.read().await.map_err(of_source)?)),
        }
    }

    /// The token to retry with, if the source refused the last one and the secret has changed since. `None` if there is
    /// no other.
    async fn bearer_after(&self, failure: &Error, last: &Bearer) -> Result<Option<Bearer>> {
        let refused = matches!(failure, Error::Source { status: Some(Code::Unauthenticated), .. });
        let (true, Token::Stored(secret), Some(last)) = (refused, &self.token, &last.reading) else {
            return Ok(None);
        };
        let reading = secret.read_again(last).await.map_err(of_source)?;
        let is_new = reading.value.expose_secret() != last.value.expose_secret();
        Ok(is_new.then(|| Bearer::of(reading)))
    }

    /// Sends a request with the token, and once more if the source refused the token and its secret has changed since.
    async fn with_bearer<T, A>(&self, ask: impl Fn(Bearer) -> A) -> Result<T>
    where
        A: Future<Output = Result<T>>,
    {
        let bearer = self.bearer().await?;
        match ask(bearer.clone()).await {
            Err(failure) => match self.bearer_after(&failure, &bearer).await? {
                Some(bearer) => ask(bearer).await,
                None => Err(failure),
            },
            answer => answer,
        }
    }

    /// `GetFlightInfo` with a timeout, and once more if the token was rotated.
    async fn info(&self, path: Vec<String>, asking: &str) -> Result<FlightInfo> {
        self.info_within(self.timeout, path, asking).await
    }

    async fn info_within(&self, bound: Duration, path: Vec<String>, asking: &str) -> Result<FlightInfo> {
        self.with_bearer(|bearer| self.info_as(bearer, bound, path.clone(), asking)).await
    }

    async fn info_as(
        &self,
        bearer: Bearer,
        bound: Duration,
        path: Vec<String>,
        asking: &str,
    ) -> Result<FlightInfo> {
        let mut client = self.client(&bearer)?;
        let request = client.get_flight_info(FlightDescriptor::new_path(path));
        match tokio::time::timeout(bound, request).await {
            Ok(answer) => {
                answer.map_err(|e| failure_at(format!("{} does not answer for {asking}", self.endpoint), e))
            }
            Err(_) => Err(Error::source_transient(format!(
                "{} does not answer for {asking} within {}",
                self.endpoint,
                humantime::format_duration(bound)
            ))),
        }
    }

    /// The checkpoints whose state the source has.
    ///
    /// # Errors
    /// [`Error::Source`] when it has none, is unreachable, or declares them in a way that cannot be read.
    pub(crate) async fn checkpoints(&self) -> Result<Checkpoints> {
        let info = self.info(state_path(Table::Data, None), "its checkpoints").await?;
        Checkpoints::from_metadata(&info.app_metadata)
    }

    /// Requests a table of the state at a checkpoint. A source proves and counts it first, which may take an hour.
    ///
    /// # Errors
    /// [`Error::Source`] when the source is unreachable or has no such state, and those of [`OfferedWindow::of_state`].
    pub(crate) async fn state(&self, table: Table, ledger: u32) -> Result<(Checkpoint, OfferedWindow)> {
        let asking = format!("the state at checkpoint {ledger}");
        let bound = PREPARING.max(self.timeout);
        let info = self.info_within(bound, state_path(table, Some(ledger)), &asking).await?;
        let checkpoint = Checkpoint::from_metadata(&info.app_metadata)?;
        let offered = OfferedWindow::of_state(table, info, &checkpoint, ledger)?;
        Ok((checkpoint, offered))
    }

    /// All ledgers of the source; `None` if it does not declare them.
    ///
    /// # Errors
    /// [`Error::Source`] when it is unreachable, or declares them in a way that cannot be read.
    pub(crate) async fn range(&self) -> Result<Option<SourceRange>> {
        match self.info(path(Table::Data, None), "its range of ledgers").await {
            Ok(info) => SourceRange::from_metadata(&info.app_metadata),
            Err(Error::Source {
                status: Some(Code::Unimplemented | Code::NotFound | Code::InvalidArgument),
                ..
            }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Requests a window of a table.
    ///
    /// # Errors
    /// [`Error::Source`] when the source is unreachable, and those of [`Offer::read`].
    pub(crate) async fn offer(&self, table: Table, asked: LedgerWindow, trust: Trust) -> Result<Offer> {
        let of = match table {
            Table::Data => String::new(),
            side => format!("{} of ", side.name()),
        };
        let info = self.info(path(table, Some(asked)), &format!("{of}ledgers {asked}")).await?;
        Offer::read(table, info, asked, trust)
    }

    /// `DoGet` of one endpoint with a timeout, and once more if the token was rotated. Locations are ignored: tickets
    /// are redeemed on the same connection.
    pub(super) async fn open(&self, endpoint: FlightEndpoint, window: LedgerWindow) -> Result<Messages> {
        let ticket: Ticket = endpoint.ticket.ok_or_else(|| {
            Error::source_permanent(format!("offers an endpoint without a ticket for ledgers {window}"))
        })?;
        self.with_bearer(|bearer| self.open_as(bearer, ticket.clone(), window)).await
    }

    async fn open_as(&self, bearer: Bearer, ticket: Ticket, window: LedgerWindow) -> Result<Messages> {
        let mut client = self.client(&bearer)?;
        let mut request = tonic::Request::new(ticket);
        *request.metadata_mut() = client.metadata().clone();
        match tokio::time::timeout(self.timeout, client.inner_mut().do_get(request)).await {
            Ok(Ok(stream)) => Ok(stream.into_inner().map_err(FlightError::from).boxed()),
            Ok(Err(status)) => Err(failure("the stream cannot be opened", window, status.into())),
            Err(_) => Err(Error::source_transient(format!(
                "no stream for ledgers {window} within {}",
                humantime::format_duration(self.timeout)
            ))),
        }
    }
}

impl Bearer {
    /// The secret's string is the token, without surrounding white space.
    fn of(reading: Reading) -> Self {
        Bearer { token: Some(reading.value.expose_secret().trim().into()), reading: Some(reading) }
    }
}

/// An unreadable token is an error of the source if it is transient.
fn of_source(unreadable: crate::secret::Unreadable) -> Error {
    unreadable.into_error(|unreadable| Error::source_transient(unreadable.to_string()))
}

/// The error of a failed stream, with its window.
pub(super) fn failure(what: &str, window: LedgerWindow, error: FlightError) -> Error {
    failure_at(format!("{what} in ledgers {window}"), error)
}

/// Classifies a failure as transient or permanent.
fn failure_at(problem: String, error: FlightError) -> Error {
    let status = match &error {
        FlightError::Tonic(status) => Some(status.code()),
        _ => None,
    };
    let transient = match &error {
        FlightError::Tonic(status) if is_distrust(status.as_ref()) => false,
        FlightError::Tonic(status) => !matches!(
            status.code(),
            Code::InvalidArgument
                | Code::NotFound
                | Code::PermissionDenied
                | Code::Unauthenticated
                | Code::Unimplemented
                | Code::FailedPrecondition
                | Code::OutOfRange
        ),
        // A message that cannot be decoded may have been damaged in transit.
        FlightError::Arrow(_) | FlightError::DecodeError(_) | FlightError::ProtocolError(_) => true,
        _ => false,
    };
    let (problem, source) = match error {
        FlightError::Tonic(status) => describe(problem, *status),
        FlightError::ExternalError(cause) => (problem, Some(cause)),
        other => (problem, Some(other.into())),
    };
    Error::Source { problem, transient, status, source }
}

/// Describes a status: its own message, or the transport's error below it.
fn describe(problem: String, status: tonic::Status) -> (String, Option<crate::error::BoxError>) {
    let mut root: Option<&dyn std::error::Error> = std::error::Error::source(&status);
    while let Some(next) = root.and_then(std::error::Error::source) {
        root = Some(next);
    }
    let cause = root.map_or_else(|| status.message().to_owned(), ToString::to_string);
    let code = status.code().description();
    let sentence = if cause.is_empty() { code.to_owned() } else { cause };
    (format!("{problem}: {sentence}"), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_one_sentence() {
        let sentence = |status: tonic::Status| failure_at("it broke".to_owned(), status.into()).chain();
        assert_eq!(sentence(tonic::Status::internal("disk on fire")), "source: it broke: disk on fire");
        let bare = sentence(tonic::Status::new(Code::Unavailable, ""));
        assert_eq!(bare, "source: it broke: The service is currently unavailable");
        let decoding = failure_at("it broke".to_owned(), FlightError::DecodeError("bad offsets".to_owned()));
        assert_eq!(decoding.chain(), "source: it broke: Decode error: bad offsets");
    }
}
