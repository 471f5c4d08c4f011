//! The rows of a ledger: one per change, in the order in which they were applied.

use stellar_xdr::{LedgerCloseMeta, LedgerEntryChange, ScVal};

use super::entries::*;
use super::maker::*;
use super::*;
use crate::record::{Record, records};

const AT: u32 = 1_000;

/// The rows of these ledgers, which start at [`AT`].
pub(super) async fn rows_of(ledgers: Vec<LedgerCloseMeta>) -> Vec<Record> {
    let lake = tempfile::tempdir().unwrap();
    let end = AT + ledgers.len() as u32 - 1;
    put(lake.path(), (AT, end), &batch(AT, ledgers), "xdr.zst");
    records(&serve_lake(&at(lake.path())).await.rows(AT, end).await)
}

async fn rows_of_changes(operations: Vec<Vec<LedgerEntryChange>>) -> Vec<Record> {
    let tx = Tx { meta: meta(3, vec![], operations, vec![]), ..Tx::default() };
    rows_of(vec![Maker::new(AT).ledger(Form::V1, vec![tx])]).await
}

/// The numbers in key and value of a row.
fn numbers(row: &Record) -> (u32, u32) {
    let number = |base64: &str| match scval(base64) {
        ScVal::U32(number) => number,
        other => panic!("{other:?} is no number"),
    };
    (number(&row.key_xdr), number(&row.val_xdr))
}

fn keys(rows: &[Record]) -> Vec<u32> {
    rows.iter().map(|row| numbers(row).0).collect()
}

#[tokio::test]
async fn every_version_of_a_ledger_and_of_a_transaction_gives_its_changes() {
    let mut maker = Maker::new(AT);
    let (mut ledgers, mut expected) = (Vec::new(), Vec::new());
    for version in [Form::V0, Form::V1, Form::V2] {
        for meta_version in 0..=4 {
            let ledger = maker.next;
            let change = |key: u32| vec![state(9, &numbered(key, 0)), updated(ledger, &numbered(key, key))];
            let meta = meta(meta_version, change(1), vec![change(2), change(3)], change(4));
            ledgers.push(maker.ledger(version, vec![Tx { meta, ..Tx::default() }, Tx::default()]));
            let keys: &[u32] = match meta_version {
                0 => &[2, 3],
                1 => &[1, 2, 3],
                _ => &[1, 2, 3, 4],
            };
            expected.extend(keys.iter().map(|key| (ledger, *key)));
        }
    }
    let rows = rows_of(ledgers).await;
    let seen: Vec<_> = rows.iter().map(|row| (row.ledger_sequence, numbers(row).0)).collect();
    assert_eq!(seen, expected);
    for row in rows {
        assert_eq!(row.closed_at, close_time(row.ledger_sequence) as i64 * 1_000_000);
        assert_eq!((row.last_modified_ledger, row.deleted), (row.ledger_sequence, false));
        assert_eq!(row.contract_id, stellar_strkey::Contract([1; 32]).to_string().as_str());
        assert_eq!(row.contract_durability, "ContractDataDurabilityPersistent");
    }
}

#[tokio::test]
async fn fees_come_before_all_transactions_and_refunds_and_upgrades_after_them() {
    let one = |key: u32| vec![created(AT, &numbered(key, 0))];
    let tx = |fees, key, refunds| Tx {
        fees: one(fees),
        meta: meta(4, one(key), vec![one(key + 1)], one(key + 2)),
        refunds: one(refunds),
        ..Tx::default()
    };
    let ledger = Maker::new(AT).upgraded(Form::V2, vec![tx(1, 10, 91), tx(2, 20, 92)], one(99));
    assert_eq!(keys(&rows_of(vec![ledger]).await), [1, 2, 10, 11, 12, 20, 21, 22, 91, 92, 99]);
}

/// stellar-core writes each list in an order of its own; what it says of one entry stays in order.
#[tokio::test]
async fn lists_in_another_order_give_the_same_rows() {
    let pairs = |key: u32| {
        let (old, new) = (numbered(key, 0), numbered(key, 1));
        vec![
            vec![state(900, &old), updated(AT, &new)],
            vec![
                LedgerEntryChange::State(ttl(900, &old, 2_000)),
                LedgerEntryChange::Updated(ttl(AT, &old, 3_000 + key)),
            ],
        ]
    };
    let all: Vec<Vec<LedgerEntryChange>> = (0..6).flat_map(pairs).collect();
    let sorted = rows_of_changes(vec![all.concat(), vec![created(AT, &numbered(3, 9))]]).await;
    assert_eq!(keys(&sorted), [0, 1, 2, 3, 4, 5, 3], "by key, and one operation after the other");
    for turns in 1..all.len() {
        let mut turned = all.clone();
        turned.rotate_left(turns);
        turned.swap(0, turns);
        let rows = rows_of_changes(vec![turned.concat(), vec![created(AT, &numbered(3, 9))]]).await;
        assert_eq!(rows, sorted);
    }
}

#[tokio::test]
async fn every_change_of_an_entry_is_a_row_even_if_nothing_differs() {
    let (old, new) = (numbered(1, 1), numbered(1, 2));
    let update = || vec![state(AT, &new), updated(AT, &new)];
    let rows = rows_of_changes(vec![
        vec![state(900, &old), updated(AT, &new)],
        update(),
        update(),
        vec![state(AT, &new), removed(&new)],
        vec![created(AT, &old)],
    ])
    .await;
    let seen: Vec<_> =
        rows.iter().map(|row| (numbers(row).1, row.deleted, row.last_modified_ledger)).collect();
    assert_eq!(seen, [(2, false, AT), (2, false, AT), (2, false, AT), (2, true, AT), (1, false, AT)]);
    assert_eq!(rows[1], rows[2]);
}

#[tokio::test]
async fn a_removal_has_the_last_value_and_when_it_was_written() {
    let (entry, other) = (numbered(1, 7), numbered(2, 8));
    let rows = rows_of_changes(vec![
        vec![state(900, &entry), state(901, &other), removed(&other), removed(&entry)],
        // restored and removed by one operation
        vec![restored(AT, &numbered(3, 9)), removed(&numbered(3, 9))],
    ])
    .await;
    let seen: Vec<_> = rows.iter().map(|row| (numbers(row), row.deleted, row.last_modified_ledger)).collect();
    assert_eq!(seen, [((1, 7), true, 900), ((2, 8), true, 901), ((3, 9), false, AT), ((3, 9), true, AT)]);
}

#[tokio::test]
async fn a_restored_entry_keeps_when_it_was_last_modified() {
    let entry = numbered(1, 7);
    let rows = rows_of_changes(vec![vec![
        restored(500, &entry),
        LedgerEntryChange::Restored(ttl(AT, &entry, 5_000)),
    ]])
    .await;
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].last_modified_ledger, rows[0].deleted), (500, false));
    assert_eq!(rows[0].expiration_ledger_seq, Some(5_000));
}

#[tokio::test]
async fn the_expiration_is_the_one_after_the_operation() {
    let entries: Vec<_> = (0..5).map(|key| numbered(key, 0)).collect();
    let extended = |key: usize, from, to| {
        vec![
            LedgerEntryChange::State(ttl(900, &entries[key], from)),
            LedgerEntryChange::Updated(ttl(AT, &entries[key], to)),
        ]
    };
    let rows = rows_of_changes(vec![
        // 0: the TTL follows its entry in the list; it may also precede it
        vec![created(AT, &entries[0]), LedgerEntryChange::Created(ttl(AT, &entries[0], 2_000))],
        // 1: shown only by a later operation, with its previous value
        vec![state(900, &entries[1]), updated(AT, &entries[1])],
        extended(1, 3_000, 4_000),
        // 2: never shown
        vec![state(900, &entries[2]), updated(AT, &entries[2])],
        // 3: extended before, and again after
        extended(3, 5_000, 6_000),
        vec![state(900, &entries[3]), updated(AT, &entries[3])],
        extended(3, 6_000, 7_000),
        // 4: removed with its TTL
        vec![
            state(900, &entries[4]),
            removed(&entries[4]),
            LedgerEntryChange::State(ttl(900, &entries[4], 8_000)),
            LedgerEntryChange::Removed(ttl(900, &entries[4], 0).to_key()),
        ],
    ])
    .await;
    let seen: Vec<_> = rows.iter().map(|row| (numbers(row).0, row.expiration_ledger_seq)).collect();
    assert_eq!(seen, [(0, Some(2_000)), (1, Some(3_000)), (2, None), (3, Some(6_000)), (4, None)]);
}

#[tokio::test]
async fn nonces_are_left_out() {
    let nonce = data(ScVal::LedgerKeyNonce(stellar_xdr::ScNonceKey { nonce: 7 }), ScVal::Void);
    let rows = rows_of_changes(vec![vec![
        created(AT, &nonce),
        created(AT, &numbered(1, 1)),
        state(900, &nonce),
        removed(&nonce),
    ]])
    .await;
    assert_eq!(keys(&rows), [1]);
}

#[tokio::test]
async fn the_operations_of_a_failed_transaction_have_no_rows() {
    let one = |key: u32| vec![created(AT, &numbered(key, 0))];
    let failed = Tx { failed: true, meta: meta(2, one(1), vec![one(2)], one(3)), ..Tx::default() };
    let ledger = Maker::new(AT).ledger(Form::V1, vec![failed, tx(one(4))]);
    assert_eq!(keys(&rows_of(vec![ledger]).await), [1, 3, 4]);
}
