//! Decodes the messages of a stream: only the columns of the contract, and without a copy of their text.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::reader::{read_dictionary, read_record_batch};
use arrow::ipc::{DictionaryBatch, MessageHeader, MetadataVersion, root_as_message};
use arrow_flight::FlightData;
use arrow_flight::error::FlightError;

use super::cast::Columns;
use super::compression::refuse_compressed;
use super::flight::failure;
use crate::contract::tables::Table;
use crate::contract::window::LedgerWindow;
use crate::error::{Error, Result};

/// The most bytes of all dictionaries of a stream, as sent: they stay in memory beside a message.
const DICTIONARY_BYTES: usize = 32 << 20;

/// One stream's schema and dictionaries.
pub(super) struct Decoder {
    table: Table,
    schema: Option<SchemaRef>,
    /// The columns of the contract; found when the first rows come.
    columns: Option<Columns>,
    dictionaries: HashMap<i64, ArrayRef>,
    /// The bytes of each dictionary, as sent.
    sizes: HashMap<i64, usize>,
}

impl Decoder {
    /// A decoder of a stream of rows of a table.
    pub(super) fn new(table: Table) -> Self {
        Decoder { table, schema: None, columns: None, dictionaries: HashMap::new(), sizes: HashMap::new() }
    }

    /// The rows of a message, with the columns of the contract in its order; `None` if it carries no rows. They borrow the
    /// message's memory.
    ///
    /// # Errors
    /// [`Error::Source`] for a message that is compressed or cannot be decoded, for columns that are missing or of a wrong
    /// type, and for dictionaries of more than 32 MiB.
    pub(super) fn decode(
        &mut self,
        message: FlightData,
        window: LedgerWindow,
    ) -> Result<Option<RecordBatch>> {
        // On contradictory lengths Arrow blames its caller and panics.
        catch_unwind(AssertUnwindSafe(|| self.read(message, window))).unwrap_or_else(|_| {
            Err(Error::source_transient(format!("sent a message of ledgers {window} that cannot be decoded")))
        })
    }

    fn read(&mut self, message: FlightData, window: LedgerWindow) -> Result<Option<RecordBatch>> {
        let broken = |error: FlightError| failure("the stream broke", window, error);
        let protocol = |problem: &str| Err(broken(FlightError::ProtocolError(problem.to_owned())));
        let undecodable = |part: &str, error: &dyn std::fmt::Display| {
            broken(FlightError::DecodeError(format!("Error decoding {part}: {error}")))
        };
        refuse_compressed(&message).map_err(broken)?;
        let header = root_as_message(&message.data_header).map_err(|e| undecodable("root message", &e))?;
        let version = header.version();
        let body = || Buffer::from(message.data_body.clone());
        match (header.header_type(), &self.schema) {
            (MessageHeader::NONE, _) => Ok(None),
            (MessageHeader::Schema, Some(_)) => protocol("saw multiple Schema messages in the stream"),
            (MessageHeader::Schema, None) => {
                let schema = Schema::try_from(&message).map_err(|e| undecodable("schema", &e))?;
                self.schema = Some(Arc::new(schema));
                Ok(None)
            }
            (_, None) => protocol("received rows or dictionaries before the schema"),
            (MessageHeader::DictionaryBatch, Some(schema)) => {
                let schema = Arc::clone(schema);
                let Some(dictionary) = header.header_as_dictionary_batch() else {
                    return protocol("a dictionary without a header");
                };
                self.keep(dictionary, &body(), &schema, version)?
                    .map_err(|e| undecodable("ipc dictionary", &e))?;
                Ok(None)
            }
            (MessageHeader::RecordBatch, Some(schema)) => {
                let columns = match &mut self.columns {
                    Some(columns) => columns,
                    missing => missing.insert(Columns::find(self.table, schema)?),
                };
                let Some(rows) = header.header_as_record_batch() else {
                    return protocol("rows without a header");
                };
                let (schema, dictionaries) = (Arc::clone(schema), &self.dictionaries);
                read_record_batch(&body(), rows, schema, dictionaries, Some(&columns.positions()), &version)
                    .and_then(|rows| columns.complete(rows))
                    .map_err(|e| undecodable("ipc RecordBatch", &e))
                    .map(Some)
            }
            (other, Some(_)) => protocol(&format!("unexpected message: {other:?}")),
        }
    }

    /// Keeps a dictionary, if a column of the contract has it. The outer error is that of its size.
    fn keep(
        &mut self,
        dictionary: DictionaryBatch<'_>,
        body: &Buffer,
        schema: &Schema,
        version: MetadataVersion,
    ) -> Result<std::result::Result<(), ArrowError>> {
        let id = dictionary.id();
        if !is_wanted(self.table, schema, id) {
            return Ok(Ok(()));
        }
        let before = if dictionary.isDelta() { self.sizes.get(&id).copied().unwrap_or(0) } else { 0 };
        let bytes = before + body.len();
        let others: usize =
            self.sizes.iter().filter(|(other, _)| **other != id).map(|(_, bytes)| bytes).sum();
        if others + bytes > DICTIONARY_BYTES {
            return Err(Error::source_permanent(format!(
                "sent dictionaries of more than {} MiB: send text without dictionaries, or fewer rows in a message",
                DICTIONARY_BYTES >> 20
            )));
        }
        self.sizes.insert(id, bytes);
        Ok(read_dictionary(body, dictionary, schema, &mut self.dictionaries, &version))
    }
}

/// Whether a column of the contract has this dictionary.
fn is_wanted(table: Table, schema: &Schema, id: i64) -> bool {
    schema.fields().iter().any(|field| {
        #[expect(deprecated, reason = "the id of a dictionary is part of the format")]
        let dictionary = field.dict_id();
        matches!(field.data_type(), DataType::Dictionary(..))
            && dictionary == Some(id)
            && Columns::is_one(table, field.name())
    })
}
