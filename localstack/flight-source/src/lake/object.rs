//! An object of a lake: decompressed, read ledger by ledger, and checked against its name.

use std::io::{self, BufReader, Chain, Cursor, Read};

use pipeline::LedgerWindow;

use super::ledger::{LEDGER_BYTES, Ledger, Xdr, named, read};
use super::name::{Compression, without_genesis};
use crate::error::Result;
use crate::fault::Fault;

/// Maximum window of zstd: 128 MiB, its own default.
const ZSTD_WINDOW_LOG: u32 = 27;

/// The ledgers of an object, as they are read.
pub(crate) struct ObjectReader<'a> {
    key: &'a str,
    passphrase: &'a str,
    xdr: Xdr<Chain<Cursor<Vec<u8>>, Bytes<'a>>>,
    ledgers: LedgerWindow,
    next: u64,
}

type Bytes<'a> = BufReader<Box<dyn Read + Send + 'a>>;

impl<'a> ObjectReader<'a> {
    /// Opens the object `key`, which has these ledgers and this compression according to its name.
    ///
    /// # Errors
    /// [`Error::Corrupt`](crate::error::Error::Corrupt) when its beginning does not match its name.
    pub(crate) fn open(
        key: &'a str,
        compressed: &'a [u8],
        (ledgers, compression): (LedgerWindow, Compression),
        passphrase: &'a str,
    ) -> Result<Self> {
        let broken = |error: io::Error| decompression(error).at(key, named(ledgers));
        if ledgers.start() != ledgers.end() {
            // The checksum is at the end: check it first, so that no ledger comes from an object that is damaged later on.
            let at_most = ledgers.ledgers().saturating_mul(LEDGER_BYTES as u64);
            let mut bytes = decompress(compressed, compression).map_err(broken)?.take(at_most);
            io::copy(&mut bytes, &mut io::sink()).map_err(broken)?;
        }
        let bytes = decompress(compressed, compression).map_err(broken)?;
        let mut bytes = BufReader::with_capacity(64 << 10, bytes);
        let mut head = [0; 12];
        bytes.read_exact(&mut head).map_err(broken)?;
        let word =
            |i: usize| u32::from_be_bytes([head[4 * i], head[4 * i + 1], head[4 * i + 2], head[4 * i + 3]]);
        let first = without_genesis(ledgers).start();
        let (start, end, count) = (word(0), word(1), u64::from(word(2)));
        let is_batch = end == ledgers.end() && (start == ledgers.start() || start == first);
        let (head, begin) = if is_batch && count == u64::from(end - start) + 1 {
            (Vec::new(), start)
        } else if start <= 2 && ledgers.start() == ledgers.end() {
            (head.to_vec(), first)
        } else {
            let ledgers = named(ledgers);
            let problem =
                format!("its name says {ledgers}, but its batch says {count} ledgers, {start} to {end}");
            return Err(Fault::from(problem).at(key, ledgers));
        };
        let xdr = Xdr::new(Cursor::new(head).chain(bytes));
        Ok(Self { key, passphrase, xdr, ledgers, next: u64::from(begin) })
    }

    fn read(&mut self) -> Result<Option<Ledger>> {
        if self.next > u64::from(self.ledgers.end()) {
            return Ok(None);
        }
        let ledger = read(&mut self.xdr, self.next as u32, self.passphrase)
            .map_err(|fault| fault.at(self.key, self.next))?;
        self.next += 1;
        if self.next > u64::from(self.ledgers.end()) {
            self.end().map_err(|fault| fault.at(self.key, ledger.sequence))?;
        }
        Ok(Some(ledger))
    }

    /// Checks that no data follows the last ledger, and the checksum.
    fn end(&mut self) -> Result<(), Fault> {
        match self.xdr.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err("there is data after its last ledger".into()),
            Err(error) => Err(decompression(error)),
        }
    }
}

fn decompression(error: io::Error) -> Fault {
    Fault::caused("it cannot be decompressed", error)
}

fn decompress<'a>(compressed: &'a [u8], compression: Compression) -> io::Result<Box<dyn Read + Send + 'a>> {
    Ok(match compression {
        Compression::Plain => Box::new(compressed),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(compressed)),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(compressed)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Box::new(decoder)
        }
    })
}

impl Iterator for ObjectReader<'_> {
    type Item = Result<Ledger>;

    /// The next ledger. The iterator must not be used after an error.
    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}
