//! Refuses messages with compressed bodies before anything is decoded.
//!
//! The message itself states the decompressed length, and LZ4 allocates it before decoding: eight forged bytes could
//! kill the process. So no decompressor is compiled in, and a source that compresses gets one permanent error.

use arrow::ipc::{CompressionType, Message, root_as_message};
use arrow_flight::FlightData;
use arrow_flight::error::FlightError;

/// The error for a source that compresses message bodies. A retry does not help.
#[derive(Debug, thiserror::Error)]
#[error("its messages are compressed with {0}, which is not supported: switch Arrow IPC compression off")]
struct Compressed(&'static str);

/// Checks a message.
///
/// # Errors
/// If the body is marked as compressed. A header that does not parse is left to the decoder.
pub(super) fn refuse_compressed(message: &FlightData) -> Result<(), FlightError> {
    let codec = root_as_message(&message.data_header).ok().and_then(|header| codec(&header));
    match codec {
        None => Ok(()),
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
