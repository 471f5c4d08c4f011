//! Silence of S3: requests are given up when nothing moves, not when they take long.
//!
//! A limit for whole requests would have to be long enough for a large part on a slow line, and a server that accepts
//! connections and says nothing would hold a run for as long.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
    HttpService, ReqwestConnector,
};
use tokio::time::{Sleep, sleep, timeout};

/// The longest wait for an answer to begin, and for each next piece of it.
const SILENCE: Duration = Duration::from_secs(10);

/// The slowest upload, in bytes per second. Nothing is heard while a request is sent, so the wait for its answer grows with it:
/// 80 seconds for a part of 5 MiB.
const SLOWEST_UPLOAD: usize = 64 << 10;

/// The longest request, whatever moves.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// Makes HTTP clients that give up silent requests. Timeouts of the options do not count.
#[derive(Debug)]
pub(super) struct Impatient;

impl HttpConnector for Impatient {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = ReqwestConnector::default().connect(&options.clone().with_timeout(LONGEST))?;
        Ok(HttpClient::new(Bounded(client)))
    }
}

/// A client whose waits are bounded.
#[derive(Debug)]
struct Bounded(HttpClient);

#[tonic::async_trait]
impl HttpService for Bounded {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let silence = longest_silence();
        let sent = request.body().content_length() / SLOWEST_UPLOAD;
        let bound = silence + Duration::from_secs(sent as u64);
        let answer = timeout(bound, self.0.execute(request)).await.unwrap_or_else(|_| Err(silent(bound)))?;
        Ok(answer.map(|body| HttpResponseBody::new(BoundedBody { body, silence, waiting: None })))
    }
}

/// The body of an answer, each piece of which has to come in time.
struct BoundedBody {
    body: HttpResponseBody,
    silence: Duration,
    /// The end of the wait under way. A reader that takes its time does not wait.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl Body for BoundedBody {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            self.waiting = None;
            return Poll::Ready(frame);
        }
        let silence = self.silence;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(silence)));
        ready!(waiting.as_mut().poll(cx));
        Poll::Ready(Some(Err(silent(silence))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// [`SILENCE`]. `FAILPOINTS=store_silence=return(3)` makes it 3 seconds.
fn longest_silence() -> Duration {
    fail::fail_point!("store_silence", |seconds| {
        seconds.and_then(|s| s.parse().ok()).map_or(SILENCE, Duration::from_secs)
    });
    SILENCE
}

/// The error that nothing came in time. Requests that may be repeated are.
fn silent(bound: Duration) -> HttpError {
    let why = format!("no answer within {}", humantime::format_duration(bound));
    HttpError::new_boxed(HttpErrorKind::Timeout, why.into())
}
