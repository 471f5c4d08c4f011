//! How fast a state is prepared and served, and in how much memory, by the program itself. ARCHIVE_ENTRIES=5000000 sets how many
//! entries it has.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use testkit::network::bulk::write_many;

use super::*;
use crate::lake::number;

const LEDGER: u32 = 1_023;

/// The peak of a process's memory, in MB.
fn peak(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1_000
}

#[tokio::test]
#[allow(clippy::print_stdout, reason = "its figures are what it is for")]
async fn every_entry_of_a_large_state_arrives_in_little_memory() {
    let entries = number("ARCHIVE_ENTRIES", 20_000);
    let folder = tempfile::tempdir().unwrap();
    let left = write_many(folder.path(), LEDGER, entries);
    let mut child = Command::new(env!("CARGO_BIN_EXE_flight-source"))
        .args(["--listen", "127.0.0.1:0", "--archive", folder.path().to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let mut client = connect(line.trim_end().strip_prefix("listening on ").expect(&line)).await;

    let begun = Instant::now();
    let path = FlightDescriptor::new_path(state_path(Table::Data, Some(LEDGER)));
    let info = client.get_flight_info(path).await.unwrap().into_inner();
    let (preparing, prepared) = (begun.elapsed().as_secs_f64(), peak(child.id()));
    assert_eq!(info.total_records, i64::from(left));
    let begun = Instant::now();
    let data = client.do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap().into_inner();
    let mut stream = FlightRecordBatchStream::new_from_flight_data(data.map_err(Into::into));
    let (mut rows, mut last) = (0, String::new());
    while let Some(batch) = stream.next().await {
        let batch = batch.unwrap();
        rows += batch.num_rows();
        let keys =
            arrow::array::AsArray::as_string::<i32>(batch.column_by_name("ledger_key_hash").unwrap()).clone();
        for key in keys.iter().flatten() {
            assert!(*key > *last, "strictly ascending");
            key.clone_into(&mut last);
        }
    }
    let serving = begun.elapsed().as_secs_f64();
    let served = peak(child.id());
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(rows, left as usize);
    println!(
        "{entries} entries: prepared in {preparing:.1} s, {:.0} entries/s, peak {prepared} MB; served in {serving:.1} s, \
         {:.0} rows/s, peak {served} MB",
        f64::from(entries) / preparing,
        rows as f64 / serving
    );
    assert!(served < 100 + u64::from(entries) / 10_000, "{served} MB");
}
