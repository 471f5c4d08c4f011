//! The program itself: its output, and how it ends.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use super::*;

fn start(arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_flight-source"))
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn it_prints_its_address_and_ends_on_a_signal() {
    for signal in ["-INT", "-TERM"] {
        let mut child = start(&["--listen", "127.0.0.1:0", "synthetic", "--ledgers", "10"]);
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("listening on ").expect(&line);
        let mut client = connect(address).await;
        let path = FlightDescriptor::new_path(vec!["contract".to_owned(), "data".to_owned()]);
        let info = client.get_flight_info(path).await.unwrap().into_inner();
        let latest = DateTime::parse_from_rfc3339(&declared(&info).latest_closed_at).unwrap();
        let age = chrono::Utc::now().signed_duration_since(latest);
        assert!((0..60).contains(&age.num_seconds()), "the tip closed {age} ago, not now");

        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        assert!(child.wait().unwrap().success(), "{signal}");
        let mut rest = String::new();
        out.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "", "one line on standard output");
    }
}

/// A restart is another chain without a clock: its close times are.
#[tokio::test]
async fn a_restart_goes_on_with_the_chain_of_the_clock() {
    let folder = tempfile::tempdir().unwrap();
    let clock = folder.path().join("clock");
    let growing = ["--listen", "127.0.0.1:0", "synthetic", "--ledgers", "50", "--tip-every", "20ms"];
    let arguments = [&["--clock", clock.to_str().unwrap()], &growing[..]].concat();
    let mut seen = Vec::new();
    for _ in 0..2 {
        let mut child = start(&arguments);
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let mut client = connect(line.trim_end().strip_prefix("listening on ").expect(&line)).await;
        let mut asked = async |path: &[&str]| {
            let path = path.iter().map(|part| (*part).to_owned()).collect();
            declared(&client.get_flight_info(FlightDescriptor::new_path(path)).await.unwrap().into_inner())
        };
        let first = asked(&["contract", "data", "50000000", "50000049"]).await;
        let at_first = asked(&["contract", "data"]).await.end;
        let mut tip = at_first;
        // far enough for a tip that begins again to be seen
        while tip < 50_000_150 {
            tip = asked(&["contract", "data"]).await.end;
        }
        seen.push((first.latest_closed_at, first.rows, at_first, tip));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let [(closed_at, rows, _, tip), (closed_at_again, rows_again, tip_again, _)] = &seen[..] else {
        panic!("{seen:?}")
    };
    assert_eq!((closed_at, rows), (closed_at_again, rows_again));
    assert!(tip_again >= tip, "the tip went back: {seen:?}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing beside the clock");
}

/// The credentials and the endpoint of a bucket come from the environment.
#[tokio::test]
async fn it_serves_a_bucket_with_the_credentials_of_its_environment() {
    let bucket = testkit::Bucket::create().await;
    let ledger = crate::lake::one_ledger(77);
    bucket.put("lake/FFFFFFB2--77.xdr.zst", &ledger).await;
    let url = bucket.url("lake");
    let mut child = Command::new(env!("CARGO_BIN_EXE_flight-source"))
        .args(["--ledgers", &url, "--listen", "127.0.0.1:0"])
        .envs(bucket.env())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let mut client = connect(line.trim_end().strip_prefix("listening on ").expect(&line)).await;
    let path = ["contract", "data", "77", "77"].map(str::to_owned).to_vec();
    let info = client.get_flight_info(FlightDescriptor::new_path(path)).await.unwrap().into_inner();
    assert_eq!(info.total_records, 1);
    child.kill().unwrap();
    let log = child.wait_with_output().unwrap().stderr;
    let log = String::from_utf8(log).unwrap();
    assert!(log.contains(&url) && !log.contains("AWS_SECRET"), "{log}");
}

#[test]
fn it_fails_with_a_clear_message() {
    let cases: [(&[&str], i32, &str); 19] = [
        (&["--network-passphrase", "x", "synthetic"], 1, "these options need --ledgers"),
        (&["--anonymous", "parquet", "x.parquet"], 1, "these options need --ledgers"),
        (&[], 2, "--ledgers <URL>"),
        (&["--ledgers", "nowhere/at/all"], 1, "cannot open the lake nowhere/at/all: No such file"),
        (&["--ledgers", "gs://bucket"], 1, "gs:// is not supported"),
        (&["--ledgers", ".", "parquet", "x.parquet"], 1, "--ledgers and --archive are themselves sources"),
        (&["--archive", ".", "synthetic"], 1, "--ledgers and --archive are themselves sources"),
        (&["--archive", "nowhere/at/all"], 1, "cannot open the archive nowhere/at/all: No such file"),
        (&["--archive", "ftp://host"], 1, "ftp:// is not supported: use a directory, file:///path, s3://"),
        (&["--archive", "."], 1, "there is no .well-known/stellar-history.json at ."),
        (&["--archive-temp", ".", "synthetic"], 1, "these options need --ledgers or --archive"),
        (&["--archive", ".", "--ledgers-cache", "1"], 2, "--ledgers <URL>"),
        (&["--anonymous", "--listen", "127.0.0.1:0"], 2, "--ledgers <URL>"),
        (&["parquet", "nowhere.parquet"], 1, "cannot read nowhere.parquet: No such file"),
        (&["synthetic", "--tip", "1"], 1, "the tip 1 is not one of the ledgers 50000000-50039999"),
        (&["synthetic", "--ledgers", "0"], 2, "--ledgers"),
        (&["synthetic", "--tip-closed-at", "yesterday"], 2, "2026-01-01T00:00:00Z"),
        (&["--clock", "Cargo.toml", "synthetic"], 1, "Cargo.toml: is not the time at which a chain started"),
        (&["--clock", "nowhere/clock", "synthetic"], 1, "cannot read nowhere/clock: No such file"),
    ];
    for (arguments, code, sentence) in cases {
        let output = start(arguments).wait_with_output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
        assert!(error.contains(sentence), "{arguments:?}: {error}");
    }
}
