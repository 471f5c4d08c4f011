//! An object of the lake: unpacked and read ledger by ledger, held against its name.

use std::io::{self, BufReader, Chain, Cursor, Read};

use super::ledger::{LEDGER_BYTES, Ledger, Xdr, named, read};
use super::name::Packing;
use crate::dataset::Window;
use crate::trouble::Trouble;

/// Windows that zstd may look back in, at most: 128 MiB, which is what it takes by itself.
const ZSTD_WINDOW_LOG: u32 = 27;

/// An object that is being read.
pub(crate) struct Unpacked<'a> {
    key: &'a str,
    passphrase: &'a str,
    xdr: Xdr<Chain<Cursor<Vec<u8>>, Bytes<'a>>>,
    ledgers: Window,
    next: u64,
}

type Bytes<'a> = BufReader<Box<dyn Read + Send + 'a>>;

impl<'a> Unpacked<'a> {
    /// Begins to read the object `key`, whose name says that it holds `ledgers`.
    ///
    /// # Errors
    /// [`Trouble::Corrupt`] when it does not begin as such an object.
    pub(crate) fn open(
        key: &'a str,
        packed: &'a [u8],
        (ledgers, packing): (Window, Packing),
        passphrase: &'a str,
    ) -> Result<Self, Trouble> {
        let corrupt =
            |reason: String| Trouble::Corrupt(format!("object {key}, ledger {}: {reason}", named(ledgers)));
        let cannot = |error: io::Error| corrupt(format!("it cannot be unpacked: {error}"));
        if ledgers.start != ledgers.end {
            // Its checksum is at its end: no ledger is taken from an object that is damaged further on.
            let at_most = ledgers.ledgers().saturating_mul(LEDGER_BYTES as u64);
            let mut bytes = unpack(packed, packing).map_err(cannot)?.take(at_most);
            io::copy(&mut bytes, &mut io::sink()).map_err(cannot)?;
        }
        let bytes = unpack(packed, packing).map_err(cannot)?;
        let mut bytes = BufReader::with_capacity(64 << 10, bytes);
        let mut head = [0; 12];
        bytes.read_exact(&mut head).map_err(|error| corrupt(format!("it cannot be unpacked: {error}")))?;
        let word =
            |i: usize| u32::from_be_bytes([head[4 * i], head[4 * i + 1], head[4 * i + 2], head[4 * i + 3]]);
        // The genesis ledger is in no lake: the first object may begin with the one after it.
        let first = if ledgers.start < 2 && ledgers.end >= 2 { 2 } else { ledgers.start };
        let (start, end, count) = (word(0), word(1), u64::from(word(2)));
        let is_batch = end == ledgers.end && (start == ledgers.start || start == first);
        let (head, begin) = if is_batch && count == u64::from(end - start) + 1 {
            (Vec::new(), start)
        } else if start <= 2 && ledgers.start == ledgers.end {
            (head.to_vec(), first)
        } else {
            return Err(corrupt(format!(
                "its name says {}, its batch says {count} ledgers, from {start} to {end}",
                named(ledgers)
            )));
        };
        let xdr = Xdr::new(Cursor::new(head).chain(bytes));
        Ok(Self { key, passphrase, xdr, ledgers, next: u64::from(begin) })
    }

    fn corrupt(&self, ledger: u64, reason: &str) -> Trouble {
        Trouble::Corrupt(format!("object {}, ledger {ledger}: {reason}", self.key))
    }

    fn read(&mut self) -> Result<Option<Ledger>, Trouble> {
        if self.next > u64::from(self.ledgers.end) {
            return Ok(None);
        }
        let ledger = read(&mut self.xdr, self.next as u32, self.passphrase)
            .map_err(|reason| self.corrupt(self.next, &reason))?;
        self.next += 1;
        if self.next > u64::from(self.ledgers.end) {
            self.end().map_err(|reason| self.corrupt(u64::from(ledger.sequence), &reason))?;
        }
        Ok(Some(ledger))
    }

    /// The last ledger is one only when nothing comes after it, and the checksum is right.
    fn end(&mut self) -> Result<(), String> {
        match self.xdr.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err("it goes on after its end".to_owned()),
            Err(error) => Err(format!("it cannot be unpacked: {error}")),
        }
    }
}

fn unpack<'a>(packed: &'a [u8], packing: Packing) -> io::Result<Box<dyn Read + Send + 'a>> {
    Ok(match packing {
        Packing::Plain => Box::new(packed),
        Packing::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
        Packing::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(packed)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Box::new(decoder)
        }
    })
}

impl Iterator for Unpacked<'_> {
    type Item = Result<Ledger, Trouble>;

    /// The next ledger; after an error it makes no sense to ask for more.
    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}
