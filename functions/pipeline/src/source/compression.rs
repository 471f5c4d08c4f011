//! Messages whose bodies are compressed, refused before anything of them is decoded.
//!
//! The length that a compressed buffer is to have stands in the message itself, and LZ4 takes memory for it before it looks:
//! eight forged bytes would end the process. So no decompressor is compiled in, and a source that compresses hears of it once.

use arrow::ipc::{CompressionType, Message, root_as_message};
use arrow_flight::FlightData;
use arrow_flight::error::FlightError;

/// What a source is told that compresses the bodies of its messages. No second attempt changes it.
#[derive(Debug, thiserror::Error)]
#[error("its messages are compressed with {0}, which is not taken: switch the compression of Arrow IPC off")]
struct Compressed(&'static str);

/// The message as it came.
///
/// # Errors
/// When its body says that it is compressed. A header that does not parse is left to the decoder.
pub(super) fn refuse_compressed(message: FlightData) -> Result<FlightData, FlightError> {
    let codec = root_as_message(&message.data_header).ok().and_then(|header| codec(&header));
    match codec {
        None => Ok(message),
        Some(CompressionType::ZSTD) => Err(FlightError::ExternalError(Box::new(Compressed("zstd")))),
        Some(_) => Err(FlightError::ExternalError(Box::new(Compressed("lz4")))),
    }
}

/// The codec of a message of rows or of a dictionary.
fn codec(header: &Message<'_>) -> Option<CompressionType> {
    let batch = header
        .header_as_record_batch()
        .or_else(|| header.header_as_dictionary_batch().and_then(|dictionary| dictionary.data()))?;
    Some(batch.compression()?.codec())
}
