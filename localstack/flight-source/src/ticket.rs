//! Tickets: a table and a window with a checksum over dataset, table and window, so that tickets of other servers and
//! forgeries are refused.

use pipeline::LedgerWindow;
use pipeline::contract::tables::Table;
use sha2::{Digest, Sha256};

/// The table, the start and the end.
const REQUEST: usize = 9;
const LEN: usize = REQUEST + 8;

/// The ticket for a window of a table of a dataset.
pub(crate) fn write(dataset: &str, table: Table, window: LedgerWindow) -> [u8; LEN] {
    let mut ticket = [0; LEN];
    let (request, seal) = ticket.split_at_mut(REQUEST);
    request[0] = table as u8;
    request[1..5].copy_from_slice(&window.start().to_be_bytes());
    request[5..].copy_from_slice(&window.end().to_be_bytes());
    let digest = Sha256::new().chain_update(dataset).chain_update([0]).chain_update(request).finalize();
    seal.copy_from_slice(&digest[..LEN - REQUEST]);
    ticket
}

/// The table and the window of a ticket; `None` if it was not written for this dataset.
pub(crate) fn read(dataset: &str, ticket: &[u8]) -> Option<(Table, LedgerWindow)> {
    let ticket: &[u8; LEN] = ticket.try_into().ok()?;
    let table = *Table::ALL.get(usize::from(ticket[0]))?;
    let start = u32::from_be_bytes(ticket[1..5].try_into().ok()?);
    let end = u32::from_be_bytes(ticket[5..REQUEST].try_into().ok()?);
    let window = LedgerWindow::new(start, end).ok()?;
    (write(dataset, table, window) == *ticket).then_some((table, window))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_good_for_its_dataset_and_its_table_only() {
        let window = LedgerWindow::new(7, u32::MAX).unwrap();
        for table in Table::ALL {
            let ticket = write("a", table, window);
            assert_eq!(read("a", &ticket), Some((table, window)));
            assert_eq!(read("b", &ticket), None);
            assert_eq!(read("a", &ticket[..LEN - 1]), None);
            for at in 0..LEN {
                let mut forged = ticket;
                forged[at] ^= 1;
                assert_eq!(read("a", &forged), None, "byte {at}");
            }
        }
    }
}
