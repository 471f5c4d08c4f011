//! Streams with one flipped bit: refused if the bit contradicts something, and never a crash.

use arrow_flight::FlightData;
use arrow_flight::utils::batches_to_flight_data;
use testkit::{Asset, Row};
use uuid::Uuid;

use super::*;
use crate::config::Config;
use crate::contract::tuples::{RowsDigest, Tuples, encode};

/// The outcome of a drain.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// Rows with this digest.
    Rows(String),
    /// An error, or rows that have to be sorted first: nothing that is loaded directly.
    Refused,
}

/// A recorded stream: the schema, and 24 rows of every kind in three messages.
fn recorded() -> (Vec<FlightData>, u64) {
    let usdc = Asset::credit("USDC", 1);
    let rows: Vec<Row> = (10..16)
        .flat_map(|ledger| {
            [
                Row::at(ledger).instance(&usdc),
                Row::at(ledger).balance(ledger, i128::from(ledger) << 40),
                Row { expiration_ledger_seq: None, ..Row::at(ledger).wasm_instance(ledger).deleted() },
                Row { val_xdr: None, ..Row::at(ledger).key(ledger).temporary() },
            ]
        })
        .collect();
    let batches: Vec<RecordBatch> = rows.chunks(8).map(testkit::rows::batch).collect();
    (batches_to_flight_data(&testkit::rows::schema(), &batches).unwrap(), rows.len() as u64)
}

/// Drains these messages as a declared window of ledgers 10 to 15.
async fn drained(messages: Vec<FlightData>, declared: u64) -> Outcome {
    let flight = Flight::new(&Config::from_lookup(|_| None).unwrap().flight).unwrap();
    let messages = futures::stream::iter(messages).map(Ok).boxed();
    let offered = OfferedWindow {
        table: Table::Data,
        sides: Vec::new(),
        latest_hash: None,
        window: LedgerWindow::new(10, 15).unwrap(),
        evidence: Evidence::Declared,
        total_records: Some(declared),
        ordered: true,
        endpoints: std::collections::VecDeque::new(),
        latest_closed_at: None,
    };
    let mut drain = drain(&flight, offered);
    drain.stream = Some(OpenStream::of(Table::Data, messages));
    let (mut digest, mut tuples) = (RowsDigest::new(Table::Data), Tuples::default());
    loop {
        match drain.next().await {
            Ok(Drained::Batch(batch)) => match encode(Table::Data, &batch, Uuid::nil(), &mut tuples) {
                Ok(()) => digest.update(&tuples),
                Err(_) => return Outcome::Refused,
            },
            Ok(Drained::Complete(..)) => return Outcome::Rows(digest.finish()),
            Ok(Drained::OutOfOrder(_)) | Err(_) => return Outcome::Refused,
        }
    }
}

/// The messages with one bit flipped, in the header of one of them or in its body.
fn flipped(messages: &[FlightData], header: bool, place: u64) -> Vec<FlightData> {
    let mut messages = messages.to_vec();
    let part = |message: &FlightData| {
        if header { message.data_header.clone() } else { message.data_body.clone() }
    };
    let bits: u64 = messages.iter().map(|message| part(message).len() as u64 * 8).sum();
    let mut bit = place % bits;
    for message in &mut messages {
        let mut bytes = part(message).to_vec();
        if bit >= bytes.len() as u64 * 8 {
            bit -= bytes.len() as u64 * 8;
            continue;
        }
        bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
        *(if header { &mut message.data_header } else { &mut message.data_body }) = bytes.into();
        break;
    }
    messages
}

#[tokio::test]
async fn a_flipped_bit_ends_no_process_and_never_changes_how_many_rows_there_are() {
    let (messages, rows) = recorded();
    let Outcome::Rows(honest) = drained(messages.clone(), rows).await else {
        panic!("the recording is good")
    };
    let mut place = 1_u64;
    for header in [true, false] {
        let [mut refused, mut same, mut others] = [0; 3];
        for _ in 0..3_000 {
            place = place.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            match drained(flipped(&messages, header, place >> 16), rows).await {
                Outcome::Refused => refused += 1,
                Outcome::Rows(digest) if digest == honest => same += 1,
                Outcome::Rows(_) => others += 1,
            }
        }
        // As documented: Arrow IPC has no checksum, so a flipped bit of a value is another value. In a header it is an
        // offset or a length, which the decoder detects with few exceptions.
        let most = if header { 60 } else { 2_000 };
        assert!(others <= most, "header {header}: {refused} refused, {same} the same, {others} others");
        assert!(refused >= 400 && same >= 200, "header {header}: {refused} refused, {same} the same");
    }
}
