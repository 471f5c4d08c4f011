//! Tickets: a table and a window, or a table of the state at a checkpoint, with a checksum over this and the name of dataset
//! or archive, so that tickets of other servers and forgeries are refused.

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

/// The table and the ledger.
const STATE_REQUEST: usize = 5;
const STATE_LEN: usize = STATE_REQUEST + 8;

/// The ticket for a table of the state at a checkpoint of an archive. It has another length than that for a window.
pub(crate) fn write_state(archive: &str, table: Table, ledger: u32) -> [u8; STATE_LEN] {
    let mut ticket = [0; STATE_LEN];
    let (request, seal) = ticket.split_at_mut(STATE_REQUEST);
    request[0] = table as u8;
    request[1..].copy_from_slice(&ledger.to_be_bytes());
    let digest = Sha256::new().chain_update(archive).chain_update([1]).chain_update(request).finalize();
    seal.copy_from_slice(&digest[..STATE_LEN - STATE_REQUEST]);
    ticket
}

/// The table and the checkpoint of a ticket; `None` if it was not written for the state in this archive.
pub(crate) fn read_state(archive: &str, ticket: &[u8]) -> Option<(Table, u32)> {
    let ticket: &[u8; STATE_LEN] = ticket.try_into().ok()?;
    let table = *Table::ALL.get(usize::from(ticket[0]))?;
    let ledger = u32::from_be_bytes(ticket[1..STATE_REQUEST].try_into().ok()?);
    (write_state(archive, table, ledger) == *ticket).then_some((table, ledger))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_of_a_state_is_good_for_its_archive_and_its_table_only() {
        for table in Table::ALL {
            let ticket = write_state("a", table, 10_047);
            assert_eq!(read_state("a", &ticket), Some((table, 10_047)));
            assert_eq!((read_state("b", &ticket), read("a", &ticket)), (None, None));
            assert_eq!(read_state("a", &write("a", table, LedgerWindow::single(10_047))), None);
            for at in 0..STATE_LEN {
                let mut forged = ticket;
                forged[at] ^= 1;
                assert_eq!(read_state("a", &forged), None, "byte {at}");
            }
        }
    }

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
