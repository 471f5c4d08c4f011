//! The endpoints: they answer from memory, at once, and are never cached.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use chrono::{DateTime, Utc};
use pipeline::Overview;
use serde::Serialize;

use super::prometheus::Metrics;
use super::standing::{Loading, Snapshot, Standing};
use super::{page, verdict};

/// The version of this program.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Headers of every answer: no scripts, no external resources, no frames, no type sniffing, no caching.
const HEADERS: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
];

const JSON: [(HeaderName, &str); 1] = [(header::CONTENT_TYPE, "application/json")];

/// The state behind the endpoints.
#[derive(Clone)]
struct Sources {
    standing: Arc<Standing>,
    metrics: Metrics,
}

/// The answer of `/health`.
#[derive(Debug, Serialize)]
struct Health<'a> {
    healthy: bool,
    database: Reach<'a>,
    source: Reach<'a>,
    /// How long the loader has taken no step; `null` while it moves.
    standstill_seconds: Option<u64>,
    /// When both were last checked; `null` if that was too long ago.
    observed_at: Option<DateTime<Utc>>,
    loading: &'a Loading,
}

/// Whether it answers, and if not, why.
#[derive(Debug, Serialize)]
struct Reach<'a> {
    reachable: bool,
    error: Option<&'a str>,
}

/// The answer of `/ready`.
#[derive(Debug, Serialize)]
struct Ready<'a> {
    ready: bool,
    reason: Option<&'a str>,
}

/// The answer of `/stats`.
#[derive(Debug, Serialize)]
struct Stats<'a> {
    version: &'static str,
    started_at: DateTime<Utc>,
    uptime_seconds: i64,
    state: verdict::State,
    headline: String,
    loading: &'a Loading,
    database_error: Option<&'a str>,
    schema_error: Option<&'a str>,
    source_error: Option<&'a str>,
    overview_error: Option<&'a str>,
    #[serde(flatten)]
    overview: Option<&'a Overview>,
}

/// The endpoints. Each answers GET and HEAD, and 405 to anything else.
pub(super) fn router(standing: Arc<Standing>, metrics: Metrics) -> Router {
    Router::new()
        .route("/", get(of_page))
        .route("/metrics", get(of_metrics))
        .route("/health", get(of_health))
        .route("/ready", get(of_ready))
        .route("/stats", get(of_stats))
        .fallback(async || {
            (StatusCode::NOT_FOUND, "available paths: /, /metrics, /health, /ready and /stats\n")
        })
        .with_state(Sources { standing, metrics })
        .layer(map_response(with_headers))
}

async fn with_headers(mut response: Response) -> Response {
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn of_metrics(State(sources): State<Sources>) -> Response {
    let text = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (text, sources.metrics.render()).into_response()
}

async fn of_health(State(sources): State<Sources>) -> Response {
    let snapshot = sources.standing.snapshot();
    let healthy = snapshot.is_healthy();
    let reach = |error: Option<&'_ String>| match &snapshot.seen {
        Some(_) => (error.is_none(), error.cloned()),
        None => (false, Some("not checked in the last 15 s".to_owned())),
    };
    let seen = snapshot.seen.as_deref();
    let database = reach(seen.and_then(|seen| seen.reachable.database_error.as_ref()));
    let source = reach(seen.and_then(|seen| seen.reachable.source_error.as_ref()));
    let health = Health {
        healthy,
        database: Reach { reachable: database.0, error: database.1.as_deref() },
        source: Reach { reachable: source.0, error: source.1.as_deref() },
        standstill_seconds: snapshot.standstill.map(|since| since.as_secs()),
        observed_at: seen.map(|seen| seen.at),
        loading: &snapshot.loading,
    };
    answer(if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, &health)
}

async fn of_ready(State(sources): State<Sources>) -> Response {
    let snapshot = sources.standing.snapshot();
    let ready = snapshot.may_be_sent_traffic();
    let reason = match (ready, snapshot.loading.ending) {
        (true, _) => None,
        (false, true) => Some("ending"),
        (false, false) => Some("the schema of the database has not been checked yet"),
    };
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    answer(status, &Ready { ready, reason })
}

async fn of_stats(State(sources): State<Sources>) -> Response {
    let snapshot = sources.standing.snapshot();
    let now = Utc::now();
    let verdict = verdict::of(&snapshot, &sources.standing, now);
    let reachable = snapshot.seen.as_ref().map(|seen| &seen.reachable);
    let stats = Stats {
        version: VERSION,
        started_at: sources.standing.started_at,
        uptime_seconds: (now - sources.standing.started_at).num_seconds(),
        state: verdict.state,
        headline: verdict.headline,
        loading: &snapshot.loading,
        database_error: reachable.and_then(|seen| seen.database_error.as_deref()),
        schema_error: reachable.and_then(|seen| seen.schema_error.as_deref()),
        source_error: reachable.and_then(|seen| seen.source_error.as_deref()),
        overview_error: snapshot.overview_error.as_deref(),
        overview: snapshot.overview.as_deref(),
    };
    answer(StatusCode::OK, &stats)
}

async fn of_page(State(sources): State<Sources>) -> Response {
    let snapshot: Snapshot = sources.standing.snapshot();
    let html = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
    (html, page::render(&snapshot, &sources.standing, Utc::now()).into_string()).into_response()
}

/// An answer as JSON.
fn answer(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_string(body) {
        Ok(text) => (status, JSON, text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("no JSON: {error}\n")).into_response(),
    }
}
