//! The Flight service behind a [`Source`](super::Source): GetFlightInfo and DoGet; the rest is unimplemented.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use arrow_flight::flight_descriptor::DescriptorType;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightEndpoint, FlightInfo,
    HandshakeRequest, HandshakeResponse, PollInfo, PutResult, SchemaResult, Ticket,
};
use futures::stream::BoxStream;
use tonic::metadata::MetadataMap;
use tonic::{Response, Status, Streaming};

use super::connection::Cut;
use super::encode::play;
use super::{Answer, Info, Request, Step};

pub(super) type Script = Arc<dyn Fn(Request) -> Answer + Send + Sync>;

/// The state that survives a stop of the server: the script, and the requests so far.
pub(super) struct Shared {
    pub(super) script: Mutex<Script>,
    pub(super) seen: Mutex<Seen>,
    pub(super) token: Mutex<Option<String>>,
}

#[derive(Default)]
pub(super) struct Seen {
    pub(super) requests: Vec<Request>,
    pub(super) drains: usize,
    pub(super) authorizations: Vec<Option<String>>,
    attempts: HashMap<Asked, usize>,
    endpoints: Vec<Vec<Step>>,
}

/// What a descriptor requests.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Asked {
    Range,
    Window(&'static str, u32, u32),
    State(&'static str, Option<u32>),
}

#[derive(Clone)]
pub(super) struct Service(pub(super) Arc<Shared>);

impl Service {
    /// Refuses a call without the required token.
    fn admit(&self, metadata: &MetadataMap) -> Result<(), Status> {
        let required = self.0.token.lock().unwrap();
        let wanted = required.as_ref().map(|token| format!("Bearer {token}"));
        if wanted.is_none() || authorization(metadata) == wanted {
            return Ok(());
        }
        Err(Status::unauthenticated("no such token"))
    }

    /// Counts and records the requests.
    fn note(&self, asked: Asked, metadata: &MetadataMap) -> Request {
        let mut seen = self.0.seen.lock().unwrap();
        seen.authorizations.push(authorization(metadata));
        let count = seen.attempts.entry(asked).or_default();
        *count += 1;
        let attempt = *count;
        let request = match asked {
            Asked::Range => Request::Range { attempt },
            Asked::Window("data", start, end) => Request::Window { start, end, attempt },
            Asked::Window(table, start, end) => Request::Side { table, start, end, attempt },
            Asked::State(table, ledger) => Request::State { table, ledger, attempt },
        };
        seen.requests.push(request);
        request
    }

    /// Stores the scripts of the endpoints under their tickets.
    fn flight_info(&self, info: Info, descriptor: FlightDescriptor) -> FlightInfo {
        let mut seen = self.0.seen.lock().unwrap();
        let mut flight = FlightInfo::new()
            .with_descriptor(descriptor)
            .with_total_records(info.total_records)
            .with_ordered(info.ordered)
            .with_app_metadata(info.app_metadata.unwrap_or_default());
        for steps in info.endpoints {
            let ticket = format!("endpoint {}", seen.endpoints.len());
            seen.endpoints.push(steps);
            flight = flight.with_endpoint(FlightEndpoint::new().with_ticket(Ticket::new(ticket)));
        }
        flight
    }
}

#[tonic::async_trait]
impl FlightService for Service {
    type HandshakeStream = BoxStream<'static, Result<HandshakeResponse, Status>>;
    type ListFlightsStream = BoxStream<'static, Result<FlightInfo, Status>>;
    type DoGetStream = BoxStream<'static, Result<FlightData, Status>>;
    type DoPutStream = BoxStream<'static, Result<PutResult, Status>>;
    type DoActionStream = BoxStream<'static, Result<arrow_flight::Result, Status>>;
    type ListActionsStream = BoxStream<'static, Result<ActionType, Status>>;
    type DoExchangeStream = BoxStream<'static, Result<FlightData, Status>>;

    async fn get_flight_info(
        &self,
        request: tonic::Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.admit(request.metadata())?;
        let asked = asked(request.get_ref())?;
        let seen = self.note(asked, request.metadata());
        let script = self.0.script.lock().unwrap().clone();
        match script(seen) {
            Answer::Info(info) => Ok(Response::new(self.flight_info(info, request.get_ref().clone()))),
            Answer::Refuse(status) => Err(status),
            Answer::Silence => std::future::pending().await,
            Answer::Cut => {
                cut(&request).now();
                std::future::pending().await
            }
        }
    }

    async fn do_get(&self, request: tonic::Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        let steps = {
            let mut seen = self.0.seen.lock().unwrap();
            seen.drains += 1;
            seen.authorizations.push(authorization(request.metadata()));
            self.admit(request.metadata())?;
            number(&request.get_ref().ticket).and_then(|n| seen.endpoints.get(n).cloned())
        };
        let steps = steps.ok_or_else(|| Status::not_found("no such ticket"))?;
        Ok(Response::new(play(steps, cut(&request))))
    }

    async fn handshake(
        &self,
        _: tonic::Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        unimplemented()
    }

    async fn list_flights(
        &self,
        _: tonic::Request<Criteria>,
    ) -> Result<Response<Self::ListFlightsStream>, Status> {
        unimplemented()
    }

    async fn poll_flight_info(
        &self,
        _: tonic::Request<FlightDescriptor>,
    ) -> Result<Response<PollInfo>, Status> {
        unimplemented()
    }

    async fn get_schema(
        &self,
        _: tonic::Request<FlightDescriptor>,
    ) -> Result<Response<SchemaResult>, Status> {
        unimplemented()
    }

    async fn do_put(
        &self,
        _: tonic::Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoPutStream>, Status> {
        unimplemented()
    }

    async fn do_action(&self, _: tonic::Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        unimplemented()
    }

    async fn list_actions(
        &self,
        _: tonic::Request<Empty>,
    ) -> Result<Response<Self::ListActionsStream>, Status> {
        unimplemented()
    }

    async fn do_exchange(
        &self,
        _: tonic::Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        unimplemented()
    }
}

fn unimplemented<T>() -> Result<T, Status> {
    Err(Status::unimplemented("a source of contract data answers GetFlightInfo and DoGet"))
}

/// What a descriptor requests.
fn asked(descriptor: &FlightDescriptor) -> Result<Asked, Status> {
    let refused = || Status::invalid_argument(format!("not a path of contract data: {descriptor}"));
    if descriptor.r#type() != DescriptorType::Path {
        return Err(refused());
    }
    let path: Vec<&str> = descriptor.path.iter().map(String::as_str).collect();
    match path[..] {
        ["contract", "data"] => Ok(Asked::Range),
        ["contract", table, ref ledger @ ..] if ledger.len() < 2 && state_table(table).is_some() => {
            let ledger =
                ledger.first().map(|ledger| ledger.parse::<u32>()).transpose().map_err(|_| refused())?;
            state_table(table).map(|table| Asked::State(table, ledger)).ok_or_else(refused)
        }
        ["contract", table, start, end] => {
            let table = ["data", "ttl", "assets"].into_iter().find(|known| *known == table);
            let bounds = start.parse().ok().zip(end.parse().ok());
            table
                .zip(bounds)
                .map(|(table, (start, end))| Asked::Window(table, start, end))
                .ok_or_else(refused)
        }
        _ => Err(refused()),
    }
}

fn state_table(name: &str) -> Option<&'static str> {
    ["state", "state-ttl", "state-assets"].into_iter().find(|known| *known == name)
}

fn number(ticket: &[u8]) -> Option<usize> {
    std::str::from_utf8(ticket).ok()?.strip_prefix("endpoint ")?.parse().ok()
}

fn authorization(metadata: &MetadataMap) -> Option<String> {
    metadata.get("authorization").map(|value| value.to_str().unwrap_or("(not text)").to_owned())
}

fn cut<T>(request: &tonic::Request<T>) -> Cut {
    request.extensions().get::<Cut>().expect("each connection carries its knife").clone()
}
