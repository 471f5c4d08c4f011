//! Listings sorted by name, as those of buckets are.

use std::sync::Arc;

use object_store::memory::InMemory;

use super::*;

fn name(start: u32, end: u32) -> String {
    let range = if start == end { start.to_string() } else { format!("{start}-{end}") };
    format!("{}--{range}", name::prefix(start))
}

async fn put(store: &InMemory, path: &str) {
    store.put(&Path::from(path), "x".into()).await.unwrap();
}

async fn open(store: InMemory) -> Result<Catalogue> {
    let (url, root) = ("s3://bucket/lake".to_owned(), Path::from("lake"));
    Catalogue::open(Location { url, store: Arc::new(store), root, directory: None }).await
}

async fn extent(catalogue: &Catalogue, known: Option<&Extent>) -> (u32, u32) {
    let ledgers = catalogue.extent(known).await.unwrap().ledgers;
    (ledgers.start(), ledgers.end())
}

/// A lake without partitions, with one object per ledger.
async fn flat(ledgers: impl Iterator<Item = u32>) -> InMemory {
    let store = InMemory::new();
    put(&store, "lake/.config.json").await;
    put(&store, "lake/zz/other").await;
    for ledger in ledgers {
        put(&store, &format!("lake/{}.xdr.zst", name(ledger, ledger))).await;
    }
    store
}

#[tokio::test]
async fn the_first_ledger_is_found_wherever_it_is() {
    for first in [2, 3, 1_000, 53_312_000, 4_000_000_000, u32::MAX - 5_000] {
        let catalogue = open(flat(first..=first + 3_000).await).await.unwrap();
        assert_eq!(extent(&catalogue, None).await, (first, first + 3_000));
        let known = catalogue.extent(None).await.unwrap();
        assert_eq!(extent(&catalogue, Some(&known)).await, (first, first + 3_000), "asked again");
    }
    // with large gaps
    let ledgers = [2, 70, 71, 9_000, 80_000_000, u32::MAX];
    let catalogue = open(flat(ledgers.into_iter()).await).await.unwrap();
    assert_eq!(extent(&catalogue, None).await, (2, u32::MAX));
}

#[tokio::test]
async fn a_known_first_ledger_is_replaced_when_it_is_gone_or_no_longer_the_first() {
    let known = open(flat(500..=700).await).await.unwrap().extent(None).await.unwrap();
    for (ledgers, expected) in [(450..=700, (450, 700)), (600..=700, (600, 700)), (900..=905, (900, 905))] {
        let catalogue = open(flat(ledgers).await).await.unwrap();
        assert_eq!(extent(&catalogue, Some(&known)).await, expected);
    }
}

#[tokio::test]
async fn objects_come_in_order_from_all_partitions_of_a_window() {
    let store = InMemory::new();
    for start in (96..=3_000).step_by(8) {
        let folder = name(start / 64 * 64, start / 64 * 64 + 63);
        put(&store, &format!("lake/{folder}/{}.xdr.zstd", name(start, start + 7))).await;
    }
    let catalogue = open(store).await.unwrap();
    let all = catalogue.extent(None).await.unwrap();
    assert_eq!((all.ledgers.start(), all.ledgers.end()), (96, 3_007));
    let mut next = 100;
    while next <= 3_000 {
        let window = span(next, 3_000);
        let objects = catalogue.next(&all, window).await.unwrap();
        assert!(objects[0].ledgers.start() <= next && objects.len() < 200);
        for object in objects {
            assert!(object.ledgers.start() <= next && next <= object.ledgers.end());
            next = object.ledgers.end() + 1;
        }
    }
    assert_eq!(next, 3_008);
}

#[tokio::test]
async fn a_ledger_that_is_there_twice_is_taken_once() {
    let store = flat(10..=20).await;
    put(&store, &format!("lake/{}.xdr.zstd", name(15, 15))).await;
    put(&store, &format!("lake/{}.xdr.gz", name(12, 17))).await;
    let catalogue = open(store).await.unwrap();
    let all = catalogue.extent(None).await.unwrap();
    let mut next = 10;
    for object in catalogue.next(&all, span(10, 20)).await.unwrap() {
        assert!((object.ledgers.start()..=object.ledgers.end()).contains(&next));
        next = object.ledgers.end() + 1;
    }
    assert_eq!(next, 21);
}

#[tokio::test]
async fn gaps_are_named_all_of_them_or_the_first() {
    let catalogue = open(flat((1_000..2_000).filter(|ledger| ledger % 10 != 5)).await).await.unwrap();
    let all = catalogue.extent(None).await.unwrap();
    let trouble = |start, end| {
        let (catalogue, all) = (&catalogue, &all);
        async move { catalogue.next(all, span(start, end)).await.unwrap_err().to_string() }
    };
    let few = trouble(1_004, 1_020).await;
    assert!(
        few.contains("ledgers 1005, 1015 are missing between the first, 1000, and the last, 1999"),
        "{few}"
    );
    let many = trouble(1_000, 1_999).await;
    assert!(many.contains("ledgers 1005, 1015, 1025, 1035, 1045 and more are missing"), "{many}");
}

#[tokio::test]
async fn another_root_is_refused() {
    let store = InMemory::new();
    put(&store, &format!("lake/pubnet/{}/{}.xdr.zst", name(0, 63_999), name(5, 5))).await;
    let refused = open(store).await.unwrap_err().to_string();
    assert!(refused.contains("there are no ledgers at s3://bucket/lake, but there is pubnet/"), "{refused}");
    assert!(
        open(InMemory::new())
            .await
            .unwrap_err()
            .to_string()
            .contains("no ledgers at s3://bucket/lake: the address")
    );
}
