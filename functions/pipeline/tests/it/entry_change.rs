//! What a change did to its entry: kept where the source says it, and objects of the releases before that did not.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::KeyValue;
use pipeline::{ReplayKind, ReplayOptions};
use testkit::{Chain, Row};

use crate::support::{FORGET_WINDOWS, World};

const COLUMN: &str = "ledger_entry_change";

/// Created, updated, removed, created, removed, restored; and a row that does not say what it did.
fn rows() -> Vec<Row> {
    let row = |ledger| Row::at(ledger).value(ledger.into());
    vec![
        row(1).change(0),
        row(2).change(1),
        row(3).deleted().change(2),
        row(4).change(0),
        row(5).key(2).change(4),
        row(6).key(3),
    ]
}

async fn known(world: &World, table: &str) -> Vec<String> {
    let known = format!("select ledger_sequence, {COLUMN} from contract_data.{table} order by 1");
    world.database.rows(&known).await
}

/// Writes an object as releases before the column did: without it, and with the footer of their format.
fn as_before(path: &Path) {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let pairs = builder.metadata().file_metadata().key_value_metadata().unwrap().clone();
    let keep = builder.schema().fields().iter().enumerate().filter(|(_, field)| field.name() != COLUMN);
    let keep: Vec<usize> = keep.map(|(index, _)| index).collect();
    let schema = builder.schema().project(&keep).unwrap().with_metadata(HashMap::new());
    let batches: Vec<_> = builder.build().unwrap().collect::<Result<_, _>>().unwrap();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), Arc::new(schema), None).unwrap();
    for batch in batches {
        writer.write(&batch.project(&keep).unwrap()).unwrap();
    }
    for pair in pairs.into_iter().filter(|pair| pair.key == "contract_data_loader") {
        let footer = pair.value.unwrap();
        assert!(footer.contains(r#""format_version":2"#), "{footer}");
        let footer = footer.replace(r#""format_version":2"#, r#""format_version":1"#);
        writer.append_key_value_metadata(KeyValue::new(pair.key, footer));
    }
    writer.close().unwrap();
}

#[tokio::test]
async fn it_is_kept_in_the_history_the_archive_and_the_state() {
    let source = Chain::of_rows(rows()).range(1..=6).serve();
    let world = World::around(&source).await;
    world.replay(1, 6).await.unwrap();
    let history = ["1 | 0", "2 | 1", "3 | 2", "4 | 0", "5 | 4", "6 | -"];
    assert_eq!(known(&world, "entries").await, history);
    assert_eq!(known(&world, "key_states").await, history[3..]);
    world.verified().await;

    world
        .database
        .execute(&format!("truncate contract_data.entries, contract_data.key_states; {FORGET_WINDOWS}"))
        .await;
    let kind = ReplayKind::FromArchive;
    world.replay_with(1, 6, ReplayOptions { kind, ..ReplayOptions::default() }).await.unwrap();
    assert_eq!(known(&world, "entries").await, history);
    world.verified().await;

    world
        .database
        .execute("update contract_data.entries set ledger_entry_change = 1 where ledger_sequence = 4")
        .await;
    let findings = world.verify().await.findings;
    assert!(findings.iter().any(|f| f.problem.contains("digest")), "{findings:#?}");
}

#[tokio::test]
async fn objects_and_rows_of_the_releases_before_stay_what_they_are() {
    let unsaid: Vec<Row> = rows().into_iter().map(|row| Row { ledger_entry_change: None, ..row }).collect();
    let mut source = Chain::of_rows(unsaid)
        .range(1..=6)
        .reshape(|batch| {
            let last = batch.num_columns() - 1;
            assert_eq!(batch.schema().field(last).name(), COLUMN);
            batch.project(&(0..last).collect::<Vec<_>>()).unwrap()
        })
        .serve();
    let world = World::around(&source).await;
    world.set("WINDOW_LEDGERS", "3");
    world.replay(1, 6).await.unwrap();
    world.verified().await;
    source.stop();

    let objects = world.objects("archive");
    assert_eq!(objects.len(), 2);
    objects.iter().for_each(|object| as_before(&world.folder.path().join(object)));
    let entries = world.entries().await;
    world
        .database
        .execute(&format!("truncate contract_data.entries, contract_data.key_states; {FORGET_WINDOWS}"))
        .await;
    let kind = ReplayKind::FromArchive;
    let from_archive = || ReplayOptions { kind, ..ReplayOptions::default() };
    // A whole object, and a part of one that becomes an object of the current format.
    world.replay_with(1, 4, from_archive()).await.unwrap();
    world.replay_with(5, 6, from_archive()).await.unwrap();
    assert_eq!(world.entries().await, entries);
    assert_eq!(known(&world, "entries").await[4..], ["5 | -", "6 | -"]);
    // The object that was cut is superseded.
    assert_eq!(pipeline::maintain(&world.config(), false).await.unwrap().moved_aside.len(), 1);
    world.verified().await;
}

#[tokio::test]
async fn a_number_that_is_none_or_contradicts_the_row_is_bad_data() {
    for (row, problem) in [
        (Row::at(1).change(3), "3 is none of 0 (created), 1 (updated), 2 (removed), 4 (restored)"),
        (Row::at(1).change(u32::MAX), "4294967295 is too large"),
        (Row::at(1).change(2), "is 2, but deleted is false"),
        (Row::at(1).deleted().change(1), "is 1, but deleted is true"),
    ] {
        let source = Chain::of_rows(vec![row]).range(1..=1).serve();
        let world = World::around(&source).await;
        let window = world.replay(1, 1).await.unwrap().windows.remove(0);
        let error = window.error.unwrap();
        assert!(window.bad_data && error.contains(COLUMN) && error.contains(problem), "{error}");
    }
}

#[tokio::test]
async fn a_token_that_is_no_asset_has_holder_and_amount() {
    let holder = testkit::rows::issuer(7);
    let of = |ledger, amount| {
        let row = Row::at(ledger).contract(5).balance_of(&holder, amount);
        Row { balance_holder: None, balance: None, ..row }
    };
    let rows = vec![of(1, 7), of(2, i128::MAX), Row::at(3).balance(1, 5), Row::at(4)];
    let source = Chain::of_rows(rows).range(1..=4).serve();
    let world = World::around(&source).await;
    world.replay(1, 4).await.unwrap();
    let tokens = "select ledger_sequence, token_holder, token_amount, balance_holder is not null
                  from contract_data.entries order by 1";
    let found = world.database.rows(tokens).await;
    assert_eq!(
        found,
        [
            format!("1 | {holder} | 7 | f"),
            format!("2 | {holder} | {} | f", i128::MAX),
            "3 | - | - | t".to_owned(),
            "4 | - | - | f".to_owned()
        ]
    );
    let state = "select token_amount from contract_data.current_states where token_holder is not null";
    assert_eq!(world.database.value(state).await, i128::MAX.to_string());
    world.verified().await;
}
