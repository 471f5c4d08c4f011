//! Corrupt staged objects: never loaded, drained again, and removed only if they belong to this database.

use testkit::Output;

use crate::support::{World, json};

/// What happens to an object that must not be loaded.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    /// It belongs to this database and contradicts its own footer: a good one replaced it.
    Removed,
    /// Its owner is unknown, or another database: it expires.
    LeftAlone,
}

/// A world with one sealed object, of ledgers 1 to 16.
async fn sealed() -> (World, String) {
    let world = World::new(1..=40).await;
    world.is_killed("replay -s 1 -e 16", "staged=return").await;
    let object = world.the_staged().await;
    (world, object)
}

/// Replays, and expects the window to come from the source again and the bad object to meet its fate.
async fn drained_again(world: &World, object: &str, fate: Fate, what: &str) -> Output {
    let drains = world.source.drains();
    let output = world.ingestctl("replay -s 1 -e 16 --json").run().await;
    let Output { code, stdout, stderr, .. } = &output;
    assert_eq!(*code, Some(0), "{what}: {stdout}{stderr}");
    assert_eq!(json(&output)["windows"][0]["source"], "flight", "{what}");
    assert_eq!(world.source.drains(), drains + 1, "{what}");
    assert_eq!(world.file(object).exists(), fate == Fate::LeftAlone, "{what}: {object}");
    if fate == Fate::LeftAlone {
        std::fs::remove_file(world.file(object)).unwrap();
    }
    world.expect_whole(&[1..=16]).await;
    output
}

/// `0a1b…` of `staging/network=pubnet/1-16-0a1b….parquet`.
fn batch_of(object: &str) -> &str {
    object.rsplit('/').next().unwrap().trim_end_matches(".parquet").splitn(3, '-').nth(2).unwrap()
}

/// The bytes with one text in place of another of the same length, which must be there.
fn with(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = bytes.to_vec();
    let places: Vec<usize> = (0..bytes.len().saturating_sub(from.len()))
        .filter(|&n| bytes[n..].starts_with(from.as_bytes()))
        .collect();
    assert!(!places.is_empty(), "no {from} in the object");
    for place in places {
        bytes[place..place + to.len()].copy_from_slice(to.as_bytes());
    }
    bytes
}

#[tokio::test]
async fn an_object_cut_short_is_drained_again() {
    for left in ["nothing", "four bytes", "half", "all but one byte"] {
        let (world, object) = sealed().await;
        let bytes = std::fs::read(world.file(&object)).unwrap();
        let length = match left {
            "nothing" => 0,
            "four bytes" => 4,
            "half" => bytes.len() / 2,
            _ => bytes.len() - 1,
        };
        std::fs::write(world.file(&object), &bytes[..length]).unwrap();
        drained_again(&world, &object, Fate::LeftAlone, left).await;
    }
}

#[tokio::test]
async fn a_footer_that_names_another_is_not_believed() {
    for what in ["network", "window", "batch", "database"] {
        let (world, object) = sealed().await;
        let bytes = std::fs::read(world.file(&object)).unwrap();
        let other = "00000000-0000-4000-8000-000000000000";
        let changed = match what {
            "network" => with(&bytes, r#""network":"pubnet""#, r#""network":"qubnet""#),
            "window" => with(&bytes, r#""end_ledger":16"#, r#""end_ledger":15"#),
            "batch" => with(&bytes, batch_of(&object), other),
            _ => {
                let id = world.database.value("select database_id from contract_data.settings").await;
                with(&bytes, &id, other)
            }
        };
        std::fs::write(world.file(&object), changed).unwrap();
        drained_again(&world, &object, Fate::LeftAlone, what).await;
    }
}

#[tokio::test]
async fn a_footer_whose_count_or_digest_is_not_that_of_the_rows_is_not_believed() {
    for what in ["digest", "count"] {
        let (world, object) = sealed().await;
        let bytes = std::fs::read(world.file(&object)).unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let value = |key: &str, length: usize| {
            let from = text.find(key).unwrap() + key.len();
            text[from..].chars().take(length).collect::<String>()
        };
        let changed = if what == "digest" {
            let digest = value(r#""rows_digest":""#, 64);
            with(&bytes, &digest, &digest.chars().rev().collect::<String>())
        } else {
            let count = value(r#""rows":"#, 2);
            let other: u32 = count.parse::<u32>().unwrap() - 1;
            with(&bytes, &format!(r#""rows":{count}"#), &format!(r#""rows":{other:02}"#))
        };
        std::fs::write(world.file(&object), changed).unwrap();
        drained_again(&world, &object, Fate::Removed, what).await;
    }
}

#[tokio::test]
async fn an_object_under_the_name_of_another_window_or_batch_is_drained_again() {
    for (what, from, to) in
        [("window", "/1-16-", "/1-15-"), ("start", "/1-16-", "/2-16-"), ("batch", "-4", "-5")]
    {
        let (world, object) = sealed().await;
        let renamed = object.replacen(from, to, 1);
        assert_ne!(renamed, object, "{what}");
        std::fs::rename(world.file(&object), world.file(&renamed)).unwrap();
        drained_again(&world, &renamed, Fate::LeftAlone, what).await;
    }
}

#[tokio::test]
async fn strange_files_in_staging_are_nobodys_business() {
    let world = World::new(1..=16).await;
    let folder = "staging/network=pubnet";
    let names =
        ["notes.txt", "1-16.parquet", "16-1-b.parquet", "1-16-00000000-0000-4000-8000-000000000000.parquet"];
    std::fs::create_dir_all(world.file(folder)).unwrap();
    for name in names {
        std::fs::write(world.file(&format!("{folder}/{name}")), "PAR1 but not really PAR1").unwrap();
    }

    world.succeeds("run").await;

    for name in names {
        std::fs::remove_file(world.file(&format!("{folder}/{name}"))).unwrap();
    }
    world.expect_whole(&[1..=16]).await;
}

#[tokio::test]
async fn a_byte_that_changed_anywhere_is_noticed() {
    let world = World::new(1..=60).await;
    for start in (1..=56).step_by(5) {
        world.is_killed(&format!("replay -s {start} -e {}", start + 4), "staged=return").await;
    }
    let objects = world.staged().await;
    assert_eq!(objects.len(), 12);
    for (n, object) in objects.iter().enumerate() {
        let mut bytes = std::fs::read(world.file(object)).unwrap();
        // behind the magic number, and before the footer, whose bytes are not all meaningful
        let footer = u32::from_le_bytes(bytes[bytes.len() - 8..bytes.len() - 4].try_into().unwrap()) as usize;
        let data = bytes.len() - 8 - footer;
        let place = 4 + n * (data - 5) / 11;
        bytes[place] ^= 1 << (n % 8);
        std::fs::write(world.file(object), bytes).unwrap();
    }

    world.succeeds("replay -s 1 -e 60 --window-ledgers 5").await;

    for object in objects.iter().filter(|object| world.file(object).exists()) {
        std::fs::remove_file(world.file(object)).unwrap(); // left alone, which expect_whole would complain about
    }
    world.expect_whole(&[1..=60]).await;
}

#[tokio::test]
async fn a_sealed_object_whose_ledgers_are_loaded_meanwhile_is_superseded_and_removed() {
    let (world, object) = sealed().await;
    world.succeeds("replay -s 5 -e 8").await;

    world.succeeds("replay -s 1 -e 16").await;

    assert!(!world.file(&object).exists());
    assert_eq!(world.windows().await, ["1-4", "5-8", "9-16"]);
    world.expect_whole(&[1..=16]).await;
}

#[tokio::test]
async fn a_sealed_object_is_loaded_whatever_the_window_length_says_now() {
    let (world, _) = sealed().await;

    let report = json(&world.succeeds("run --window-ledgers 5 --max-windows 1 --json").await);

    assert_eq!(
        (&report["windows"][0]["end_ledger"], &report["windows"][0]["source"]),
        (&16.into(), &"staging".into())
    );
    assert_eq!(world.source.drains(), 1);
    world.expect_whole(&[1..=16]).await;
}
