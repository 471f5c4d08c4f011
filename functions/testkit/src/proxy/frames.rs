//! The frames of HTTP/2 that a client sends.

/// What every client of HTTP/2 sends first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADER_BYTES: usize = 9;
const PING: u8 = 6;
const ACK: u8 = 1;

/// One direction of a connection, read in pieces of any length.
#[derive(Default)]
pub(super) struct Frames {
    /// The bytes that are not read yet: the beginning of the preface or of a header.
    begun: Vec<u8>,
    /// Bytes of the current frame that are still to come.
    body: usize,
    greeted: bool,
}

impl Frames {
    /// Reads the next bytes, and counts the pings that begin in them. Another protocol has none.
    pub(super) fn pings(&mut self, bytes: &[u8]) -> u64 {
        let mut pings = 0;
        for byte in bytes {
            if self.body > 0 {
                self.body -= 1;
                continue;
            }
            self.begun.push(*byte);
            if !self.greeted {
                self.greeted = self.begun == PREFACE;
                if self.greeted || !PREFACE.starts_with(&self.begun) {
                    self.begun.clear();
                }
            } else if self.begun.len() == HEADER_BYTES {
                self.body = self.begun[..3].iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
                pings += u64::from(self.begun[3] == PING && self.begun[4] & ACK == 0);
                self.begun.clear();
            }
        }
        pings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pings_are_counted_in_pieces_of_any_length() {
        let ping = |flags| [&[0, 0, 8, PING, flags, 0, 0, 0, 0], [PING; 8].as_slice()].concat();
        let data = [&[0, 1, 0, 0, 0, 0, 0, 0, 1], [PING; 256].as_slice()].concat();
        let sent = [PREFACE, &ping(0), &data, &ping(ACK), &ping(0)].concat();
        for piece in [1, 7, sent.len()] {
            let mut frames = Frames::default();
            assert_eq!(
                sent.chunks(piece).map(|bytes| frames.pings(bytes)).sum::<u64>(),
                2,
                "{piece} at a time"
            );
        }
        assert_eq!(Frames::default().pings(&sent[1..]), 0, "not HTTP/2");
    }
}
