//! Messages that no encoder writes: bodies that claim to be compressed.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::ipc::convert::IpcSchemaEncoder;
use arrow::ipc::{
    BodyCompression, BodyCompressionArgs, Buffer, CompressionType, Message, MessageArgs, MessageHeader,
    RecordBatch as Header, RecordBatchArgs, root_as_message,
};
use arrow_flight::FlightData;
use arrow_flight::utils::batches_to_flight_data;
use pipeline::Error;
use testkit::{Answer, Info, Source, Step};

use super::rows;
use crate::support::World;

/// The message of a batch, without its schema.
fn message(batch: RecordBatch) -> FlightData {
    let schema = batch.schema();
    batches_to_flight_data(&schema, [&batch]).unwrap().remove(1)
}

/// A source that sends one message of 16 rows in ledgers 10 to 13 as it stands.
fn sending(message: FlightData) -> impl Fn(testkit::Request) -> Answer + Send + Sync + 'static {
    move |_| {
        let steps = vec![Step::Schema(testkit::rows::schema()), Step::Raw(message.clone())];
        Info::declared(10, 13, 16, vec![steps]).into()
    }
}

/// The same message with a body that claims to be compressed, with this decompressed length per buffer.
fn forged(honest: &FlightData, codec: CompressionType, length: i64) -> FlightData {
    let parsed = root_as_message(&honest.data_header).unwrap();
    let header = parsed.header_as_record_batch().unwrap();
    let nodes: Vec<_> = header.nodes().unwrap().iter().copied().collect();
    let mut body = Vec::new();
    let mut buffers = Vec::new();
    for buffer in header.buffers().unwrap() {
        let empty = buffer.length() == 0;
        buffers.push(Buffer::new(body.len() as i64, if empty { 0 } else { 3_200 }));
        body.extend_from_slice(&length.to_le_bytes());
        body.resize(body.len().next_multiple_of(64) + 3_200, 0x5a);
    }
    let mut builder = IpcSchemaEncoder::new().schema_to_fb(&Schema::empty());
    builder.reset();
    let compression = BodyCompressionArgs { codec, ..BodyCompressionArgs::default() };
    let args = RecordBatchArgs {
        length: header.length(),
        nodes: Some(builder.create_vector(&nodes)),
        buffers: Some(builder.create_vector(&buffers)),
        compression: Some(BodyCompression::create(&mut builder, &compression)),
        variadicBufferCounts: None,
    };
    let header = Header::create(&mut builder, &args).as_union_value();
    let args = MessageArgs {
        version: parsed.version(),
        header_type: MessageHeader::RecordBatch,
        header: Some(header),
        bodyLength: body.len() as i64,
        custom_metadata: None,
    };
    let root = Message::create(&mut builder, &args);
    builder.finish(root, None);
    let data_header = builder.finished_data().to_vec().into();
    FlightData { data_header, data_body: body.into(), ..honest.clone() }
}

#[tokio::test]
async fn a_body_that_claims_to_be_compressed_is_refused_whatever_length_it_claims() {
    let honest = message(testkit::rows::batch(&rows()));
    let source = Source::serve(sending(honest.clone()));
    let world = World::around(&source).await;
    world.set("MAX_RETRIES", "2");
    for (codec, name) in [(CompressionType::LZ4_FRAME, "lz4"), (CompressionType::ZSTD, "zstd")] {
        for length in [1 << 36, 1 << 40, i64::MAX, -2, i64::MIN, 1] {
            source.answer_with(sending(forged(&honest, codec, length)));
            let asked = source.windows().len();
            let error = world.refused(10, 13).await;
            assert!(matches!(error, Error::Source { .. }), "{error:?}");
            let message = error.chain();
            assert!(message.starts_with("source: the stream broke in ledgers 10-13: "), "{message}");
            assert!(
                message.contains(&format!("compressed with {name}, which is not supported")),
                "{message}"
            );
            assert_eq!(source.windows().len(), asked + 1, "no second attempt mends it");
        }
    }
    source.answer_with(sending(honest));
    assert_eq!(world.replay(10, 13).await.unwrap().rows(), 16, "the process lives, and takes what is honest");
}
