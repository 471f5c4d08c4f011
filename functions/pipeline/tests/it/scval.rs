//! The function `scval`: what it answers is what `stellar-xdr` prints, for every type of value, and nothing else is answered.

use std::collections::BTreeSet;

use arrow::array::AsArray;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use stellar_xdr::{
    ContractExecutable, Hash, Limits, ReadXdr, ScContractInstance, ScError, ScErrorCode, ScMap, ScMapEntry,
    ScString, ScVal, ScValType, ScVec, StringM, VecM, WriteXdr,
};
use tokio_postgres::Client;

use crate::real_data::rows;
use crate::real_lake::served;
use crate::support::{World, real_data};
use generator::Dice;

mod generator;

/// The network's bound of nesting.
const DEPTH: u32 = 500;
/// Values per statement.
const BATCH: usize = 5_000;

/// What the crate prints of bytes that are exactly one value in its only spelling; the crate reads every bool but 1 as false.
fn printed(bytes: &[u8]) -> Option<String> {
    let value = ScVal::from_xdr(bytes, Limits { depth: DEPTH, len: bytes.len() }).ok()?;
    let same = value.to_xdr(Limits::none()).unwrap() == bytes;
    same.then(|| serde_json::to_string(&value).unwrap())
}

/// A session with the function `tried`: null where `scval` fails as it should, with another error where it fails otherwise.
async fn session(world: &World) -> Client {
    let session = world.database.connect().await;
    let tried = "create function pg_temp.tried(xdr text) returns jsonb language plpgsql as $$
        begin
          return contract_data.scval(xdr);
        exception when invalid_parameter_value then
          return null;
        end $$";
    session.batch_execute(tried).await.unwrap();
    session
}

/// Checks that the database reads these bytes as the crate does: the same value, or both none.
async fn check(session: &Client, samples: &[Vec<u8>]) {
    for samples in samples.chunks(BATCH) {
        let xdr: Vec<String> = samples.iter().map(|bytes| STANDARD.encode(bytes)).collect();
        let expected: Vec<Option<String>> = samples.iter().map(|bytes| printed(bytes)).collect();
        let differing = "select xdr, pg_temp.tried(xdr)::text, expected from unnest($1::text[], $2::text[]) as t (xdr, expected)
                         where pg_temp.tried(xdr) is distinct from expected::jsonb limit 1";
        if let Some(row) = session.query_opt(differing, &[&xdr, &expected]).await.unwrap() {
            let [xdr, found, expected]: [Option<String>; 3] = std::array::from_fn(|column| row.get(column));
            panic!("{xdr:?}\nis read as {found:?}\ninstead of {expected:?}");
        }
    }
}

/// The bytes of a value.
fn bytes(value: &ScVal) -> Vec<u8> {
    value.to_xdr(Limits::none()).unwrap()
}

fn vector(items: Vec<ScVal>) -> ScVal {
    ScVal::Vec(Some(ScVec(VecM::try_from(items).unwrap())))
}

fn map(key: ScVal, val: ScVal) -> ScMap {
    ScMap(VecM::try_from(vec![ScMapEntry { key, val }]).unwrap())
}

fn instance(storage: ScMap) -> ScVal {
    let executable = ContractExecutable::Wasm(Hash([7; 32]));
    ScVal::ContractInstance(ScContractInstance { executable, storage: Some(storage) })
}

#[tokio::test]
async fn every_value_reads_as_the_crate_prints_it() {
    let world = World::at("http://127.0.0.1:1").await;
    let session = session(&world).await;
    let mut dice = Dice(1);
    let mut samples: Vec<ScVal> = (0..100_000).map(|n| dice.value(n % 6)).collect();
    let types: BTreeSet<ScValType> = samples.iter().map(ScVal::discriminant).collect();
    assert_eq!(types.len(), ScValType::VARIANTS.len(), "{types:?}");
    for code in ScErrorCode::VARIANTS {
        let errors = [ScError::WasmVm(code), ScError::Auth(code)];
        samples.extend(errors.map(ScVal::Error));
    }
    let all_bytes: Vec<u8> = (0..=255).collect();
    samples.push(ScVal::String(ScString(StringM::try_from(all_bytes).unwrap())));
    let long = StringM::try_from("A \"quoted\" line\n".repeat(4_000)).unwrap();
    samples.push(ScVal::String(ScString(long)));
    samples.push(vector((0..10_000).map(ScVal::U32).collect()));
    let samples: Vec<Vec<u8>> = samples.iter().map(bytes).collect();
    assert!(samples.iter().all(|bytes| printed(bytes).is_some()));
    check(&session, &samples).await;
}

#[tokio::test]
async fn of_damaged_bytes_only_those_that_are_a_value_are_read() {
    let world = World::at("http://127.0.0.1:1").await;
    let session = session(&world).await;
    let mut dice = Dice(2);
    let mut values = 0;
    let samples: Vec<Vec<u8>> = (0..100_000)
        .map(|n| {
            let mut bytes = bytes(&dice.value(n % 5));
            for _ in 0..=dice.below(3) {
                let at = dice.below(bytes.len());
                match dice.below(6) {
                    0 => bytes[at] ^= 1 << dice.below(8),
                    1 => bytes[at] = dice.byte(),
                    // the last byte of a number: a type, a flag or a length
                    2 | 3 => bytes[at | 3] = dice.byte() % 24,
                    4 => bytes.truncate(at.max(1)),
                    _ => {
                        let words = dice.below(3);
                        bytes.splice(at..at, (0..4 * words).map(|_| 0));
                    }
                }
                // one that is cut in the middle of a word has no last byte there
                bytes.resize(bytes.len().next_multiple_of(4), 0);
            }
            bytes.truncate(bytes.len() - usize::from(dice.below(20) == 0));
            values += usize::from(printed(&bytes).is_some());
            bytes
        })
        .collect();
    assert!((10_000..90_000).contains(&values), "{values} of the samples are values");
    check(&session, &samples).await;
}

#[tokio::test]
async fn nesting_ends_where_the_network_ends_it() {
    let world = World::at("http://127.0.0.1:1").await;
    let session = session(&world).await;
    let nest: [fn(ScVal) -> ScVal; 4] = [
        |inner| vector(vec![inner]),
        |inner| ScVal::Map(Some(map(ScVal::Void, inner))),
        |inner| instance(map(inner, ScVal::Void)),
        |inner| vector(vec![instance(map(ScVal::Void, inner)), ScVal::Void]),
    ];
    let mut samples = Vec::new();
    // a map or an instance inside makes up for what the containers leave of the bound
    let innermost = [ScVal::Void, nest[1](ScVal::Void), nest[2](ScVal::Void)];
    for (nest, innermost) in nest.iter().flat_map(|nest| innermost.iter().map(move |value| (nest, value))) {
        let (mut value, mut deepest) = (innermost.clone(), 0);
        for nesting in 0..130 {
            samples.push(bytes(&value));
            deepest = if printed(samples.last().unwrap()).is_some() { nesting } else { deepest };
            value = nest(value);
        }
        assert!((40..129).contains(&deepest), "{deepest} containers");
    }
    check(&session, &samples).await;
    let endless = [0, 0, 0, 16, 0, 0, 0, 1, 0, 0, 0, 1].repeat(100_000);
    check(&session, &[endless]).await;
}

#[tokio::test]
async fn what_is_wrong_is_named_with_its_byte() {
    let world = World::at("http://127.0.0.1:1").await;
    let session = world.database.connect().await;
    let words = |words: &[u32]| {
        STANDARD.encode(words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>())
    };
    let nested = words(&[16, 1, 1].repeat(200));
    let wrong: &[(&str, &str)] = &[
        ("AAAAAQ*=", "invalid symbol \"*\" found while decoding base64 sequence"),
        ("AAAAAQ", "invalid base64 end sequence"),
        ("AAAAAQ==AAAA", "not an SCVal: no base64, = is in front of its end"),
        ("AAAA", "not an SCVal: 3 bytes are not a multiple of 4"),
        ("", "not an SCVal: it ends at byte 0, where a value should be"),
        (&words(&[16, 1, 1]), "not an SCVal: the 1 values whose number is at byte 8 are more than there are"),
        (&words(&[16, 1, 2, 3, 1]), "not an SCVal: it ends at byte 20, where a value should be"),
        (&words(&[16, 2]), "not an SCVal: the flag at byte 4 is 2, not 0 or 1"),
        (
            &words(&[17, 1, u32::MAX, 1]),
            "not an SCVal: the 8589934590 values whose number is at byte 8 are more than there are",
        ),
        (&words(&[10, 0, 0]), "not an SCVal: it ends at byte 12, inside of a value"),
        (&words(&[1, 1]), "not an SCVal: it ends at byte 4, but there are 8 bytes"),
        (&words(&[0, 2]), "not an SCVal: the bool at byte 4 is unknown"),
        (&words(&[2, 1, 10]), "not an SCVal: the error at byte 4 is unknown"),
        (&words(&[2, 10, 0]), "not an SCVal: the error at byte 4 is unknown"),
        (&words(&[16, 1, 1, 23]), "not an SCVal: the type 23 at byte 12 is unknown"),
        (&words(&[u32::MAX]), "not an SCVal: the type -1 at byte 0 is unknown"),
        (&words(&[i32::MAX as u32]), "not an SCVal: the type 2147483647 at byte 0 is unknown"),
        (&words(&[13, 5, 0, 1]), "not an SCVal: the padding at byte 13 is not 0"),
        (&words(&[13, 5, 0]), "not an SCVal: the length 5 at byte 4 is too large"),
        (&words(&[14, u32::MAX]), "not an SCVal: the length 4294967295 at byte 4 is too large"),
        (
            &words(&[[15, 33].as_slice(), &[0; 9]].concat()),
            "not an SCVal: the length 33 at byte 4 is too large",
        ),
        (
            &words(&[[18, 6].as_slice(), &[0; 8]].concat()),
            "not an SCVal: the address at byte 4 is of an unknown type",
        ),
        (
            &words(&[[18, 0, 1].as_slice(), &[0; 8]].concat()),
            "not an SCVal: the address at byte 4 is of an unknown type",
        ),
        (&words(&[19, 3, 0]), "not an SCVal: the executable at byte 4 is of an unknown type"),
        (&nested, "not an SCVal: the value at byte 1500 is nested too deep"),
    ];
    for (xdr, reason) in wrong {
        let told = session.query_one("select contract_data.scval($1)::text", &[xdr]).await.unwrap_err();
        let told = told.as_db_error().unwrap();
        assert_eq!((told.message(), told.code().code()), (*reason, "22023"), "{xdr}");
    }
    let none: Option<String> =
        session.query_one("select contract_data.scval(null)::text", &[]).await.unwrap().get(0);
    assert_eq!(none, None);
}

#[tokio::test]
async fn the_document_shows_what_is_answered() {
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/data.md");
    let document = std::fs::read_to_string(document).unwrap();
    let section = document.split_once("\n## Keys and values\n").unwrap().1;
    let block = |language: &str| {
        let after = section.split_once(&format!("```{language}\n")).unwrap().1;
        after.split_once("```").unwrap().0.trim().trim_end_matches(';')
    };
    let world = World::at("http://127.0.0.1:1").await;
    assert_eq!(world.database.value(block("sql")).await, block("text"));
}

#[tokio::test]
async fn every_value_of_real_ledgers_reads_as_the_crate_prints_it() {
    let Some(batch) = rows() else { return };
    let mut samples: Vec<Vec<u8>> = Vec::new();
    for column in ["key_xdr", "val_xdr"] {
        let texts = batch.column_by_name(column).unwrap().as_string::<i32>();
        samples.extend(texts.iter().flatten().map(|text| STANDARD.decode(text).unwrap()));
    }
    let world = served(&real_data("lake").unwrap()).await;
    world.replay(63_092_982, 63_092_987).await.unwrap();
    let stored = "select key_xdr from contract_data.entries union select val_xdr from contract_data.entries";
    samples.extend(
        world
            .database
            .rows(stored)
            .await
            .iter()
            .filter(|x| *x != "-")
            .map(|text| STANDARD.decode(text).unwrap()),
    );
    assert!(samples.len() > 300, "{} samples", samples.len());
    assert!(samples.iter().all(|bytes| printed(bytes).is_some()));
    check(&session(&world).await, &samples).await;
}
