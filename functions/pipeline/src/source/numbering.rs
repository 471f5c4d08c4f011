//! `change_index`: the rows of each ledger numbered in stream order, across batches and endpoints.

use std::collections::HashMap;

use arrow::array::Int32Array;

use crate::error::{Error, Result};

/// State of a ledger already seen.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// The number of its next row.
    next: i32,
    /// The endpoint of its latest row.
    endpoint: usize,
}

/// The numbering of one drain. It remembers every ledger of the window that had rows.
#[derive(Debug)]
pub(crate) struct Numbering {
    ordered: bool,
    seen: HashMap<u32, Seen>,
    last: Option<u32>,
}

/// A batch's numbers.
#[derive(Debug)]
pub(crate) struct Numbered {
    /// One per row, from 0 in each ledger.
    pub(crate) change_index: Int32Array,
    /// False when a ledger came after a later one, in this batch or before it.
    pub(crate) in_order: bool,
}

impl Numbering {
    /// A new numbering. Only an `ordered` source may continue a ledger in another endpoint.
    pub(crate) fn new(ordered: bool) -> Self {
        Numbering { ordered, seen: HashMap::new(), last: None }
    }

    /// Numbers the rows of the next batch, given their ledgers.
    ///
    /// # Errors
    /// [`Error::Source`] for a ledger that reappears in another endpoint of a source that is not ordered.
    pub(crate) fn number(&mut self, endpoint: usize, ledgers: &[u32]) -> Result<Numbered> {
        let mut change_index = Vec::with_capacity(ledgers.len());
        let mut in_order = true;
        for run in ledgers.chunk_by(|a, b| a == b) {
            let ledger = run[0];
            in_order &= self.last.is_none_or(|last| last <= ledger);
            self.last = Some(ledger);
            let seen = self.seen.entry(ledger).or_insert(Seen { next: 0, endpoint });
            if seen.endpoint != endpoint && !self.ordered {
                return Err(Error::source_transient(format!(
                    "sent ledger {ledger} in two endpoints without `ordered`: it may be duplicated"
                )));
            }
            let end = i32::try_from(run.len()).ok().and_then(|rows| seen.next.checked_add(rows));
            let end = end
                .ok_or_else(|| Error::source_permanent(format!("sent over 2^31 rows of ledger {ledger}")))?;
            change_index.extend(seen.next..end);
            *seen = Seen { next: end, endpoint };
        }
        Ok(Numbered { change_index: change_index.into(), in_order })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_row_is_numbered_by_the_rows_of_its_ledger_before_it(
            batches in prop::collection::vec((0..3usize, prop::collection::vec(0..6u32, 0..9)), 0..9),
        ) {
            let mut batches = batches;
            batches.sort_by_key(|(endpoint, _)| *endpoint);
            let mut numbering = Numbering::new(true);
            let mut before: Vec<u32> = Vec::new();
            for (endpoint, ledgers) in batches {
                let numbered = numbering.number(endpoint, &ledgers).unwrap();
                let mut expected = Vec::new();
                let in_order = before.last().into_iter().chain(&ledgers).is_sorted();
                for ledger in ledgers {
                    expected.push(before.iter().filter(|l| **l == ledger).count() as i32);
                    before.push(ledger);
                }
                prop_assert_eq!(numbered.change_index.values().to_vec(), expected);
                prop_assert_eq!(numbered.in_order, in_order);
            }
        }
    }

    #[test]
    fn rows_are_numbered_across_batches_and_endpoints() {
        let mut numbering = Numbering::new(true);
        let mut number = |endpoint, ledgers: &[u32]| {
            let n = numbering.number(endpoint, ledgers).unwrap();
            (n.change_index.values().to_vec(), n.in_order)
        };
        assert_eq!(number(1, &[5, 5, 7]), (vec![0, 1, 0], true));
        assert_eq!(number(1, &[7, 8]), (vec![1, 0], true));
        assert_eq!(number(2, &[8, 8]), (vec![1, 2], true));
        assert_eq!(number(2, &[5, 9]), (vec![2, 0], false));
    }

    #[test]
    fn a_ledger_in_two_endpoints_needs_an_ordered_source() {
        let mut numbering = Numbering::new(false);
        numbering.number(1, &[5, 6]).unwrap();
        let error = numbering.number(2, &[6]).unwrap_err().to_string();
        assert!(error.contains("sent ledger 6 in two endpoints"), "{error}");
        assert!(Numbering::new(false).number(2, &[7]).is_ok());
    }
}
