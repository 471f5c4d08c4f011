use std::sync::Arc;
use std::time::Duration;

use arrow::array::{RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow_flight::error::FlightError;
use arrow_flight::{FlightClient, FlightDescriptor, FlightInfo};
use futures::{StreamExt, TryStreamExt};
use testkit::rows::{batch, schema};
use testkit::{Answer, Chain, Info, Request, Row, Source, Step};
use tokio::sync::Semaphore;
use tonic::Status;
use tonic::transport::Channel;

async fn client(source: &Source) -> FlightClient {
    FlightClient::new(Channel::from_shared(source.url()).unwrap().connect().await.unwrap())
}

fn path(parts: &[&str]) -> FlightDescriptor {
    FlightDescriptor::new_path(parts.iter().map(|&part| part.to_owned()).collect())
}

async fn info(client: &mut FlightClient, start: &str, end: &str) -> Result<FlightInfo, FlightError> {
    client.get_flight_info(path(&["contract", "data", start, end])).await
}

/// Drains the endpoints in order: the batches, and the error that ended them if one did.
async fn drain(client: &mut FlightClient, info: FlightInfo) -> (Vec<RecordBatch>, Option<FlightError>) {
    let mut batches = Vec::new();
    for endpoint in info.endpoint {
        let mut stream = client.do_get(endpoint.ticket.unwrap()).await.unwrap();
        loop {
            match stream.try_next().await {
                Ok(Some(batch)) => batches.push(batch),
                Ok(None) => break,
                Err(error) => return (batches, Some(error)),
            }
        }
    }
    (batches, None)
}

fn rows() -> Vec<Row> {
    (10..20).flat_map(|ledger| (1..=3).map(move |key| Row::at(ledger).key(key))).collect()
}

#[tokio::test]
async fn an_honest_source_declares_what_it_sends() {
    let source = Source::of_rows(rows());
    let mut client = client(&source).await;

    let range = client.get_flight_info(path(&["contract", "data"])).await.unwrap();
    let vouched = String::from_utf8(range.app_metadata.to_vec()).unwrap();
    assert_eq!(vouched, r#"{"end_ledger":19,"latest_closed_at":"2015-09-30T00:01:35Z","start_ledger":10}"#);

    let window = info(&mut client, "12", "15").await.unwrap();
    assert_eq!(window.total_records, 12);
    let (batches, error) = drain(&mut client, window).await;
    assert!(error.is_none());
    let expected: Vec<Row> =
        rows().into_iter().filter(|row| (12..=15).contains(&row.ledger_sequence)).collect();
    assert_eq!(batches, [batch(&expected)]);
    assert_eq!(batches[0].schema(), schema());

    let beyond = info(&mut client, "18", "30").await.unwrap();
    assert_eq!(beyond.total_records, 6);
    assert!(String::from_utf8_lossy(&beyond.app_metadata).contains(r#""end_ledger":19"#));
    let not_yet = info(&mut client, "20", "30").await.unwrap();
    assert_eq!((not_yet.total_records, not_yet.endpoint.len()), (0, 0));

    assert_eq!(source.windows(), [(12, 15), (18, 30), (20, 30)]);
    assert_eq!(source.requests()[0], Request::Range { attempt: 1 });
    assert_eq!(source.drains(), 1);
}

#[tokio::test]
async fn endpoints_and_messages_keep_the_order() {
    let source = Chain::of_rows(rows()).batch_rows(4).endpoints(3).serve();
    let mut client = client(&source).await;
    let window = info(&mut client, "10", "19").await.unwrap();
    assert_eq!(window.endpoint.len(), 3);
    assert!(window.ordered);
    let (batches, _) = drain(&mut client, window).await;
    assert_eq!(batches.len(), 8);
    assert_eq!(arrow::compute::concat_batches(&schema(), &batches).unwrap(), batch(&rows()));
}

#[tokio::test]
async fn a_cut_is_an_error_after_what_came_before_it() {
    let source = Chain::of_rows(rows()).batch_rows(10).cut_after(2).for_attempts(1).serve();
    let mut first = client(&source).await;
    let window = info(&mut first, "10", "19").await.unwrap();
    let (batches, error) = drain(&mut first, window).await;
    assert_eq!(batches.len(), 2);
    assert!(error.is_some());

    let mut second = client(&source).await;
    let window = info(&mut second, "10", "19").await.unwrap();
    let (batches, error) = drain(&mut second, window).await;
    assert_eq!((batches.len(), error.is_none()), (3, true));
}

#[tokio::test]
async fn silence_is_neither_a_message_nor_an_end() {
    let source = Chain::of_rows(rows()).batch_rows(10).silence_after(1).serve();
    let mut client = client(&source).await;
    let window = info(&mut client, "10", "19").await.unwrap();
    let mut stream = client.do_get(window.endpoint[0].ticket.clone().unwrap()).await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap().num_rows(), 10);
    tokio::time::timeout(Duration::from_millis(200), stream.next()).await.unwrap_err();
}

#[tokio::test]
async fn a_short_stream_ends_cleanly_and_a_wrong_total_is_sent() {
    let source = Chain::of_rows(rows()).batch_rows(10).end_after(1).declare(|total| total + 1).serve();
    let mut client = client(&source).await;
    let window = info(&mut client, "10", "19").await.unwrap();
    assert_eq!(window.total_records, 31);
    let (batches, error) = drain(&mut client, window).await;
    assert_eq!((batches.len(), error.is_none()), (1, true));
}

#[tokio::test]
async fn errors_refusals_and_undeclared_windows() {
    let chain = Chain::of_rows(rows()).refuse(Status::unavailable("not now")).for_attempts(2);
    let source = chain.serve();
    let mut client = client(&source).await;
    for _ in 0..2 {
        let error = info(&mut client, "10", "19").await.unwrap_err();
        assert!(error.to_string().contains("not now"), "{error}");
    }
    assert_eq!(info(&mut client, "10", "19").await.unwrap().total_records, 30);

    let chain = Chain::of_rows(rows()).undeclared().error_after(0, Status::data_loss("gone"));
    source.answer_with(move |request| chain.answer(request));
    let window = info(&mut client, "10", "19").await.unwrap();
    assert_eq!((window.total_records, window.app_metadata.len()), (-1, 0));
    let (batches, error) = drain(&mut client, window).await;
    assert!(batches.is_empty() && error.unwrap().to_string().contains("gone"));

    source.answer_with(|_| Answer::Cut);
    info(&mut client, "10", "19").await.unwrap_err();
}

#[tokio::test]
async fn a_stream_waits_for_the_test() {
    let (reached, go_on) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let steps = vec![
        Step::Batch(batch(&rows())),
        Step::Reached(Arc::clone(&reached)),
        Step::Wait(Arc::clone(&go_on)),
        Step::Batch(batch(&rows())),
    ];
    let source = Source::serve(move |_| Info::declared(10, 19, 60, vec![steps.clone()]).into());
    let mut client = client(&source).await;
    let window = info(&mut client, "10", "19").await.unwrap();
    let drained = tokio::spawn(async move { drain(&mut client, window).await.0.len() });
    reached.acquire().await.unwrap().forget();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!drained.is_finished());
    go_on.add_permits(1);
    assert_eq!(drained.await.unwrap(), 2);
}

#[tokio::test]
async fn dictionaries_and_other_columns_arrive_as_they_are() {
    let codes = |batch: RecordBatch| {
        let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        let text: StringArray = (0..batch.num_rows()).map(|n| Some(format!("code {}", n % 2))).collect();
        let column = arrow::compute::cast(&text, &dictionary).unwrap();
        let schema = Schema::new(vec![Field::new("code", dictionary, true)]);
        RecordBatch::try_new(Arc::new(schema), vec![column]).unwrap()
    };
    let source = Chain::of_rows(rows()).batch_rows(10).reshape(codes).serve();
    let mut client = client(&source).await;
    let window = info(&mut client, "10", "19").await.unwrap();
    let (batches, error) = drain(&mut client, window).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(batches.len(), 3);
    assert!(matches!(batches[2].schema().field(0).data_type(), DataType::Dictionary(..)));
}

#[tokio::test]
async fn a_source_goes_down_and_comes_up_on_its_port() {
    let mut source = Source::of_rows(rows());
    let url = source.url();
    let mut before = client(&source).await;
    info(&mut before, "10", "19").await.unwrap();
    source.stop();
    info(&mut before, "10", "19").await.unwrap_err();
    Channel::from_shared(url.clone()).unwrap().connect().await.unwrap_err();
    source.start();
    assert_eq!(source.url(), url);
    let mut after = client(&source).await;
    info(&mut after, "10", "19").await.unwrap();
    assert_eq!(source.requests().len(), 2);
}

#[tokio::test]
async fn tokens_are_seen_and_strange_paths_refused() {
    let source = Source::of_rows(rows());
    let mut client = client(&source).await;
    client.add_header("authorization", "Bearer secret").unwrap();
    info(&mut client, "10", "19").await.unwrap();
    assert_eq!(source.authorizations(), [Some("Bearer secret".to_owned())]);
    client.get_flight_info(path(&["contract", "code"])).await.unwrap_err();
    info(&mut client, "ten", "19").await.unwrap_err();
    assert_eq!(source.requests().len(), 1);
}
