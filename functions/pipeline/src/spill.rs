//! Rows on local disk, in a file that disappears with the process: written in order, and read back in that order.

use std::fs::File;
use std::io::{BufReader, BufWriter, Seek};

use arrow::array::RecordBatch;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;

use crate::contract::tables::Table;
use crate::error::{Result, StagingContext};

/// The file's name in messages.
const NAME: &str = "the temporary file of rows";

/// A file that is being written.
pub(crate) struct Spill(StreamWriter<BufWriter<File>>);

/// A file that is being read.
pub(crate) struct Spilled(StreamReader<BufReader<File>>);

impl Spill {
    /// An empty file for rows of a table.
    ///
    /// # Errors
    /// [`Error::Staging`](crate::Error::Staging), like all functions of this module, when local disk fails.
    pub(crate) fn create(table: Table) -> Result<Self> {
        let file = BufWriter::new(tempfile::tempfile().staging("create", NAME)?);
        Ok(Spill(StreamWriter::try_new(file, &table.staged_schema()).staging("write", NAME)?))
    }

    /// Adds rows of the staged columns. They are read back in the same batch.
    pub(crate) fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        self.0.write(rows).staging("write", NAME)
    }

    /// Ends the file, and opens it for reading.
    pub(crate) fn finish(mut self) -> Result<Spilled> {
        self.0.finish().staging("write", NAME)?;
        let file = self.0.into_inner().staging("write", NAME)?;
        let mut file =
            file.into_inner().map_err(std::io::IntoInnerError::into_error).staging("write", NAME)?;
        file.rewind().staging("read", NAME)?;
        Ok(Spilled(StreamReader::try_new(BufReader::new(file), None).staging("read", NAME)?))
    }
}

impl Spilled {
    /// The next batch; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<RecordBatch>> {
        self.0.next().transpose().staging("read", NAME)
    }
}
