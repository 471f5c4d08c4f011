//! The script of one endpoint as a stream of Flight messages.

use std::collections::VecDeque;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::FlightData;
use arrow_flight::encode::{DictionaryHandling, FlightDataEncoderBuilder};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use tonic::Status;

use super::Step;
use super::connection::Cut;

/// Long enough for data in the HTTP/2 layer to leave the socket.
const FLUSH: Duration = Duration::from_millis(50);

struct Play {
    steps: VecDeque<Step>,
    ready: VecDeque<FlightData>,
    schema_sent: bool,
    cut: Cut,
}

/// Plays the steps from the first to the last.
pub(super) fn play(steps: Vec<Step>, cut: Cut) -> BoxStream<'static, Result<FlightData, Status>> {
    let play = Play { steps: steps.into(), ready: VecDeque::new(), schema_sent: false, cut };
    stream::try_unfold(play, |mut play| async move { Ok(play.next().await?.map(|message| (message, play))) })
        .boxed()
}

impl Play {
    async fn next(&mut self) -> Result<Option<FlightData>, Status> {
        while self.ready.is_empty() {
            let Some(step) = self.steps.pop_front() else { return Ok(None) };
            match step {
                Step::Batch(batch) => {
                    let messages = encode(batch.schema(), Some(batch)).await?;
                    self.ready.extend(messages.into_iter().skip(usize::from(self.schema_sent)));
                    self.schema_sent = true;
                }
                Step::Schema(schema) => {
                    self.ready.extend(encode(schema, None).await?);
                    self.schema_sent = true;
                }
                Step::Raw(message) => self.ready.push_back(message),
                Step::Delay(pause) => tokio::time::sleep(pause).await,
                Step::Wait(permits) => {
                    permits.acquire().await.map_err(|_| Status::aborted("the test is over"))?.forget();
                }
                Step::Reached(permits) => permits.add_permits(1),
                Step::Error(status) => return Err(status),
                Step::Cut => {
                    tokio::time::sleep(FLUSH).await;
                    self.cut.now();
                    std::future::pending::<()>().await;
                }
                Step::Silence => std::future::pending().await,
            }
        }
        Ok(self.ready.pop_front())
    }
}

/// The schema message, then the batch in one message, with its dictionaries before it.
async fn encode(schema: SchemaRef, batch: Option<RecordBatch>) -> Result<Vec<FlightData>, Status> {
    FlightDataEncoderBuilder::new()
        .with_schema(schema)
        .with_dictionary_handling(DictionaryHandling::Resend)
        .with_max_flight_data_size(usize::MAX)
        .build(stream::iter(batch.map(Ok)))
        .try_collect()
        .await
        .map_err(|error| Status::internal(format!("the test's batch does not encode: {error}")))
}
