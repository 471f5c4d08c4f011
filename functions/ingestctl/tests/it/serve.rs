//! `serve` from the outside: the answer of each endpoint, the metrics, the limits of the HTTP server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use testkit::port::closed_port;
use testkit::{Chain, Database, Source};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::http::Serving;
use crate::oracle;
use crate::support::{Store, World, until};

#[tokio::test]
async fn it_loads_what_there_is_and_then_what_comes() {
    let world = World::of(Chain::of_rows(oracle::ledgers(1..=40)).range(1..=20), 1..=40).await;
    let serving = Serving::start(&world, &[]).await;
    serving.until_windows(2).await;
    let longer = Chain::of_rows(world.rows.clone()).range(1..=40);
    world.source.answer_with(move |request| longer.answer(request));
    until("the new ledgers are loaded", async || {
        world.windows().await == ["1-16", "17-20", "21-36", "37-40"]
    })
    .await;
    serving.ends_within(Duration::from_secs(3)).await;
    world.expect_whole(&[1..=40]).await;
}

#[tokio::test]
async fn every_endpoint_answers_in_its_own_form() {
    let world = World::new(1..=20).await;
    let serving = Serving::start(&world, &[]).await;
    serving.until_status("/ready", 200).await;
    serving.until_windows(2).await;

    let health = serving.get("/health").await;
    assert_eq!(health.status, 200, "{}", health.body);
    let said = health.json();
    assert_eq!((&said["healthy"], &said["database"]["reachable"]), (&true.into(), &true.into()));
    assert_eq!(said["source"], serde_json::json!({"reachable": true, "error": null}));
    assert_eq!(serving.get("/ready").await.json()["ready"], true);
    let stats = serving.get("/stats").await.json();
    assert_eq!(stats["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!((&stats["state"], &stats["status"]["last_ledger"]), (&"well".into(), &20.into()));
    assert_eq!(stats["last_hour"]["bins"].as_array().unwrap().len(), 60);
    assert_eq!(stats["last_hour"]["bins"][59]["rows"], world.rows.len());
    assert_eq!(stats["last_day"]["bins"].as_array().unwrap().len(), 96);
    let bins = stats["coverage"]["bins"].as_array().unwrap();
    assert!(bins.iter().all(|bin| bin["completed"] == 1) && bins.len() == 20, "{bins:?}");
    let page = serving.get("/").await;
    assert!(
        page.body.starts_with("<!DOCTYPE html>")
            && page.body.contains("All is well: loaded up to ledger 20.")
    );

    for path in ["/", "/metrics", "/health", "/ready", "/stats", "/nothing"] {
        let got = serving.get(path).await;
        assert_eq!(got.status, if path == "/nothing" { 404 } else { 200 }, "{path}");
        for header in [
            "content-security-policy: default-src 'none'",
            "x-content-type-options: nosniff",
            "cache-control: no-store",
            "x-frame-options: deny",
        ] {
            assert!(got.head.contains(header), "{path}: {}", got.head);
        }
        if path == "/nothing" {
            continue;
        }
        let asked = |method| {
            format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        };
        let head = serving.send(&asked("HEAD")).await;
        assert_eq!((head.status, head.body.as_str()), (200, ""), "{path}");
        for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
            let refused = serving.send(&asked(method)).await;
            assert_eq!(
                (refused.status, refused.head.contains("allow: get,head")),
                (405, true),
                "{method} {path}"
            );
        }
    }
    serving.ends_by("INT", Duration::from_secs(3)).await;
}

#[tokio::test]
async fn the_metrics_have_their_names_types_and_values() {
    let world = World::new(1..=20).await;
    let serving = Serving::start(&world, &[]).await;
    // Counters exist before anything happens; otherwise no rate would see the first step.
    assert!(serving.metric("postgresql_consumer_errors_total").await.is_some());
    serving.until_windows(2).await;
    let text = serving.get("/metrics").await.body;

    let rows = world.rows.len() as f64;
    for (name, kind, value) in [
        ("postgresql_consumer_records_received_total", "counter", Some(rows)),
        ("postgresql_consumer_records_inserted_total", "counter", Some(rows)),
        ("postgresql_consumer_batches_processed_total", "counter", Some(2.0)),
        ("postgresql_consumer_errors_total", "counter", Some(0.0)),
        ("postgresql_consumer_batch_insert_duration_seconds", "histogram", None),
        ("postgresql_consumer_batch_size", "histogram", None),
        ("contract_data_loader_load_duration_seconds", "histogram", None),
        ("contract_data_loader_drain_duration_seconds", "histogram", None),
        ("contract_data_loader_tip_ledger", "gauge", Some(20.0)),
        ("contract_data_loader_last_ledger", "gauge", Some(20.0)),
        ("contract_data_loader_first_ledger", "gauge", Some(1.0)),
        ("contract_data_loader_lag_ledgers", "gauge", Some(0.0)),
        ("contract_data_loader_gaps", "gauge", Some(0.0)),
        ("contract_data_loader_failed_windows", "gauge", Some(0.0)),
        ("contract_data_loader_database_reachable", "gauge", Some(1.0)),
        ("contract_data_loader_source_reachable", "gauge", Some(1.0)),
        ("contract_data_loader_windows_under_way", "gauge", Some(0.0)),
        ("contract_data_loader_unfolded_windows", "gauge", Some(0.0)),
        ("contract_data_loader_unarchived_windows", "gauge", Some(0.0)),
    ] {
        assert!(text.contains(&format!("\n# TYPE {name} {kind}\n")), "{name} {kind}: {text}");
        if let Some(value) = value {
            // Gauges are those of the last look at the database.
            until(&format!("{name} is {value}"), async || serving.metric(name).await == Some(value)).await;
        }
        if kind == "histogram" {
            let last = serving.metric(&format!("{name}_bucket{{le=\"+Inf\"}}")).await;
            assert_eq!(
                (last, serving.metric(&format!("{name}_count")).await),
                (Some(2.0), Some(2.0)),
                "{name}"
            );
        }
    }
    assert_eq!(serving.metric("postgresql_consumer_batch_size_sum").await, Some(rows));
    assert!(serving.metric("contract_data_loader_table_bytes{table=\"entries\"}").await.unwrap() > 0.0);
    let build = format!("contract_data_loader_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    assert_eq!(serving.metric(&build).await, Some(1.0));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    let success = serving.metric("contract_data_loader_last_success_timestamp_seconds").await.unwrap();
    assert!((now - success).abs() < 30.0, "{success} at {now}");
    assert!(serving.metric("process_resident_memory_bytes").await.unwrap() > 1e6);
    for name in ["process_cpu_seconds_total", "process_start_time_seconds"] {
        assert!(serving.metric(name).await.is_some(), "{name}");
    }
    // Every line is a comment, nothing, or a name with a number.
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
        assert!(value.parse::<f64>().is_ok() && name.starts_with(|c: char| c.is_ascii_lowercase()), "{line}");
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_exit_code_2() {
    let world = World::new(1..=16).await;
    let taken = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let told = world.fails("serve", &[("METRICS_PORT", &port)], 2).await;
    assert!(told.contains("METRICS_PORT: cannot listen on port") && told.contains(&port), "{told}");
    let told = world.fails(&format!("serve --metrics-port {port}"), &[], 2).await;
    assert!(told.contains(&port), "{told}");
    let told = world.fails("serve", &[("METRICS_PORT", "70000")], 2).await;
    assert!(told.contains("METRICS_PORT: \"70000\" is not a port"), "{told}");
    assert_eq!(world.windows().await, Vec::<String>::new());
}

#[tokio::test]
async fn what_only_an_operator_can_mend_ends_it_at_the_start() {
    let source = Source::of_rows(oracle::ledgers(1..=9));
    let world = World::without_schema(Database::create().await, source, vec![], Store::folder());
    let told = world.fails("serve", &[("METRICS_PORT", "0")], 5).await;
    assert!(told.contains("has no schema yet: run `ingestctl migrate`"), "{told}");
    world.succeeds("migrate").await;
    let told = world.fails("serve", &[("METRICS_PORT", "0"), ("NETWORK", "testnet")], 5).await;
    assert!(told.contains("NETWORK is testnet"), "{told}");
    let wrong = world.database.url().replacen("postgres:", "postgres:not", 1);
    let told = world.fails("serve", &[("METRICS_PORT", "0"), ("DATABASE_URL", &wrong)], 5).await;
    assert!(told.contains("password authentication failed"), "{told}");
    // A transient error is no reason to end.
    let closed = closed_port();
    let nowhere = format!("http://{}", closed.address());
    let variables = [("FLIGHT_ENDPOINT", nowhere.as_str()), ("MAX_RETRIES", "0")];
    let serving = Serving::start(&world, &variables).await;
    let failed =
        async || serving.get("/stats").await.json()["loading"]["failures_in_a_row"].as_i64() > Some(1);
    until("two runs have failed", failed).await;
    serving.ends_within(Duration::from_secs(3)).await;
}

#[tokio::test]
async fn a_client_is_not_waited_for() {
    let world = World::new(1..=16).await;
    let serving = Serving::start(&world, &[]).await;
    // A client that never finishes its request is disconnected, and blocks no other client meanwhile.
    let mut slow = TcpStream::connect(serving.address()).await.unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\nhost: ").await.unwrap();
    // Nor does an idle client.
    let mut idle = TcpStream::connect(serving.address()).await.unwrap();
    let begun = Instant::now();
    serving.until_status("/health", 200).await;
    for (name, tcp) in [("slow", &mut slow), ("idle", &mut idle)] {
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(9), tcp.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "the {name} one is still there after {:?}", begun.elapsed());
    }
    let long = format!("GET / HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n\r\n", "x".repeat(40_000));
    assert!([0, 431].contains(&serving.send(&long).await.status));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(100));
    assert!([0, 431].contains(&serving.send(&many).await.status));
    let asked = serving.send("nonsense\r\n\r\n").await;
    assert_eq!(asked.status, 400);
}

/// A thousand clients, of which half send nothing and half a little at a time; each comes back as soon as it is cut off.
#[tokio::test]
async fn it_answers_beside_a_thousand_slow_clients() {
    let world = World::new(1..=16).await;
    let serving = Serving::start(&world, &[]).await;
    serving.until_status("/health", 200).await;
    let connected = Arc::new(AtomicUsize::new(0));
    let mut clients = JoinSet::new();
    for number in 0..1_000 {
        let (address, connected) = (serving.address().to_owned(), Arc::clone(&connected));
        clients.spawn(async move {
            loop {
                let Ok(mut tcp) = TcpStream::connect(&address).await else { continue };
                connected.fetch_add(1, Ordering::Relaxed);
                let mut byte = [0];
                let slow = async {
                    while number % 2 == 0 && tcp.write_all(b"G").await.is_ok() {
                        tokio::time::sleep(Duration::from_millis(500)).await;
                    }
                };
                slow.await;
                let _ = tcp.read(&mut byte).await;
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        });
    }
    until("all of them are there", async || connected.load(Ordering::Relaxed) >= 1_000).await;
    for _ in 0..20 {
        for path in ["/health", "/metrics"] {
            assert_eq!(serving.get(path).await.status, 200, "{path}");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    eprintln!("{} connections of slow clients", connected.load(Ordering::Relaxed));
    clients.shutdown().await;
    serving.ends_within(Duration::from_secs(10)).await;
}

#[tokio::test]
async fn of_two_one_loads_and_the_other_stands_by() {
    let world = World::new(1..=20).await;
    let mut holder = world.database.connect().await;
    let held = holder.transaction().await.unwrap();
    // As an active run does.
    held.execute("select pg_advisory_xact_lock(hashtextextended('contract_data.schedule', 0))", &[])
        .await
        .unwrap();
    let second = Serving::start(&world, &[]).await;
    let stands_by = async || second.get("/stats").await.json()["loading"]["phase"] == "standing_by";
    until("the second stands by", stands_by).await;
    let is_well =
        async || (second.get("/health").await.status, second.get("/ready").await.status) == (200, 200);
    until("the second is healthy and ready", is_well).await;
    second.until_windows(0).await;
    assert!(second.get("/").await.body.contains("Another process is loading"));
    held.rollback().await.unwrap();
    second.until_windows(2).await;
    let third = Serving::start(&world, &[]).await;
    third.until_windows(2).await;
    second.ends_within(Duration::from_secs(3)).await;
    third.ends_within(Duration::from_secs(3)).await;
    world.expect_whole(&[1..=20]).await;
}
