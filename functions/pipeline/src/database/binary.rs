//! Reads the rows of a COPY TO STDOUT in binary format, one by one.

use super::client::{Client, CopyOut};
use crate::contract::tuples::{HEADER, TRAILER};
use crate::error::{DatabaseContext, Error, Result};

/// The rows of a COPY in progress.
pub(crate) struct BinaryRows<'a> {
    rows: CopyOut<'a>,
    action: &'static str,
    /// Bytes of the server's messages: one row each as a rule, but nothing says so.
    unread: Vec<u8>,
    at: usize,
    /// Bytes of the header that are still to come.
    header: usize,
}

impl<'a> BinaryRows<'a> {
    /// Begins the COPY; `action` is for its errors.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub(crate) async fn begin(client: &'a Client, sql: &str, action: &'static str) -> Result<Self> {
        let rows = client.copy_out(sql).await.database(action)?;
        Ok(BinaryRows { rows, action, unread: Vec::new(), at: 0, header: HEADER.len() })
    }

    /// The fields of the next row, as the server sends them: a length and its bytes for each; `None` at the end.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub(crate) async fn next(&mut self) -> Result<Option<&[u8]>> {
        let tuple = loop {
            if let Some(end) = tuple_end(&self.unread, self.at) {
                break self.at + 2..end;
            }
            self.unread.drain(..self.at);
            self.at = 0;
            match self.rows.next().await.database(self.action)? {
                Some(bytes) => {
                    let skipped = self.header.min(bytes.len());
                    self.header -= skipped;
                    self.unread.extend_from_slice(&bytes[skipped..]);
                }
                None if self.unread == TRAILER => return Ok(None),
                None => {
                    let problem = format!("a COPY ends with {} bytes after its last row", self.unread.len());
                    return Err(Error::Unexpected(problem));
                }
            }
        };
        self.at = tuple.end;
        Ok(Some(&self.unread[tuple]))
    }
}

/// Where the tuple that begins at `at` ends; `None` if it is not complete, or the end of all.
fn tuple_end(bytes: &[u8], at: usize) -> Option<usize> {
    let (fields, _) = bytes.get(at..)?.split_first_chunk()?;
    let fields = u16::try_from(i16::from_be_bytes(*fields)).ok()?;
    (0..fields).try_fold(at + 2, |at, _| {
        let (length, _) = bytes.get(at..)?.split_first_chunk()?;
        let end = at + 4 + usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0); // -1 for null
        (end <= bytes.len()).then_some(end)
    })
}

/// The next of the fields of a row; `None` for null, and behind the last one.
pub(crate) fn next_field<'a>(fields: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = fields.split_first_chunk()?;
    let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
        *fields = rest;
        return None;
    };
    let (field, rest) = rest.split_at_checked(length)?;
    *fields = rest;
    Some(field)
}
